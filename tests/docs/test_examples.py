"""The documentation's examples work: pages, docstrings, generated references, links."""

import doctest
import importlib
import json
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

import leadlog
import leadlog_processors

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    module.name
    for package in (leadlog, leadlog_processors)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


def name_of(path: Path) -> str:
    """A page's name, for the test's id."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.usefixtures("captures_end")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_python_on_a_page_runs(page: Path) -> None:
    """Every Python block runs, in page order, in an empty directory."""
    Path("database_logs").mkdir()
    document = Document.parse(str(page), PythonCodeBlockParser())
    document.namespace["__name__"] = "page"
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        # A page need not show it; a connection that the collector finds warns in another test.
        for value in document.namespace.values():
            if isinstance(value, sa.Engine):
                value.dispose()


def commands(page: Path) -> list[str]:
    """The jq and leadlog commands that a page shows."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith(("jq", "leadlog"))]


@pytest.mark.parametrize("page", PAGES[:1], ids=name_of)
def test_the_jq_commands_of_the_readme_read_the_log(page: Path, jq: object) -> None:
    """After a demo, each jq command of the README ends well, were it not for `-f`."""
    subprocess.run(["leadlog", "demo", "--count", "40"], check=True, stdout=subprocess.DEVNULL)
    found = commands(page)
    assert len([command for command in found if "jq" in command]) >= 4
    for command in found:
        if "jq" in command:
            line = command.replace("tail -f", "tail")
            subprocess.run(["sh", "-c", line], check=True, stdout=subprocess.DEVNULL)
        else:
            assert shlex.split(command)[0] == "leadlog"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    """The examples in docstrings give the results shown."""
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file that exists."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_generated_pages_and_schemas_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    if not (ROOT / "leadlog").is_dir():
        pytest.skip("the installed package is tested, its source is not here")
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_record_of_the_readme_has_real_keys() -> None:
    """The shortened record on the first page has no key that a record does not have."""
    from leadlog.core.records import json_schema

    (block,) = re.findall(r"```json\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
    schema = json_schema("database_operation")
    for key, value in json.loads(block).items():
        known = schema["properties"][key]
        if "$ref" in known:
            section = schema["$defs"][known["$ref"].rsplit("/", 1)[1]]
            assert set(value) <= set(section["properties"])

"""The package, its build and the repository's own promises about them."""

from __future__ import annotations

import ast
import collections
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata, util
from pathlib import Path

import pytest

import leadlog
import leadlog_processors

ROOT = Path(__file__).parents[1]
# Set by .ci/run, when the suite runs against an installed wheel and no source is at hand.
WHEEL = os.environ.get("TEST_WHEEL")

in_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not in a git checkout"
)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel under test, or one built from the checkout by the real build backend."""
    if WHEEL:
        return Path(WHEEL)
    if util.find_spec("hatchling") is None:
        pytest.skip("building needs hatchling (dependency group build)")
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture
def contents(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_both_packages_are_in_the_wheel_and_typed(contents):
    """Type checkers of an application see the types of both import packages."""
    for package in ("leadlog", "leadlog_processors"):
        assert f"{package}/__init__.py" in contents
        assert f"{package}/py.typed" in contents


def test_the_migrations_are_in_the_wheel(contents):
    """The installed package can upgrade a store of an earlier version."""
    folder = "leadlog/leads/store/migrations"
    assert f"{folder}/env.py" in contents
    assert len([name for name in contents if name.startswith(f"{folder}/versions/r")]) >= 2


def test_the_files_for_receivers_are_in_the_wheel(contents):
    """`leadlog ship files` writes the whole Splunk app from an installed package."""
    folder = "leadlog/shipping/files"
    shipped = {name for name in contents if name.startswith(f"{folder}/")}
    names = ("default/app.conf", "default/props.conf", "default/transforms.conf")
    more = ("default/data/ui/views/leadlog.xml", "metadata/default.meta")
    assert shipped == {f"{folder}/splunk/{name}" for name in names + more}


def test_nothing_but_the_packages_is_in_the_wheel(contents):
    """No tests, docs or build files end up in an application's site-packages."""
    tops = {name.partition("/")[0] for name in contents}
    assert tops == {"leadlog", "leadlog_processors", f"leadlog-{leadlog_version()}.dist-info"}
    assert not [name for name in contents if re.search(r"(^|/)(tests|__pycache__|conftest)", name)]


def test_the_licence_is_in_the_wheel(wheel, contents):
    """The wheel names its licence by SPDX expression and carries the text."""
    info = f"leadlog-{leadlog_version()}.dist-info"
    assert f"{info}/licenses/LICENSE" in contents
    with zipfile.ZipFile(wheel) as archive:
        assert "\nLicense-Expression: MIT\n" in archive.read(f"{info}/METADATA").decode()


@pytest.mark.skipif(not WHEEL, reason="the suite runs against the source tree here")
def test_the_installed_wheel_is_what_is_tested():
    """When a wheel is under test, no source tree stands in for it."""
    for package in (leadlog, leadlog_processors):
        assert Path(package.__file__).is_relative_to(sys.prefix)
        assert "site-packages" in Path(package.__file__).parts


def leadlog_version() -> str:
    return metadata.version("leadlog")


def test_the_command_and_the_metadata_agree_about_the_version():
    """`python -m leadlog --version` prints the version that was installed."""
    printed = run(sys.executable, "-m", "leadlog", "--version", cwd=Path.cwd())
    assert leadlog_version() in printed.split() + printed.replace(",", " ").split()


def test_the_entry_point_is_the_command_line():
    """Installing the package brings the command `leadlog`."""
    (entry,) = metadata.entry_points(group="console_scripts", name="leadlog")
    assert entry.value == "leadlog.cli:main"
    assert leadlog_version() in run("leadlog", "--version", cwd=Path.cwd())


@pytest.mark.skipif(not (ROOT / "Makefile").exists(), reason="no Makefile beside the tests")
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_describes_every_target():
    """`make help` has one line for each target, with a description."""
    targets = set()
    for line in (ROOT / "Makefile").read_text().splitlines():
        if line.startswith(".PHONY:"):
            targets.update(line.split()[1:])
    listed = dict(
        re.findall(
            r"^  make (\S+) +(\S.*)$", run("make", "--no-print-directory", "help"), re.MULTILINE
        )
    )
    assert set(listed) == targets
    assert {
        "help", "install", "demo", "test", "lint", "type", "cov", "docs", "bench", "build", "clean"
    } <= targets  # fmt: skip
    assert run("make", "--no-print-directory") == run("make", "--no-print-directory", "help")


def tracked_texts() -> dict[str, str]:
    """Return every file that git tracks or would add, by name, binary ones left out."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    texts = {}
    for name in filter(None, names.split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            continue
    return texts


@in_checkout
def test_no_file_names_this_machine_or_a_package_registry():
    """No committed file has an absolute path of this machine or a registry's address."""
    # Put together here, so that this file does not contain them.
    hosts = ("pypi." + "org", "files.pythonhosted" + ".org", "registry.npmjs" + ".org")
    hosts += ("deb.debian" + ".org", "test.pypi" + ".org", "proxy.golang" + ".org")
    paths = [str(ROOT) + "/", str(Path.home()) + "/.", sys.base_prefix + "/"]
    # A checkout at /src or an interpreter in /usr says nothing about a machine.
    paths = [path for path in paths if len(Path(path).parts) > 2 and not path.startswith("/usr/")]
    texts = tracked_texts()
    assert "pyproject.toml" in texts
    found = [
        f"{name}: {word}"
        for name, text in texts.items()
        for word in (*hosts, *paths)
        if word in text
    ]
    assert found == []


@in_checkout
def test_the_constraints_are_names_and_versions_only():
    """.ci/constraints.txt pins exactly, and takes nothing from an address or a folder."""
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin)] == []


def test_no_two_classes_have_the_same_name():
    """Whoever reads or searches for a name finds one thing; a test double has its own."""
    places = collections.defaultdict(list)
    for package in (leadlog, leadlog_processors):
        folder = Path(package.__file__).parent
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(folder.parent)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}

"""A remedy names what its reader can use: a parameter in Python, an option of a command."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import leadlog
from leadlog.cli import root
from leadlog.core.errors import LeadlogError
from leadlog.reading import erasure
from leadlog.training.dataset import write_dataset
from leadlog.verification import verify

PACKAGE = Path(leadlog.__file__).parent


@pytest.mark.parametrize(
    ("call", "command", "python", "option"),
    [
        (
            lambda: erasure.run("missing", lead_ids=["lead-1"]),
            ["erase", "--lead", "lead-1", "--directory", "missing"],
            "`directory=`",
            "--directory",
        ),
        (
            lambda: verify(".", "missing.db"),
            ["verify", "--directory", ".", "--database", "missing.db"],
            "`database=`",
            "--database",
        ),
        (
            lambda: write_dataset(".", "set", target="failed", objective_ms=9.0),
            ["dataset", "--directory=.", "-o", "set", "--target=failed", "--objective-ms=9"],
            "`objective_ms=`",
            "--objective-ms",
        ),
    ],
)
def test_a_remedy_names_the_door_that_was_used(
    call: Callable[[], object], command: list[str], python: str, option: str, tmp_path: Path
) -> None:
    """The same error, called from Python, by a command, and from Python again."""
    assert tmp_path == Path.cwd()
    for _ in range(2):
        with pytest.raises(LeadlogError) as raised:
            call()
        assert python in str(raised.value)
        assert "--" not in str(raised.value)
        done = CliRunner().invoke(root, command, prog_name="leadlog")
        assert done.exit_code
        assert option in done.stderr
        assert "=`" not in done.stderr


def _texts(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the texts below a node, except the arguments of `parameter`."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "parameter":
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def test_no_error_outside_the_command_line_names_an_option_alone() -> None:
    """An option may only follow its command: a caller of Python can run that, too."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Raise):
                continue
            found += [
                f"{path.relative_to(PACKAGE)}:{text.lineno}: {text.value}"
                for text in _texts(node)
                if re.search(r"^(?!.*(\bleadlog |`\w+ )).*(?<![\w-])--[a-z]", str(text.value))
            ]
    assert found == []

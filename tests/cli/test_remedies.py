"""Every command that leadlog recommends exists, with the options given."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

import leadlog
import leadlog_processors
from leadlog.cli.root import root as cli

ROOT = Path(__file__).parents[2]
PACKAGES = [Path(package.__file__).parent for package in (leadlog, leadlog_processors)]
MENTION = re.compile(r"(?P<before>.?.?)\bleadlog (?P<rest>[a-z-][^`;|\n)\"]*)")
SURE = ("`", ": ", "$ ", "n ")
"""What stands before a command that is to be run: a backtick, a colon, a prompt, `run`."""
CODE = re.compile(r"""(?:h\("code", \{\}, "|<code>)(leadlog [^"<]*)""")
"""A command in the dashboard's scripts and pages."""
PAGES = sorted(
    path
    for path in (PACKAGES[0] / "dashboard" / "assets").iterdir()
    if path.suffix in {".js", ".html"}
)


class Mention(NamedTuple):
    """A command in a text, and where the text is."""

    where: str
    words: tuple[str, ...]
    is_sure: bool


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Each string of a module that is not a docstring of developers; values become `VALUE`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inner = {id(part) for node in joined for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "VALUE"
                    for part in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and id(node) not in inner and type(node.value) is str:
            yield node.lineno, node.value


def mentions_in(where: str, text: str) -> Iterator[Mention]:
    for found in MENTION.finditer(text):
        rest = re.split(r"(?:, |\. |: | \(| — )", found["rest"])[0]
        try:
            words = shlex.split(rest, comments=True)
        except ValueError:
            words = rest.split()
        is_sure = found["before"].endswith("`") or found["before"] in SURE
        yield Mention(where, tuple(words), is_sure)


def mentions() -> list[Mention]:
    found = []
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            for line, text in texts_of(path):
                found += mentions_in(f"{path.relative_to(package.parent)}:{line}", text)
    for path in [
        *sorted(ROOT.glob("docs/**/*.md")),
        *ROOT.glob("docs/**/*.yml"),
        ROOT / "README.md",
    ]:
        found += mentions_in(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    for path in PAGES:
        for command in CODE.findall(path.read_text(encoding="utf-8")):
            found += mentions_in(str(path.relative_to(PACKAGES[0].parent)), f"`{command}`")
    return found


def resolved(words: tuple[str, ...]) -> tuple[list[str], click.Command, list[str]]:
    """The path of a command, the command, and the words after it."""
    command: click.Command = cli
    path, rest = [], list(words)
    context = click.Context(cli, info_name="leadlog")
    while rest and isinstance(command, click.Group):
        below = command.get_command(context, rest[0])
        if below is None:
            break
        command = below
        path.append(rest.pop(0))
    return path, command, rest


def wrong_with(mention: Mention) -> str | None:
    path, command, rest = resolved(mention.words)
    if not path:
        known = mention.is_sure and not mention.words[0].startswith("-")
        return f"there is no command {mention.words[0]!r}" if known else None
    is_group = isinstance(command, click.Group) and not command.invoke_without_command
    if rest and mention.is_sure and is_group and re.fullmatch("[a-z-]+", rest[0]):
        return f"{' '.join(path)} has no command {rest[0]!r}"
    context = click.Context(command, info_name=path[-1])
    options = {
        name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)
    }
    for word in rest:
        name = word.partition("=")[0].rstrip(".,'")
        if re.fullmatch("--?[a-z][a-z-]*", name) and name not in options:
            return f"{' '.join(path)} has no option {name}"
    return None


FOUND = mentions()


def test_every_command_that_is_named_exists():
    """Every command in messages, remedies, help and documentation exists, with its options."""
    wrong = [
        f"{one.where}: leadlog {' '.join(one.words)}: {why}"
        for one in FOUND
        if (why := wrong_with(one))
    ]
    assert wrong == []
    assert sum(one.is_sure for one in FOUND) > 100


def test_every_command_on_the_dashboard_s_pages_is_found():
    """The commands in scripts and pages are among those that are checked."""
    found = {" ".join(one.words) for one in FOUND if one.where.startswith("leadlog/dashboard/")}
    assert {"sync both", "migrate", "demo", "dashboard", "report -o report.html"} <= found


COMMANDS = sorted({tuple(path) for one in FOUND if (path := resolved(one.words)[0])})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_its_help_is_there(command):
    """Every command named in a remedy has help."""
    result = CliRunner().invoke(cli, [*command, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize(
    "text",
    [
        "see what fails: leadlog tail --level error",
        "run `leadlog taill`",
        "`leadlog alerts shew`",
        "see leadlog db check --fix",
    ],
)
def test_one_that_does_not_exist_is_found(text):
    """The search itself works."""
    (mention,) = mentions_in("here", text)
    assert wrong_with(mention)


@pytest.mark.parametrize("text", ["leadlog was stopped", "if leadlog is not installed --help"])
def test_a_sentence_about_leadlog_is_no_command(text):
    """Words that follow the name in prose."""
    assert [wrong_with(one) for one in mentions_in("here", text)] == [None]

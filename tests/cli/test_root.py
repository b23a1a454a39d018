"""The frame of the command line: names, help, errors, exit codes."""

import json
import signal
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from leadlog.cli.root import COMMANDS, Root
from leadlog.core import errors

pytestmark = pytest.mark.handmade_lines

THIRD_PARTY = "\n".join(
    [
        "import sys",
        "before = set(sys.modules)",
        "from leadlog.cli import root",
        "root({arguments}, standalone_mode=False)",
        "new = {{name.partition('.')[0] for name in set(sys.modules) - before}}",
        "print(sorted(new - set(sys.stdlib_module_names)), file=sys.stderr)",
    ]
)


def loaded(arguments, cwd):
    """Return the packages outside the standard library that a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", THIRD_PARTY.format(arguments=arguments)],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1].replace("'", '"')))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_click_alone(arguments, tmp_path):
    """Help and version import only click."""
    assert loaded(arguments, tmp_path) == {"click", "leadlog"}


def test_reading_commands_need_neither_store_nor_chain(tmp_path):
    """tail imports neither SQLAlchemy nor structlog."""
    (tmp_path / "database_logs").mkdir()
    packages = loaded(["tail"], tmp_path)
    assert packages.isdisjoint({"sqlalchemy", "structlog", "pyairtable", "psutil"})


def test_every_command_is_listed_with_one_line(run):
    """The list of commands shows each name and its help, in order."""
    result = run("--help")
    assert result.exit_code == 0
    listed = [
        line.split(maxsplit=1) for line in result.stdout.partition("Commands:")[2].splitlines()
    ]
    shown = {words[0]: words[1] for words in listed if len(words) == 2 and words[0] in COMMANDS}
    assert shown == {name: line for name, (_, line) in COMMANDS.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_and_json(run, name):
    """Each command's help begins with the line of the list, shows examples and has --json."""
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"leadlog {name}" in result.stdout
    assert "--json" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tial"], "No such command 'tial'. Did you mean 'tail'?"),
        (["doktor"], "Did you mean 'doctor'?"),
        (["zzz"], f"There are {', '.join(COMMANDS)}."),
        (["tail", "--folow"], "--follow"),
        (["tail", "-n", "-1"], "-n"),
        (["tail", "--category", "errors"], "error_logs"),
        (["completion", "tcsh"], "bash"),
    ],
)
def test_wrong_usage_is_told_with_what_would_do(run, arguments, message):
    """A wrong command, option or value exits with 2 and names the right one."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr


def test_no_arguments_show_the_help(run):
    """Without a command, the help is shown with the exit code of a usage error."""
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.SettingsError("unknown setting 'x'"), 2),
        (errors.UnknownFieldError("no field 'x'"), 2),
        (errors.ReadError("cannot read x"), 3),
        (errors.LogDirectoryError("cannot write x"), 3),
        (errors.StoreError("cannot reach x"), 3),
        (PermissionError(13, "Permission denied", "x"), 3),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(32, "Broken pipe"), 141),
    ],
)
def test_errors_become_exit_codes(error, exit_code):
    """An error that leadlog raises ends in one line and the exit code of its kind."""

    @click.command()
    def failing():
        raise error

    group = Root("leadlog", lazy={"failing": (f"{__name__}:failing", "Fail.")})
    # The lazy group imports by name; this one is there already.
    group.get_command = lambda ctx, name: failing
    result = CliRunner().invoke(group, ["failing"])
    assert result.exit_code == exit_code
    assert "Traceback" not in result.output
    if exit_code < 100:
        assert "Error: " in result.stderr


def test_messages_carry_no_escape_sequences():
    """A value inside an error message cannot steer the terminal."""

    @click.command()
    def failing():
        raise errors.ReadError("cannot read \x1b[2J\u202ename")

    group = Root("leadlog", lazy={"failing": ("x:y", "Fail.")})
    group.get_command = lambda ctx, name: failing
    result = CliRunner().invoke(group, ["failing"])
    assert r"cannot read \x1b[2J\u202ename" in result.stderr


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_completion_scripts(run, shell, word):
    """Each shell gets click's own script, as text and as JSON."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert word in result.stdout
    assert "_LEADLOG_COMPLETE" in result.stdout
    data = json.loads(run("completion", shell, "--json").stdout)
    assert data["script"].strip() == result.stdout.strip()


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("leadlog ", 1, set(COMMANDS)),
        ("leadlog ta", 1, {"tail"}),
        ("leadlog tail --cat", 2, {"--category"}),
        ("leadlog tail --category sync", 3, {"sync_operations"}),
    ],
)
def test_completion_knows_commands_options_and_values(start, line, word, expected):
    """A shell's completion request is answered with the matching names."""
    process = start(
        env={
            "_LEADLOG_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(word),
        }
    )
    out, _ = process.communicate(timeout=30)
    assert {one.partition(",")[2] for one in out.decode().split()} == expected


def test_closed_pipe_ends_quietly(start, log):
    """`| head` ends the command without a word, with the code of a closed pipe."""
    log("error_logs", *((i, {"fill": "x" * 500}) for i in range(5_000)))
    process = start("tail", "-n", "5000")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""


def test_closed_pipe_ends_following_without_another_event(start, log):
    """Following ends when its reader is gone, not at the next event."""
    log("error_logs", (1, {}))
    process = start("tail", "-f")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == b""


def test_interrupt_ends_quietly(start, log):
    """Ctrl-C ends following without a traceback, with 130."""
    log("error_logs", (1, {}))
    process = start("tail", "-f")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")

"""`leadlog history`, `replay` and `verify` on a log that the real store wrote."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result

import leadlog
from leadlog.core.layout import log_files
from leadlog.leads.store.models import Lead
from leadlog.reading import archive

Run = Callable[..., Result]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def lead_id(tmp_path: Path) -> str:
    """A lead that Ana added, changed twice and tried to change once more; Bo's one is gone."""
    leadlog.configure()
    with leadlog.LeadDatabase() as db, leadlog.session(user="ana"):
        found = db.add_lead({"name": "Ana \x1b[31mGómez", "email": "Ana@acme.com"})
        db.update_lead(found, {"title": "CTO"})
        with pytest.raises(leadlog.core.errors.ValidationError):
            db.update_lead(found, {"full_name": ""})
        try:
            with db.session() as session:
                lead = session.get(Lead, found)
                assert lead is not None
                lead.title = "undone"
                session.flush()
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        db.update_lead(found, {"title": "CEO"})
        db.get_lead(found)
        db.delete_lead(db.add_lead({"name": "Bo"}))
    assert leadlog.flush()
    return found


def change(statement: str) -> None:
    """Something that no log sees."""
    engine = sa.create_engine("sqlite:///leads.db")
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def test_the_history_of_a_lead_names_who_changed_what(run: Run, lead_id: str) -> None:
    """The history lists calls oldest first, and marks those that changed nothing."""
    result = run("history", lead_id)
    assert result.exit_code == 0
    out = result.stdout
    assert out.startswith(f"Lead {lead_id}\n")
    assert re.search(r"created +committed +add_lead +by ana +session \w{8}", out)
    assert "title: null → CTO" in out
    assert "title: CTO → CEO" in out
    assert re.search(r"updated +rolled_back +update +by ana .* changed nothing", out)
    assert re.search(r"updated +failed +update_lead .* changed nothing", out)
    assert "so full_name cannot be blank" in out
    assert "\x1b" not in out
    assert "get_lead" not in out
    assert "get_lead" in run("history", lead_id, "--reads").stdout


def test_the_history_of_a_sealed_day_is_the_same(run: Run, lead_id: str) -> None:
    """A sealed day gives the same history by key, by address in any case, and for a near miss."""
    asked = (
        ("history", lead_id, "--reads", "--json"),
        ("history", "--email", "ANA@acme.com", "--json"),
        ("history", "--email", "nobody@acme.com"),
        ("history", lead_id[:-1]),
    )
    before = [run(*one) for one in asked]
    assert [one.exit_code for one in before] == [0, 0, 1, 1]
    assert f"did you mean {lead_id}?" in before[-1].stderr
    leadlog.shutdown()
    report = archive.run("database_logs", archive.Policy(parquet_after_days=1), today="2100-01-01")
    assert report.errors == ()
    assert all(file.archived for file in log_files("database_logs"))
    after = [run(*one) for one in asked]
    assert [(one.stdout, one.stderr) for one in after] == [
        (one.stdout, one.stderr) for one in before
    ]


def test_what_changed_nothing_is_greyed_on_a_terminal(run: Run, lead_id: str) -> None:
    """Only those lines are dim."""
    from click.testing import CliRunner

    from leadlog.cli import root

    out = CliRunner().invoke(root, ("history", lead_id), color=True).stdout
    dim = [line for line in out.splitlines() if line.startswith("\x1b[2m")]
    assert any("rolled_back" in line for line in dim)
    assert any("undone" in line for line in dim)
    assert not any("CEO" in line for line in dim)


def test_the_history_is_found_by_email_in_any_case(run: Run, lead_id: str) -> None:
    """An address leads to all leads that ever had it."""
    result = run("history", "--email", "ana@ACME.com")
    assert result.stdout.startswith(f"Lead {lead_id}\n")
    (found,) = json.loads(run("history", "--email", "ana@acme.com", "--json").stdout)
    assert found["lead_id"] == lead_id
    missing = run("history", "--email", "nobody@acme.com")
    assert missing.exit_code == 1
    assert "nobody@acme.com" in missing.stderr


def test_the_history_as_json_has_every_entry(run: Run, lead_id: str) -> None:
    """Outcomes, changes and the user, for jq."""
    (found,) = json.loads(run("history", lead_id, "--json").stdout)
    assert [entry["outcome"] for entry in found["entries"]] == [
        "committed",
        "committed",
        "failed",
        "rolled_back",
        "committed",
    ]
    assert found["entries"][1]["changes"]["title"] == {"old": None, "new": "CTO"}
    assert {entry["user"] for entry in found["entries"]} == {"ana"}


def test_a_lead_that_is_not_there_is_answered_with_one_like_it(run: Run, lead_id: str) -> None:
    """Exit code 1, and the id that begins like this."""
    result = run("history", lead_id[:8])
    assert result.exit_code == 1
    assert lead_id in result.stderr
    assert result.stdout == ""
    assert "--email" in run("history", "x@y.z").stderr
    nothing = run("history", lead_id, "--until", "2001-01-01")
    assert nothing.exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [("history",), ("history", "1", "--email", "a@b.c"), ("history", "1", "--since", "soon")],
)
def test_a_wrong_call_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    """Naming a lead twice or not at all, and a malformed time, are usage errors."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: leadlog history" in result.stderr


@pytest.mark.parametrize("command", [("history", "1"), ("replay",), ("verify",)])
def test_a_missing_log_is_told_and_is_no_empty_result(run: Run, command: tuple[str, ...]) -> None:
    """Exit code 3 and the remedy."""
    result = run(*command, "--directory", "nowhere")
    assert result.exit_code == 3
    assert "no log directory 'nowhere'" in result.stderr


@pytest.mark.parametrize("command", ["history", "replay", "verify"])
def test_help_shows_examples_and_exit_codes(run: Run, command: str) -> None:
    """The help of each command shows its own examples and exit codes."""
    out = run(command, "--help").stdout
    assert f"leadlog {command}" in out
    assert "Exits with" in out


def test_the_table_is_printed_as_it_was(run: Run, lead_id: str, jq: Any) -> None:
    """The table is printed with one line per lead, at the log's end and at any earlier time."""
    result = run("replay")
    assert result.exit_code == 0
    (row,) = jq(".", stdin=result.stdout)
    assert row["_key"] == row["id"] == lead_id
    assert row["title"] == "CEO"
    assert list(row)[1:] == sorted(list(row)[1:])
    assert "\x1b" not in result.stdout
    (told,) = json.loads(run("history", lead_id, "--json").stdout)
    entries = told["entries"]
    (before,) = jq(".title", stdin=run("replay", "--at", entries[1]["at"]).stdout)
    assert before == "CTO"
    assert run("replay", "--json").stdout == result.stdout


def test_a_class_or_a_time_that_the_log_does_not_have_is_told(run: Run, lead_id: str) -> None:
    """An unknown class or a time before the log is reported with the classes that exist."""
    result = run("replay", "--entity", "Customer")
    assert result.exit_code == 1
    assert "it has Lead" in result.stderr
    assert run("replay", "--at", "2001-01-01").exit_code == 1
    assert run("replay", "--at", "half past ten").exit_code == 2


def test_a_replay_into_head_ends_quietly(start: Start, tmp_path: Path) -> None:
    """A closed pipe ends the command with exit code 141 and no traceback."""
    leadlog.configure()
    with leadlog.LeadDatabase() as db:
        for number in range(400):
            db.add_lead({"name": f"Lead {number}", "notes": "x" * 500})
    assert leadlog.flush()
    process = start("replay")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


def test_a_log_that_tells_the_truth_is_verified(run: Run, lead_id: str) -> None:
    """Exit code 0, and how much was compared."""
    result = run("verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 in the log, 1 in leads" in result.stdout
    assert "No difference." in result.stdout
    assert json.loads(run("verify", "--json").stdout)["difference_count"] == 0


def test_a_change_behind_the_log_s_back_is_found(run: Run, lead_id: str) -> None:
    """Exit code 1, both values and the likely cause, and nothing stored is printed raw."""
    change("UPDATE leads SET title = 'Th' || char(27) || 'ief', phone = '1'")
    result = run("verify", "--database", "sqlite:///leads.db")
    assert result.exit_code == 1
    assert f'{lead_id}  title: log "CEO", table "Th\\u001bief"' in result.stdout
    assert "unexplained: not in the log: another program" in result.stdout
    assert "\x1b" not in result.stdout
    assert run("verify", "--ignore", "title", "--ignore", "phone").exit_code == 0
    found = json.loads(run("verify", "--json").stdout)
    assert found["causes"] == {"unexplained": 1, "never_logged": 1}


def test_what_cannot_be_compared_ends_with_3_and_makes_no_file(
    run: Run, lead_id: str, tmp_path: Path
) -> None:
    """A missing database or table exits with 3 and creates no file."""
    result = run("verify", "--database", "nowhere.db")
    assert result.exit_code == 3
    assert "no database" in result.stderr
    assert not (tmp_path / "nowhere.db").exists()
    result = run("verify", "--database", "leads.db", "--table", "lead")
    assert result.exit_code == 3
    assert "leads" in result.stderr
    result = run("verify", "--database", "postgresql+psycopg://ana:s3cret@127.0.0.1:1/leads")
    assert result.exit_code == 3
    assert "s3cret" not in result.stderr


def test_damaged_lines_are_told_by_each_command(run: Run, lead_id: str, tmp_path: Path) -> None:
    """On standard error, or among the gaps."""
    (path,) = (tmp_path / "database_logs" / "database_operations").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b"torn\n")
    try:
        assert "1 damaged line" in run("history", lead_id).stderr
        assert "1 damaged line" in run("replay").stderr
        assert "1 damaged line" in run("verify").stdout
    finally:
        path.write_bytes(whole)  # the shared fixture holds every line against the contract


def test_history_and_replay_need_neither_the_database_nor_the_logging_chain() -> None:
    """`history` and `replay` import neither SQLAlchemy nor structlog."""
    code = (
        "import sys, leadlog.cli.reading.history, leadlog.cli.reading.replay;"
        "import leadlog.cli.reading.verify;"
        "print([name for name in ('sqlalchemy', 'structlog') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

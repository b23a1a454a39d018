"""`leadlog query`, `errors`, `slow`, `session` and `batches` on a log that the store wrote."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import leadlog

Run = Callable[..., Result]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def session_id() -> str:
    """One session that adds two leads, one of them with an escape in its name, and fails once."""
    leadlog.configure()
    with leadlog.LeadDatabase() as db, leadlog.session(user="ana") as found:
        db.add_lead({"name": "Ana \x1b[31mGómez", "email": "ana@acme.com"})
        db.add_lead({"name": "Bo"})
        with pytest.raises(leadlog.core.errors.ValidationError):
            db.add_lead({"email": "x@y.zz"})
    assert leadlog.flush()
    return found


def test_a_query_prints_json_csv_a_table_and_parquet(
    run: Run, session_id: str, tmp_path: Path
) -> None:
    """The same rows in every format; nothing stored is printed raw."""
    sql = "SELECT timestamp, name, success FROM operations WHERE name LIKE $x"
    ask = ("query", sql, "--param", "x=Ana%")
    result = run(*ask)
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["name"], row["success"]) == ("Ana \x1b[31mGómez", True)
    assert len(row["timestamp"]) == len("2026-11-23T10:00:00.000000Z")
    assert "\x1b" not in result.stdout
    (row_of_csv,) = csv.DictReader(io.StringIO(run(*ask, "--format", "csv").stdout))
    assert row_of_csv["timestamp"] == row["timestamp"]
    table = run(*ask, "--format", "table").stdout
    assert table.split() == [
        "timestamp",
        "name",
        "success",
        row["timestamp"],
        "Ana",
        "\\x1b[31mGómez",
        "true",
    ]
    assert run(*ask, "--format", "parquet", "-o", "rows.parquet").exit_code == 0
    pq = pytest.importorskip("pyarrow.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist()[0]["name"] == row["name"]


def test_a_wrong_query_leaves_no_file_and_exits_with_2(run: Run, session_id: str) -> None:
    """Neither does a bad parameter; a query that takes too long exits with 3."""
    result = run("query", "SELECT * FROM operation", "-o", "rows.json")
    assert result.exit_code == 2
    assert "did you mean operations?" in result.stderr
    assert not Path("rows.json").exists()
    assert run("query", "SELECT 1", "--param", "x").exit_code == 2
    endless = "SELECT count(*) FROM range(1000000000000) t WHERE range % 7 = 3"
    result = run("query", endless, "--timeout", "0.3")
    assert result.exit_code == 3
    assert "--timeout" in result.stderr


def test_errors_are_shown_marked_and_shown_again(run: Run, session_id: str) -> None:
    """Open ones exit with 1; a resolved one is shown with --all only."""
    result = run("errors")
    assert result.exit_code == 1
    assert "ValidationError" in result.stdout
    assert f"(session {session_id})" in result.stdout
    fingerprint = result.stdout.split()[0]
    whole = run("errors", fingerprint[:6])
    assert "Traceback" in whole.stdout
    assert run("errors", "--resolve", fingerprint[:6]).exit_code == 0
    assert run("errors").exit_code == 0
    assert run("errors").stdout == ""
    assert "resolved" in run("errors", "--all").stdout
    assert run("errors", "--reopen", fingerprint).exit_code == 0
    assert json.loads(run("errors", "--json").stdout)[0]["state"] == "open"
    result = run("errors", "--resolve", "nope")
    assert (result.exit_code, fingerprint in result.stderr) == (2, True)


def test_slow_lists_operations_and_shapes(run: Run, session_id: str) -> None:
    """`leadlog slow` lists operations and shapes, as a table and as JSON."""
    result = run("slow")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("operation")
    report: dict[str, Any] = json.loads(run("slow", "--json").stdout)
    (one,) = report["operations"]
    assert (one["operation"], one["n"], one["failed"]) == ("add_lead", 3, 1)
    assert {tuple(shape["fields"]) for shape in report["shapes"]} >= {("name", "email"), ("name",)}


def test_a_session_is_shown_as_a_timeline(run: Run, session_id: str) -> None:
    """Its events in order with its errors counted; an unknown one exits with 1."""
    result = run("session", session_id)
    assert result.exit_code == 0, result.stderr
    first, bound, *lines = result.stdout.splitlines()
    assert bound.startswith("  user=ana")
    assert first.startswith(f"session {session_id}: {len(lines)} events in ")
    assert first.endswith(" 1 error")
    assert "\x1b" not in result.stdout
    records = json.loads(run("session", session_id, "--json").stdout)
    assert len(records) == len(lines)
    assert records[0]["context"] == {"user": "ana"}
    assert run("session", "zzzzzzzz").exit_code == 1


def test_batches_without_a_sync_say_so(run: Run, session_id: str) -> None:
    """No table of nothing."""
    result = run("batches")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no sync" in result.stderr
    result = run("batches", "--source", "x")
    assert (result.exit_code, "--engine spark" in result.stderr) == (2, True)


def test_batches_name_the_best_size(run: Run) -> None:
    """`leadlog batches` names the best size from records written with `DatabaseLogger`."""
    leadlog.configure()
    for size, ms in ((1, 900.0), (10, 100.0)):
        for _ in range(3):
            leadlog.log_database_event(
                "sync_operation",
                {},
                {"success": True, "leads_synced": 10, "execution_time_ms": ms},
                {"sync_type": "to_airtable", "sync_details": {"batch_size": size}},
            )
    assert leadlog.flush()
    assert "Best batch size: 10" in run("batches").stdout


def test_the_commands_need_neither_the_store_nor_the_chain(start: Start, session_id: str) -> None:
    """They read files: neither SQLAlchemy nor structlog is imported."""
    for arguments in (("slow",), ("query", "SELECT 1")):
        process = start(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
        _, err = process.communicate(timeout=60)
        modules = {line.rpartition(b"|")[2].strip() for line in err.splitlines() if b"|" in line}
        assert process.returncode == 0, err
        assert b"leadlog.cli.options" in modules
        assert modules.isdisjoint({b"sqlalchemy", b"structlog"})

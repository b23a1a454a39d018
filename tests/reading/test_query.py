"""SQL of users over a log: its results, and what it cannot do."""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.errors import QueryError, QueryLimitError, ReadError
from leadlog.reading.query import Limits, run_query

Append = Callable[..., Path]
Make = Callable[..., dict[str, Any]]
Ask = Callable[..., list[dict[str, Any]]]

DAY = 1_795_392_000_000_000  # 2026-11-23
SMALL = Limits(seconds=0.5, memory_mb=128, threads=1)


@pytest.fixture
def root(append: Append, event: Make, tmp_path: Path) -> Path:
    """A log of three operations and an error, with one damaged line."""
    for at, success in ((1, True), (2, False), (3, True)):
        details = {"operation_type": "add_lead", "success": success, "execution_time_ms": at}
        record = event(DAY + at, event_id=f"e{at}", log_type="database_operation")
        append("database_operations/2026-11-23.jsonl", {**record, "operation_details": details})
    append("database_operations/2026-11-23.jsonl", b"torn\n")
    append("error_logs/2026-11-23.jsonl", event(DAY + 4, event_id="e4", log_type="error_log"))
    return tmp_path / "log"


@pytest.fixture
def ask(root: Path) -> Ask:
    """Return a function that runs SQL and returns its rows."""

    def run(sql: str, *given: Any, **options: Any) -> list[dict[str, Any]]:
        with run_query(root, sql, *given, **options) as rows:
            found: list[dict[str, Any]] = rows.reader.read_all().to_pylist()
        return found

    return run


def test_a_query_joins_flat_tables_records_and_all_events(ask: Ask) -> None:
    """A query may read a table more than once; parameters are values, not SQL."""
    sql = """
        SELECT f.event_id, r.operation_details.execution_time_ms AS ms, e.log_type
        FROM operations f JOIN database_operations r USING (event_id) JOIN events e USING (event_id)
        WHERE f.success = $success AND r.operation_details.operation_type = $type
        ORDER BY 1
    """
    assert ask(sql, {"success": True, "type": "add_lead"}) == [
        {"event_id": "e1", "ms": 1.0, "log_type": "database_operation"},
        {"event_id": "e3", "ms": 3.0, "log_type": "database_operation"},
    ]
    assert ask("SELECT count(*) AS n FROM events WHERE event_id = $x", {"x": "' OR 1=1"}) == [
        {"n": 0}
    ]


def test_since_and_until_hold_for_every_table(ask: Ask) -> None:
    """A time limits all tables alike."""
    since, until = "2026-11-23T00:00:00.000002Z", "2026-11-23T00:00:00.000004Z"
    found = ask("SELECT list(event_id ORDER BY 1) AS l FROM events", since=since, until=until)
    assert found == [{"l": ["e2", "e3"]}]


def test_damaged_lines_are_told_with_the_result(root: Path) -> None:
    """Damage is counted in what the query read, and only there."""
    with run_query(root, "SELECT max(timestamp) AS t FROM operations WHERE success") as rows:
        assert rows.reader.read_all().num_rows == 1
    assert rows.damaged_lines == 1
    assert rows.first_damaged is not None
    assert rows.first_damaged[0].endswith("2026-11-23.jsonl")
    with run_query(root, "SELECT count(*) FROM errors") as rows:
        rows.reader.read_all()
    assert rows.damaged_lines == 0


def test_two_columns_of_one_name_both_come(ask: Ask) -> None:
    """The second column gets a distinct name."""
    assert ask("SELECT 1 AS a, 2 AS a, 3 AS a_2") == [{"a": 1, "a_2": 2, "a_2_2": 3}]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "SELECT * FROM operation",
            r"no table operation \(did you mean operations\?\); there are database_op.*, events$",
        ),
        ("SELECT * FROM nothing_like_it", "no table nothing_like_it; there are database_op"),
        ("SELECT sucess FROM operations", '"sucess" not found'),
        ("SELEC 1", "syntax error"),
        ("", "no SQL statement"),
        ("SELECT $missing", "missing"),
    ],
)
def test_wrong_sql_is_an_error_that_says_where(ask: Ask, sql: str, says: str) -> None:
    """The error is DuckDB's message, with the closest name if there is one."""
    with pytest.raises(QueryError, match=says):
        ask(sql)


def test_a_reader_may_leave_early(root: Path) -> None:
    """The process of an endless result ends with the `with`."""
    before = time.monotonic()
    with run_query(root, "SELECT range AS n FROM range(100000000000)") as rows:
        assert next(rows.reader).num_rows > 0
    assert time.monotonic() - before < 20


def test_a_damaged_parquet_file_is_an_error(root: Path, ask: Ask) -> None:
    """An unreadable file raises an error instead of shortening the result."""
    folder = root / "archive" / "category=sync_operations" / "date=2026-11-22"
    folder.mkdir(parents=True)
    (folder / "part-2026-11-22.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises((ReadError, QueryError), match=r"part-2026-11-22\.parquet"):
        ask("SELECT count(*) FROM syncs")


HOSTILE = [
    "COPY operations TO '{out}'",
    "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
    "WITH x AS (COPY (SELECT 1) TO '{out}') SELECT 1",
    "EXPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "ATTACH '{out}' AS other (TYPE sqlite)",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_csv('{secret}', header = false)",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM read_ndjson_objects('{secret}')",
    "SELECT * FROM read_parquet('{parquet}')",
    "SELECT * FROM parquet_metadata('{parquet}')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_text('file://{secret}')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_csv('/dev/fd/0')",
    "SELECT * FROM read_text('http://127.0.0.1:{port}/x')",
    "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM query_table(['{secret}'])",
    "SELECT getenv('LEADLOG_TEST_SECRET')",
    "INSTALL httpfs",
    "LOAD '{secret}'",
    "LOAD httpfs",
    "IMPORT DATABASE '{folder}'",
    "SET enable_external_access = true; SELECT * FROM read_text('{secret}')",
    "RESET enable_external_access; SELECT * FROM read_text('{secret}')",
    "SET temp_directory = '{folder}'; SELECT 1",
    "SET allowed_directories = ['{folder}']; SELECT * FROM read_text('{secret}')",
    "SET lock_configuration = false; SET enable_external_access = true; SELECT 1",
    "PRAGMA enable_profiling; PRAGMA profiling_output = '{out}'; SELECT 1",
    "PRAGMA log_query_path = '{out}'; SELECT 1",
    "CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "CREATE PERSISTENT SECRET s (TYPE http)",
    "CHECKPOINT '{out}'; SELECT * FROM read_text('{secret}')",
    "CREATE TABLE t AS SELECT * FROM read_text('{secret}'); SELECT * FROM t",
    "CREATE MACRO m(p) AS TABLE SELECT * FROM read_text(p); SELECT * FROM m('{secret}')",
    "PREPARE p AS SELECT * FROM read_text($1); EXECUTE p('{secret}')",
]

ENDLESS = [
    "SELECT count(*) FROM range(1000000000000) a WHERE a.range % 7 = 3",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range > b.range",
    "SELECT list(range) AS l FROM range(10000000000)",
    "SELECT sum(length(repeat('x', 1000000000))) FROM range(1000)",
    "SELECT string_agg(repeat('x', 1000), '') AS s FROM range(10000000)",
    "SELECT a.*, b.* FROM range(100000000) a, range(100000000) b ORDER BY a.range + b.range",
    "SELECT regexp_matches(repeat('a', 100000), '(a+)+$') FROM range(100000000)",
]


ALL = bool(os.environ.get("SOAK"))


@pytest.mark.parametrize("sql", HOSTILE if ALL else HOSTILE[::4])
def test_a_hostile_text_reads_and_writes_nothing(
    sql: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with an error, or with rows without the secret; no new file exists on the disk.

    No connection is made to the port that some of the texts name.
    """
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cr3t\n")
    parquet = tmp_path / "s3cr3t.parquet"
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pytest.importorskip("pyarrow").table({"s": ["s3cr3t"]}), parquet)
    monkeypatch.setenv("LEADLOG_TEST_SECRET", "s3cr3t")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        text = sql.format(
            out=tmp_path / "out",
            secret=secret,
            parquet=parquet,
            folder=tmp_path,
            port=server.getsockname()[1],
        )
        try:
            told = str(ask(text))
        except QueryError as error:
            told = str(error).replace("s3cr3t.parquet", "")
        assert "s3cr3t" not in told
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("sql", ENDLESS if ALL else ENDLESS[:1])
def test_an_endless_text_ends_at_its_limits(sql: str, ask: Ask) -> None:
    """Time or memory runs out, and the process has ended."""
    before = time.monotonic()
    with pytest.raises((QueryLimitError, QueryError)):
        ask(sql, limits=SMALL)
    assert time.monotonic() - before < 20


def test_a_pipe_in_place_of_a_file_hangs_nothing(ask: Ask, tmp_path: Path) -> None:
    """A path that would block forever when opened is refused like any other."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(QueryError, match="disabled by configuration"):
        ask(f"SELECT * FROM read_csv('{tmp_path}/pipe')", limits=SMALL)
    assert threading.active_count() < 20

"""The restricted process that runs SQL of users: it can read the tables and nothing else.

`leadlog.reading.query` starts it. A job is read as JSON from standard input; the result is written
as an Arrow stream to standard output, and one JSON object about the outcome to standard error.

There are two databases: one reads the log's files and never sees the user's SQL; the other runs
that SQL, has no files, no network, no extensions, no way to change its settings, and gets the
tables as Arrow datasets. In addition the system's limits apply: no file can be written.
"""

import contextlib
import json
import os
import re
import resource
import sys
import threading
from difflib import get_close_matches
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds

from leadlog.core.errors import LeadlogError, QueryError
from leadlog.reading.duck import connect, message_of
from leadlog.reading.tables import Tables
from leadlog.reading.washed import remove_copies

__all__ = ["main"]

_ATTEMPTS = 3
_BATCH_ROWS = 8_192
_SPARE_BYTES = 4_000_000_000
"""Address space in addition to the databases' memory: libraries, and allocators' reserves."""
_TELLING = 4_000
_UNKNOWN_TABLE = re.compile(r"Table with name (.+?) does not exist")

_KINDS = (
    (duckdb.InterruptException, "time"),
    (duckdb.OutOfMemoryException, "memory"),
    (MemoryError, "memory"),
    (duckdb.Error, "sql"),
    (pa.ArrowInvalid, "sql"),
    (QueryError, "sql"),
    (LeadlogError, "read"),
    (OSError, "read"),
)


def main() -> int:
    """Run one job; return 0 if its whole result was written."""
    job = json.load(sys.stdin)
    report: dict[str, Any] = {"kind": None, "message": None, "damaged": [0, None]}
    try:
        report["damaged"] = _run(job)
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - any error must reach the other process
        report["kind"] = next((kind for type_, kind in _KINDS if isinstance(error, type_)), "bug")
        report["message"] = _said(error)[:_TELLING] or type(error).__name__
    sys.stderr.write(f"\n{json.dumps(report)}")
    return 0 if report["kind"] is None else 1


def _said(error: Exception) -> str:
    """Return an error's message without the SQL; for an unknown table, add the known ones."""
    text = message_of(error)
    unknown = _UNKNOWN_TABLE.search(text) if isinstance(error, duckdb.CatalogException) else None
    if unknown is None:
        return text
    name = unknown[1]
    near = get_close_matches(name.strip('"').lower(), Tables.names(), 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"no table {name}{hint}; there are {', '.join(Tables.names())}"


def _run(job: dict[str, Any]) -> Any:
    files = connect(memory_mb=job["memory_mb"])
    files.execute("SET temp_directory = ''")
    tables = Tables(files, job["directory"], job["since"], job["until"])
    tables.make_readable()
    sql = _locked(tables, job["memory_mb"], job["threads"])
    _limit(job)
    late = threading.Event()
    timer = threading.Timer(job["seconds"], _stop, (late, sql, files))
    timer.daemon = True
    timer.start()
    try:
        for attempt in range(_ATTEMPTS):
            try:
                _write(sql, job)
                break
            except duckdb.Error as error:
                # A file was compressed or removed after it was listed; list them again.
                if attempt + 1 == _ATTEMPTS or "No files found" not in str(error):
                    raise
    except Exception as error:
        if late.is_set():
            raise duckdb.InterruptException("interrupted") from error
        if tables.unread is not None:
            raise tables.unread from error
        raise
    timer.cancel()
    skipped = tables.damaged()
    first = [str(skipped.places[0][0]), skipped.places[0][1]] if skipped.lines else None
    return [skipped.lines, first]


def _locked(tables: Tables, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Return a database that has the tables and cannot reach anything else."""
    connection = duckdb.connect(config={"python_enable_replacements": False})
    for name in tables.names():
        connection.register(name, _dataset(tables, name))
    for setting in (
        "TimeZone = 'UTC'",
        f"memory_limit = '{memory_mb:d}MB'",
        f"threads = {threads:d}",
        "temp_directory = ''",
        "max_temp_directory_size = '0KB'",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _limit(job: dict[str, Any]) -> None:
    """Limit what this process may do from now on."""
    space = 2 * job["memory_mb"] * 1_000_000 + _SPARE_BYTES
    for limit, value in (
        (resource.RLIMIT_FSIZE, 0),  # no file can grow, anywhere
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, space),
    ):
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(limit, (value, value))


def _stop(late: threading.Event, *connections: duckdb.DuckDBPyConnection) -> None:
    late.set()
    for connection in connections:
        connection.interrupt()


def _write(connection: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> None:
    """Run the SQL and write its rows as they are produced."""
    found = connection.sql(job["sql"], params=job["parameters"] or None)
    if found is None:
        raise QueryError("there is no SQL statement, or one that gives no rows")
    reader = found.to_arrow_reader(_BATCH_ROWS)
    # Nothing is written before the first rows exist, so that the job can be restarted.
    first = next(reader, None)
    with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as stream:
        if first is not None:
            stream.write_batch(first)
        for batch in reader:
            stream.write_batch(batch)
    sys.stdout.buffer.flush()


def _dataset(tables: Tables, name: str) -> ds.Dataset:
    """Return a table as a dataset whose scans read only the columns that they need."""
    schema = tables.schema(name)

    class ProjectedDataset(ds.InMemoryDataset):  # type: ignore[misc]
        def scanner(
            self,
            columns: list[str] | None = None,
            filter: Any = None,  # noqa: A002 - pyarrow's name
            **_: Any,
        ) -> ds.Scanner:
            needed = list(schema.names if columns is None else columns)
            if filter is not None:
                # The columns of a filter are not listed, but its text contains their names.
                said = str(filter)
                needed += [one for one in schema.names if one in said and one not in needed]
            return ds.Scanner.from_batches(
                tables.read(name, needed), columns=columns, filter=filter
            )

    return ProjectedDataset(schema.empty_table())


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    remove_copies()
    # Threads left by an interrupted query would crash the interpreter's regular exit.
    os._exit(status)

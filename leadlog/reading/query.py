"""SQL of users, run over the log in a restricted process.

    from leadlog.reading import run_query

    with run_query("database_logs", "SELECT count(*) AS n FROM operations") as rows:
        print(rows.reader.read_all())

The tables are those of `leadlog.reading.tables`; see `sandbox` for the restrictions. Rows are
streamed, so a long result takes no more memory than a short one.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from leadlog.core.doors import parameter
from leadlog.core.errors import MissingExtraError, QueryError, QueryLimitError, ReadError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Limits", "Rows", "run_query"]

_GRACE_SECONDS = 10.0
"""Time for the process to start, and to stop by itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a query.

    Attributes:
        seconds: time limit, from its start to its last row.
        memory_mb: memory limit of the query in 10^6 bytes, and again as much for reading the files.
        threads: number of threads.
    """

    seconds: float = 60.0
    memory_mb: int = 512
    threads: int = 2


class _QueryProcess(Protocol):
    """A process with pipes for all three streams."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def wait(self) -> int: ...
    def kill(self) -> None: ...


@dataclass(slots=True)
class Rows:
    """The streamed result of a query.

    Attributes:
        reader: the rows, in batches.
        damaged_lines: number of skipped lines; known once the last row was read.
        first_damaged: file and byte offset of the first of them.
    """

    reader: "pa.RecordBatchReader"
    damaged_lines: int = 0
    first_damaged: tuple[str, int] | None = None


@contextmanager
def run_query(
    directory: str | os.PathLike[str],
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    limits: Limits | None = None,
    on_start: Callable[[Callable[[], None]], None] | None = None,
) -> Iterator[Rows]:
    """Run one SQL statement over a log.

    Args:
        directory: the log directory.
        sql: the statement, in DuckDB's dialect.
        parameters: values for `$name` in it.
        since: only events of this time or later, as `timestamp` in the records.
        until: only events before this time.
        limits: limits of the query.
        on_start: called with a function that ends the query from any thread.

    Yields:
        The rows. They must be read within the `with`; the process ends with it.

    Raises:
        QueryError: the SQL or a parameter is wrong, or the SQL attempts a forbidden action.
        QueryLimitError: the query exceeded its time or memory.
        ReadError: a log file cannot be read.
        MissingExtraError: `leadlog[analytics]` is not installed.
    """
    if any(find_spec(name) is None for name in ("duckdb", "pyarrow")):
        raise MissingExtraError(
            "a query needs DuckDB and pyarrow; run: pip install 'leadlog[analytics]'"
        )
    limits = Limits() if limits is None else limits
    job = _job(
        {
            "directory": os.fspath(directory),
            "sql": sql,
            "parameters": dict(parameters or {}),
            "since": since,
            "until": until,
            **asdict(limits),
        }
    )
    with _started() as process:
        timer = threading.Timer(limits.seconds + _GRACE_SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        if on_start is not None:
            on_start(process.kill)
        try:
            process.stdin.write(job)
            process.stdin.close()
            # Imported while the process imports its own modules: together this takes half the time.
            import pyarrow as pa
            import pyarrow.ipc

            try:
                stream = pa.ipc.open_stream(process.stdout)
            except (pa.ArrowInvalid, OSError):
                _end(process, limits, None)
                raise
            rows = Rows(stream)
            schema = _with_distinct_names(stream.schema)
            rows.reader = pa.RecordBatchReader.from_batches(
                schema, _batches(stream, schema, rows, process, limits)
            )
            yield rows
        finally:
            timer.cancel()
            process.kill()


def _job(job: dict[str, Any]) -> bytes:
    try:
        return json.dumps(job).encode()
    except TypeError as error:
        raise QueryError(
            f"a parameter must be text, a number, true, false or null: {error}"
        ) from None


@contextmanager
def _started() -> Iterator["_QueryProcess"]:
    started = subprocess.Popen(
        [sys.executable, "-P", "-m", "leadlog.reading.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # its report fits into a pipe
    )
    with started:
        yield cast("_QueryProcess", started)


def _with_distinct_names(schema: "pa.Schema") -> "pa.Schema":
    """Return a schema with unique names: `a`, `a_2` if SQL gave two columns one name."""
    taken: set[str] = set()
    for number, given in enumerate(schema.names):
        name, count = given, 1
        while name in taken:
            count += 1
            name = f"{given}_{count}"
        taken.add(name)
        schema = schema.set(number, schema.field(number).with_name(name))
    return schema


def _batches(
    stream: "pa.RecordBatchReader",
    schema: "pa.Schema",
    rows: Rows,
    process: _QueryProcess,
    limits: Limits,
) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    try:
        for batch in stream:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    except (pa.ArrowInvalid, OSError):
        _end(process, limits, rows)
        raise
    _end(process, limits, rows)


def _end(process: _QueryProcess, limits: Limits, rows: Rows | None) -> None:
    """Wait for the process and raise the error that it reports."""
    said = process.stderr.read()
    status = process.wait()
    narrow = f"narrow it with {parameter('since', '--since')}"
    timeout = parameter("limits=Limits(seconds=…)", "--timeout")
    try:
        report = json.loads(said.rpartition(b"\n")[2])
    except ValueError:
        if status < 0:
            raise QueryLimitError(
                f"the query was ended: it did not stop after {limits.seconds:g} s, or the system "
                f"had no memory for it; {narrow}, or allow more with {timeout}"
            ) from None
        raise ReadError(
            f"the query's process ended with {status}: {said.decode(errors='replace')[-500:]}"
        ) from None
    message = report["message"]
    if report["kind"] == "time":
        raise QueryLimitError(
            f"the query took more than {limits.seconds:g} s; {narrow}, or allow more with {timeout}"
        )
    if report["kind"] == "memory":
        memory = parameter("limits=Limits(memory_mb=…)", "--memory")
        raise QueryLimitError(
            f"the query needs more than {limits.memory_mb} MB; {narrow}, or allow more with "
            f"{memory} ({message})"
        )
    if report["kind"] == "sql":
        raise QueryError(message)
    if report["kind"] is not None:
        raise ReadError(message)
    if rows is not None:
        rows.damaged_lines, first = report["damaged"]
        rows.first_damaged = None if first is None else (first[0], first[1])

"""DuckDB for readers: connections, literals, paths and errors; independent of the log."""

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from leadlog.core.errors import MissingExtraError, ReadError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "MEMORY_MB",
    "connect",
    "literally",
    "message_of",
    "parquet",
    "path_list",
    "quoted",
    "unreadable",
]

MEMORY_MB = 512
_PATTERN_SIGN = re.compile(r"[*?\[]")


def connect(*, threads: int | None = None, memory_mb: int = MEMORY_MB) -> "DuckDBPyConnection":
    """Return an empty DuckDB database in memory, set up for reading logs.

    Args:
        threads: number of threads; one per processor by default.
        memory_mb: memory limit in 10^6 bytes; beyond it temporary files are used.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError(
            "this needs DuckDB, which is not installed; run: pip install 'leadlog[analytics]'"
        ) from error
    # A table name refers to a table, never to a variable of the caller.
    connection = duckdb.connect(config={"python_enable_replacements": False})
    connection.execute(f"SET memory_limit = '{memory_mb}MB'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET autoinstall_known_extensions = false")
    # A slow query would draw it on standard output, which is for results.
    connection.execute("SET enable_progress_bar = false")
    # Not the working directory, which may belong to anyone.
    spill = Path(tempfile.gettempdir()) / f"leadlog-spill-{os.getuid()}-{os.getpid()}"
    connection.execute(f"SET temp_directory = {quoted(str(spill))}")
    if threads is not None:
        connection.execute(f"SET threads = {threads:d}")
    return connection


def message_of(error: Exception) -> str:
    """Return DuckDB's message on one line, without its copy of the SQL."""
    return " ".join(str(error).partition("\n\nLINE ")[0].split())


def unreadable(what: str, error: Exception) -> ReadError:
    """Return the error to raise when DuckDB could not read files of the log.

    Args:
        what: description of the files.
        error: error of DuckDB or Arrow; names the file if it is at fault.
    """
    import duckdb

    remedy = ""
    if not isinstance(error, duckdb.OutOfMemoryException):
        remedy = "; put a copy of the file from a backup in its place, or move it out of the log"
    return ReadError(f"cannot read {what}: {message_of(error)}{remedy}")


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def literally(path: Path) -> str:
    """Return a path without DuckDB's glob patterns, which it also applies to parameters."""
    return _PATTERN_SIGN.sub(r"[\g<0>]", str(path))


def path_list(paths: Iterable[Path]) -> str:
    """Return paths as a list of SQL literals."""
    return "[" + ", ".join(quoted(literally(path)) for path in paths) + "]"


def parquet(paths: str, *options: str) -> str:
    """Return a call that reads Parquet files regardless of the names of their folders.

    Args:
        paths: SQL of the paths: a parameter, a literal or a list.
        options: further arguments, such as `filename = true`.
    """
    return f"read_parquet({', '.join((paths, 'hive_partitioning = false', *options))})"

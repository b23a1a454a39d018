"""The log as Python objects: single events, or a table as a data frame.

from leadlog.reading import frame, iter_events

for event in iter_events("database_logs", ["error_logs"]):
    print(event["error_details"]["error_message"])

table = frame("database_logs", "operations", ["timestamp", "execution_time_ms"])
table = frame("database_logs", "syncs", kind="pandas", since="2026-11-23T00:00:00.000000Z")
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from leadlog.core.errors import MissingExtraError
from leadlog.reading.duck import connect
from leadlog.reading.events import Skipped
from leadlog.reading.merged import read_merged
from leadlog.reading.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["frame", "iter_events"]

Directory = str | os.PathLike[str]


def iter_events(
    directory: Directory,
    categories: Iterable[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    where: Callable[[Mapping[str, Any]], bool] | None = None,
    skipped: Skipped | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the events of a log unchanged, merged by time; needs no extra.

    Args:
        directory: the log directory.
        categories: folders to read; all six by default.
        since: only events of this time or later, as `timestamp` in the records.
        until: only events before this time.
        where: only events for which this returns true, such as a result of
            `leadlog.reading.where.parse`.
        skipped: counts the lines that are not events.

    Raises:
        ReadError: a file cannot be read.
    """
    first = None if since is None else since[:10]
    for event in read_merged(directory, categories, since=first, skipped=skipped):
        if since is not None and event.timestamp < since:
            continue
        if until is not None and event.timestamp >= until:
            continue
        if where is None or where(event.data):
            yield event.data


@overload
def frame(
    directory: Directory,
    table: str,
    names: list[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    kind: Literal["arrow"] = "arrow",
) -> "pa.Table": ...
@overload
def frame(
    directory: Directory,
    table: str,
    names: list[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    kind: Literal["pandas", "polars"],
) -> Any: ...
def frame(
    directory: Directory,
    table: str,
    names: list[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    kind: Literal["arrow", "pandas", "polars"] = "arrow",
) -> Any:
    """Return a table of `leadlog.reading.tables`, read as a whole.

    Args:
        directory: the log directory.
        table: `operations`, `errors`, …, a category, or `events`.
        names: names of columns; all by default.
        since: only events of this time or later, as `timestamp` in the records.
        until: only events before this time.
        kind: type of the result: a pyarrow table, or a data frame of pandas or Polars.

    Raises:
        ValueError: the table or a column does not exist.
        MissingExtraError: a package is not installed.
        ReadError: a file cannot be read.
    """
    if table not in Tables.names():
        raise ValueError(f"no table {table!r}; there are {', '.join(Tables.names())}")
    with connect() as connection:
        tables = Tables(connection, directory, since, until)
        unknown = set(names or ()) - set(tables.schema(table).names)
        if unknown:
            raise ValueError(
                f"no column {', '.join(sorted(unknown))} in {table}; there are "
                f"{', '.join(tables.schema(table).names)}"
            )
        found = tables.read(table, names).read_all()
    try:
        if kind == "pandas":
            return found.to_pandas()
        if kind == "polars":
            import polars  # type: ignore[import-not-found,unused-ignore]

            return polars.from_arrow(found)
    except ImportError as error:
        raise MissingExtraError(f"this needs {kind}, which is not installed") from error
    return found

"""All that one session did, over all categories, in time order."""

import os
from typing import Any

import orjson

from leadlog.core.clock import format_us
from leadlog.core.layout import CATEGORIES
from leadlog.reading.duck import connect, unreadable
from leadlog.reading.moments import microseconds
from leadlog.reading.scan import scan

__all__ = ["timeline"]

_JSON = ("context", "extra")


def timeline(
    directory: str | os.PathLike[str],
    session_id: str,
    *,
    since: str | None = None,
    until: str | None = None,
) -> list[dict[str, Any]]:
    """The records of one session.

    Args:
        directory: the log directory.
        session_id: of the session.
        since: only events of this moment or later, as `timestamp` in the records.
        until: only events before this moment.

    Returns:
        Each as in the log, except that keys are null that were not there. Ordered by time.

    Raises:
        MissingExtraError: DuckDB is not installed.
        ReadError: a file cannot be read.
    """
    import duckdb

    found: list[dict[str, Any]] = []
    with connect() as connection:
        for category in CATEGORIES:
            files = scan(directory, category, since=since, until=until)
            try:
                select = files.select(connection)
                cursor = connection.execute(
                    f"SELECT * EXCLUDE (date) FROM ({select}) WHERE session_id = $session",  # noqa: S608 - leadlog's own
                    {"session": session_id},
                )
                names = [column[0] for column in cursor.description or ()]
                found += (_record(dict(zip(names, row, strict=True))) for row in cursor.fetchall())
            except duckdb.Error as error:
                raise unreadable("the log", error) from error
    found.sort(key=lambda one: (one["timestamp"], one["event_id"] or ""))
    return found


def _record(row: dict[str, Any]) -> dict[str, Any]:
    row["timestamp"] = format_us(microseconds(row["timestamp"]))
    for key in _JSON:
        if row.get(key) is not None:
            row[key] = orjson.loads(row[key])
    return {key: value for key, value in row.items() if value is not None}

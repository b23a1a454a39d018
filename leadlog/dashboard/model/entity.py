"""The history of one row: who did what to it, the outcomes, and the row as of a point in time."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from leadlog.core.clock import format_us
from leadlog.dashboard.log import Log
from leadlog.reading.events import Skipped
from leadlog.reading.history import history, pushdown_for
from leadlog.reading.index import events_of_row
from leadlog.reading.replay import replay, rows_of

__all__ = ["Timeline", "entity"]

_NEAR_KEYS: Final = 20_000
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Timeline:
    """The history of the row of one class.

    Attributes:
        entity: name of the mapped class; "" for records without one.
        key: the primary key as text.
        entries: the calls, newest first, as plain data; see `leadlog.reading.history.Entry`.
        left_out: number of older calls left out.
        doubts: times at which the log records lost events.
        row: the row as of `at`, as `leadlog replay` prints it; None if it did not exist.
        at: the point in time, as in the records; None for the end of the log.
    """

    entity: str
    key: str
    entries: tuple[Mapping[str, Any], ...]
    left_out: int
    doubts: tuple[Mapping[str, Any], ...]
    row: Mapping[str, Any] | None
    at: str | None


@dataclass(frozen=True, slots=True)
class Timelines:
    """The rows with one key, at most one per class.

    Attributes:
        key: the primary key as text.
        rows: one history for each class.
        near: similar keys, if the log has no call on this one.
    """

    key: str
    rows: tuple[Timeline, ...]
    near: tuple[str, ...]


def entity(log: Log, key: str, *, at: int | None = None, reads: bool = False) -> Timelines:
    """Return the histories of the rows with a key.

    Args:
        log: the log.
        key: the primary key as text.
        at: the point in time as of which the rows are shown, microseconds since 1970; the end of
            the log by default.
        reads: whether to include calls that only read the rows.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    moment = None if at is None else format_us(at)
    with log.index() as index:
        events = [
            event.data
            for event in events_of_row(
                log.directory, index, key, pushdown=pushdown_for(key), skipped=Skipped()
            )
        ]
        found = history(events, key, reads=reads, others=index.keys(_NEAR_KEYS))
    tables = replay(events, at=moment).tables
    rows = []
    for one in found.rows:
        table = tables.get(one.entity)
        row = next(
            (row for row in rows_of(table) if row["_key"] == key) if table else iter(()), None
        )
        entries = one.entries[: -_MOST - 1 : -1]
        rows.append(
            Timeline(
                one.entity,
                key,
                tuple(map(_plain, entries)),
                len(one.entries) - len(entries),
                tuple(doubt._asdict() for doubt in one.doubts),
                row,
                moment,
            )
        )
    return Timelines(key, tuple(rows), found.near)


def _plain(entry: Any) -> dict[str, Any]:
    plain = {field.name: getattr(entry, field.name) for field in fields(entry)}
    for name in ("gap", "lost_update"):
        if plain[name] is not None:
            plain[name] = plain[name]._asdict()
    return plain

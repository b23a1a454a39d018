"""Replay: the tables as they were at a moment, from the committed changes in the log.

    >>> replay([]).tables
    {}

One row takes the memory of its values and about 600 bytes; a deleted one some 200 bytes (its key
and when it went), so that a read that overtook the deletion does not bring it back. Nothing else
grows with the log: doubts and breaks are kept up to a limit, and then only counted.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from leadlog.reading.change import Change, change_of, class_of
from leadlog.reading.doubts import Doubt, Doubts
from leadlog.reading.table import Table

__all__ = ["Replay", "replay", "rows_of"]

_BEGINNING: Final = 1000  # events among which the first call to start is looked for
_WINDOW: Final = 512  # changes; more than threads can overtake
_order = itemgetter(0, 1)  # at and event_id


class Replay:
    """The tables, event by event.

    Args:
        entities: which to replay; all by default.
        at: the moment, as in the records; later events are passed over. None for the end.
        one_table: the name to replay them under, as the classes of one table; None to keep them
            apart.

    Attributes:
        tables: by entity.
        first: when the log begins: the start of the first call, or the time of an earlier event;
            "" for an empty one.
        last: when the last event ended.
        events: how many events were read.
    """

    def __init__(
        self,
        entities: Collection[str] | None = None,
        at: str | None = None,
        one_table: str | None = None,
    ) -> None:
        self._entities = None if entities is None else frozenset(entities)
        self._at = at
        self._one_table = one_table
        self.tables: dict[str, Table] = {}
        self._doubts = Doubts()
        self.first = ""
        self.last = ""
        self.events = 0
        self._held: list[Change] = []

    @property
    def doubts(self) -> list[Doubt]:
        """What makes the replay doubtful, in the order of the log."""
        return self._doubts.kept

    def feed(self, data: Mapping[str, Any]) -> None:
        """Take one event of any type over; never raises, whatever it holds."""
        at: str = data["timestamp"]
        if self._at is not None and at > self._at:
            return
        self.events += 1
        if self.events < _BEGINNING:
            self._begin(at, data)
        self.last = at
        change = change_of(data)
        if change is not None:
            self.apply(change)
        elif data.get("log_type") == "monitoring_data":
            self._health(at, data)

    def _begin(self, at: str, data: Mapping[str, Any]) -> None:
        details = data.get("operation_details")
        started = details.get("started_at") if type(details) is dict else None
        at = min(at, started) if type(started) is str else at
        self.first = min(self.first or at, at)

    def apply(self, change: Change) -> None:
        """Take one change over, in its place in time: some are held to be sorted."""
        if change.entity is not None and self._entities and not self._wanted(change.entity):
            return
        if self._one_table is not None and change.entity is not None:
            change = change._replace(entity=self._one_table)
        if change.outcome == "completed":  # in time or not, it only shows that a row exists
            self._apply(change)
        elif change.outcome in ("committed", "unknown") and change.kind != "read":
            self._held.append(change)
            if len(self._held) >= 2 * _WINDOW:
                self._release(_WINDOW)
        elif change.entity in self.tables:
            self.tables[change.entity].undone(change)

    def _wanted(self, entity: str) -> bool:
        """Return whether an entity was asked for, by its bare name or the whole one."""
        asked = self._entities or ()
        return entity in asked or class_of(entity) in asked

    def _release(self, count: int) -> None:
        self._held.sort(key=_order)
        for change in self._held[:count]:
            self._apply(change)
        del self._held[:count]

    def _apply(self, change: Change) -> None:
        if change.entity is None:
            if change.outcome != "completed":
                self._anybody(change)
            return
        table = self.tables.get(change.entity)
        if table is None:
            table = self.tables[change.entity] = Table(change.entity, self._doubts)
        table.apply(change)

    def finish(self) -> "Replay":
        """Take over what still waits; call it after the last event."""
        self._release(len(self._held))
        for table in self.tables.values():
            table.finish()
        return self

    def _anybody(self, change: Change) -> None:
        """Apply a statement on a table that the record does not name."""
        if change.rows == 0:
            return
        self._doubts.add(
            Doubt(
                "blind_spot" if change.outcome == "committed" else "uncertain",
                change.at,
                change.event_id,
                None,
                change.operation,
                change.kind,
                change.rows,
                None,
            ),
        )

    def _health(self, at: str, data: Mapping[str, Any]) -> None:
        info = data.get("monitoring_info")
        if type(info) is not dict or info.get("monitoring_type") != "log_health":
            return
        points = info.get("data_points")
        if (
            type(points) is not dict
            or points.get("condition") != "dropping"
            or points.get("category") != "database_operations"
        ):
            return
        event_id, lines = data.get("event_id"), points.get("lines")
        self._doubts.add(
            Doubt(
                "dropped",
                at,
                event_id if type(event_id) is str else "",
                None,
                operation=str(points.get("state")),
                detail=str(points.get("detail")),
                lines=lines if type(lines) is int else None,
            ),
        )


def replay(
    events: Iterable[Mapping[str, Any]],
    *,
    entities: Collection[str] | None = None,
    at: str | None = None,
    one_table: str | None = None,
) -> Replay:
    """Return the tables after these events.

    Args:
        events: decoded lines, nearly in time order (see `leadlog.reading.merged`).
        entities: which to replay; all by default.
        at: the moment, as in the records.
        one_table: as `Replay` has it.
    """
    found = Replay(entities, at, one_table)
    feed = found.feed
    for data in events:
        feed(data)
    return found.finish()


def rows_of(table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as plain objects, by key.

    Each has `_key` and then every column that is known, by name. What is not known is under
    `_unknown`: the columns, and `*` where any other column may have a value too. `_uncertain` is
    true where it is not known whether the row is there.
    """
    names = sorted(table.columns)
    for key in sorted(table.rows):
        row = table.rows[key]
        found: dict[str, Any] = {"_key": key}
        unknown: list[str] = []
        for name in names:
            if table.why_unknown(row, name) is None:
                found[name] = row.values.get(name)
            elif row.whole or name in row.unknown or name in row.values:
                unknown.append(name)
        whole = row.whole and table.overwritten(row) is not None
        if unknown or not whole:
            found["_unknown"] = unknown if whole else [*unknown, "*"]
        if table.may_be_gone(row):
            found["_uncertain"] = True
        yield found

"""Replay: the tables as of a given time, from the committed changes in the log.

    >>> replay([]).tables
    {}

A row takes the memory of its values and about 600 bytes; a deleted one some 200 bytes (its key and
time of deletion), so that a read that overtook the deletion does not restore it. Nothing else grows
with the log: doubts and gaps are kept up to a limit, and then only counted.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from leadlog.reading.change import Change, change_of, class_of
from leadlog.reading.doubts import Doubt, Doubts
from leadlog.reading.table import Table

__all__ = ["Replay", "replay", "rows_of"]

_BEGINNING: Final = 1000  # events among which the first call to start is searched
_WINDOW: Final = 512  # changes; more than threads can overtake
_order = itemgetter(0, 1)  # at and event_id


class Replay:
    """The tables, built event by event.

    Args:
        entities: classes to replay; all by default.
        at: the time of the state, as in the records; later events are ignored. None for the end.
        one_table: the name under which to replay all of them, as classes of one table; None to keep
            them separate.

    Attributes:
        tables: tables by entity.
        first: beginning of the log: the start of the first call, or the time of an earlier event;
            "" for an empty log.
        last: end of the last event.
        events: number of events read.
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
        """The doubts about the replay, in the order of the log."""
        return self._doubts.kept

    def feed(self, data: Mapping[str, Any]) -> None:
        """Process one event of any type; never raises, whatever it contains."""
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
        """Apply a change in order of time; some are held back to be sorted."""
        if change.entity is not None and self._entities and not self._wanted(change.entity):
            return
        if self._one_table is not None and change.entity is not None:
            change = change._replace(entity=self._one_table)
        if change.outcome == "completed":  # regardless of order, it only shows that a row exists
            self._apply(change)
        elif change.outcome in ("committed", "unknown") and change.kind != "read":
            self._held.append(change)
            if len(self._held) >= 2 * _WINDOW:
                self._release(_WINDOW)
        elif change.entity in self.tables:
            self.tables[change.entity].undone(change)

    def _wanted(self, entity: str) -> bool:
        """Return whether an entity was requested, by its bare or qualified name."""
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
        """Apply the changes still held back; call it after the last event."""
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
    """Return the tables after some events.

    Args:
        events: decoded lines, nearly in time order (see `leadlog.reading.merged`).
        entities: classes to replay; all by default.
        at: the time of the state, as in the records.
        one_table: as for `Replay`.
    """
    found = Replay(entities, at, one_table)
    feed = found.feed
    for data in events:
        feed(data)
    return found.finish()


def rows_of(table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as plain objects, by key.

    Each has `_key` and then every known column by name. `_unknown` lists the unknown columns, and
    `*` if any other column may have a value too. `_uncertain` is true if the row's existence is
    uncertain.
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

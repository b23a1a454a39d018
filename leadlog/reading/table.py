"""One entity's rows, change by change, in the order of the database.

Events are sorted by time, but of two calls on one row the earlier may have ended slightly later by
its own clock. `old` values reveal the database's order: a change that does not fit waits for the
one that leads to it, up to `PATIENCE_US` of the log's time. If none follows, the change is applied
as it is: it overwrote one that it had not read (see `LostUpdate`), or something in between is
missing in the log (see `Gap`).
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Literal

from leadlog.core.clock import format_us, parse
from leadlog.reading.change import Change, Kind
from leadlog.reading.doubts import Doubt, Doubts
from leadlog.reading.rows import BEFORE_LOG, BULK, UNCERTAIN, Gap, LostUpdate, Row, same

__all__ = ["Table"]

PATIENCE_US: Final = 2_000_000
_WAITING: Final = 16  # changes of one row
_GAPS_KEPT: Final = 100


class Table:
    """The rows of one entity.

    Attributes:
        entity: the mapped class's name.
        rows: the rows by primary key as text.
        gone: times of deletion by key.
        columns: all columns seen so far.
        gaps: the first gaps, up to a limit.
        gap_count: number of gaps.
        lost_updates: the first lost updates, up to a limit.
        lost_update_count: number of lost updates.
        sampled: fraction of records that was kept, by operation_type, for writes.
        first: end of the first change.
        last: end of the last change.
        writes: number of committed changes.
    """

    def __init__(self, entity: str, doubts: Doubts) -> None:
        self.entity = entity
        self.rows: dict[str, Row] = {}
        self.gone: dict[str, str] = {}
        self.columns: set[str] = set()
        self.gaps: list[Gap] = []
        self.gap_count = 0
        self.lost_updates: list[LostUpdate] = []
        self.lost_update_count = 0
        self.sampled: dict[str, float] = {}
        self.first = ""
        self.last = ""
        self.writes = 0
        self._doubts = doubts
        self._waiting: dict[str, list[tuple[Change, int]]] = {}  # and doubts then
        self._deadlines: deque[tuple[str, str]] = deque()
        self._overwritten: dict[tuple[int, str | None], tuple[Any, ...] | None] = {}
        self._deleting: dict[int, bool] = {}
        self._settled = 0  # number of doubts that both caches include

    def apply(self, change: Change) -> None:
        """Apply a change, or hold it back for a short time."""
        if self._deadlines and self._deadlines[0][0] < change.at:
            self._expire(change.at)
        if change.outcome == "completed":
            self._read(change)
            return
        uncertain = change.outcome == "unknown"
        if change.key is not None and change.rows is None and change.kind in ("update", "delete"):
            uncertain = True  # whether such a row existed is unknown
        if change.outcome not in ("committed", "unknown") or change.rows == 0:
            return
        self.first = self.first or change.at
        self.last = change.at
        self.writes += 1
        if change.sample_rate < 1.0:
            self.sampled[change.operation] = change.sample_rate
        if change.columns:
            self.columns.update(change.columns)
        keys = change.keys if change.key is None else (change.key,)
        if keys is None:
            self._unnamed(change, uncertain=uncertain)
        elif uncertain:
            for key in keys:
                self._uncertain(key, change)
        elif change.key is not None and change.kind is not None:
            self._one(change.key, change)
        else:
            for key in keys:
                self._of_many(key, change)

    def finish(self) -> None:
        """Apply the changes still held back; call it after the last event."""
        for key in list(self._waiting):
            self._force(key)
        self._deadlines.clear()

    # ------------------------------------------------------------------------ what is known of it

    def why_unknown(self, row: Row, column: str) -> str | None:
        """Return why the value of a column is unknown; None if it is known.

        A value that a call on unnamed rows may have overwritten is unknown.
        """
        why = row.why_unknown(column)
        if why is not None:
            return why
        written = self.overwritten(row, column)
        if written is None:
            return BULK
        value = row.values.get(column)
        return None if all(same(value, other) for other in written) else BULK

    def overwritten(self, row: Row, column: str | None = None) -> tuple[Any, ...] | None:
        """Return the values that later calls on unnamed rows may have given to a column.

        Args:
            row: a row of this table.
            column: name of the column; by default one that no record names.

        Returns:
            The values; None if they may have given it any value.
        """
        self._settle()
        place = row.seen(column)
        if (place, column) not in self._overwritten:
            self._overwritten[place, column] = self._written_since(place, column)
        return self._overwritten[place, column]

    def _written_since(self, place: int, column: str | None) -> tuple[Any, ...] | None:
        found: list[Any] = []
        for doubt in self._doubts.since(place):
            if doubt.overwrites(self.entity, column):
                values = () if column is None else doubt.written(column)
                if not values:
                    return None
                found.extend(value for value in values if value not in found)
        return tuple(found)

    def _settle(self) -> None:
        if self._settled != self._doubts.count:
            self._settled = self._doubts.count
            self._overwritten.clear()
            self._deleting.clear()

    def may_be_gone(self, row: Row) -> bool:
        """Return whether a call on unnamed rows or of unknown outcome may have deleted a row."""
        if row.perhaps is not None:
            return True
        self._settle()
        place = row.last_seen()
        if place not in self._deleting:
            self._deleting[place] = any(
                doubt.deletes(self.entity) for doubt in self._doubts.since(place)
            )
        return self._deleting[place]

    # ------------------------------------------------------------------------- one row, certain

    def _one(self, key: str, change: Change) -> None:
        waiting = self._waiting.get(key)
        if not self._fits(key, change):
            if waiting is None:
                waiting = self._waiting[key] = []
            waiting.append((change, self._doubts.count))
            self._deadlines.append((_later(change.at), key))
            if len(waiting) > _WAITING:
                self._force(key)
            return
        self._put(key, change, self._doubts.count)
        while waiting:
            fitting = next((one for one in waiting if self._fits(key, one[0])), None)
            if fitting is None:
                return
            waiting.remove(fitting)
            self._put(key, *fitting)
            if not waiting:
                del self._waiting[key]

    def _fits(self, key: str, change: Change) -> bool:
        row = self._row_of(key, change)
        if change.kind == "create":
            return row is None or row.read_only or row.perhaps is not None
        if row is None:
            return False
        if change.previous is not None:
            there = self.rows.get(key)
            if change.previous in self._waiting or not (there is None or there.read_only):
                return False
        return not row.misfits(change)

    def _row_of(self, key: str, change: Change) -> Row | None:
        """Return the row that a change concerns, as it was before."""
        return self.rows.get(key if change.previous is None else change.previous)

    def _moved(self, key: str, change: Change) -> None:
        """Move the row of an update that changed the primary key to its new key."""
        previous = change.previous
        if previous is not None:
            row = self.rows.pop(previous, None)
            self.gone[previous] = change.at
            if row is not None:
                self.rows[key] = row
                self.gone.pop(key, None)

    def _left(self, key: str, change: Change, *, uncertain: bool) -> None:
        """Remove a row whose new key the record lacks, or mark it if that is uncertain."""
        self._force(key)
        if not uncertain:
            self._remove(key, change)
        elif key in self.rows:
            self.rows[key].perhaps = change.event_id

    def _put(self, key: str, change: Change, seen: int) -> None:
        if change.kind == "delete":
            self._remove(key, change)
            return
        self._moved(key, change)
        row = self.rows.get(key)
        if change.kind == "create" or row is None:
            row = Row(change.at, change.event_id, seen, "" if change.kind == "create" else BULK)
            self.rows[key] = row
            self.gone.pop(key, None)
        row.write(change, seen)

    def _remove(self, key: str, change: Change) -> None:
        self.rows.pop(key, None)
        self.gone[key] = change.at

    def _expire(self, at: str) -> None:
        while self._deadlines and self._deadlines[0][0] < at:
            deadline, key = self._deadlines.popleft()
            waiting = self._waiting.get(key)
            if waiting and _later(waiting[0][0].at) <= deadline:
                self._force(key)

    def _force(self, key: str) -> None:
        """Apply the held-back changes of a row that no other change leads to."""
        waiting = self._waiting.pop(key, [])
        waiting.sort(key=lambda one: (one[0].at, one[0].event_id))
        for change, seen in waiting:
            misfits = () if self._fits(key, change) else tuple(self._misfits(key, change))
            if self._row_of(key, change) is None and change.kind == "update":
                self._moved(key, change)
                row = self.rows[key] = Row(change.at, change.event_id, seen, BEFORE_LOG)
                self.gone.pop(key, None)
                row.write(change, seen)
            else:
                self._put(key, change, seen)
            for misfit in misfits:
                self._note(key, misfit)

    def _misfits(self, key: str, change: Change) -> Iterator[Gap | LostUpdate]:
        """Yield the contradictions that no doubt explains."""
        row = self._row_of(key, change)
        where = change.at, change.event_id, key
        if row is None:
            gone = self.gone.get(change.previous or key)
            if gone is None or change.kind == "create":
                return
            made = any(
                doubt.at >= gone
                and (doubt.touches(self.entity, "create") or doubt.moves(self.entity))
                for doubt in self._doubts.kept
            )
            if not made:
                yield Gap(*where, "created", {})
            return
        if change.kind == "create":
            since = self._doubts.since(row.seen())
            if not any(
                one.touches(self.entity, "delete") or one.moves(self.entity) for one in since
            ):
                yield Gap(*where, "deleted", {})
            return
        changed: dict[str, tuple[Any, Any]] = {}
        lost: dict[str, tuple[Any, Any]] = {}
        overwritten = ""
        for column, (value, old) in row.misfits(change).items():
            event_id = row.overwrote(column, old)
            if event_id is not None:
                lost[column] = value, old
                overwritten = max(overwritten, event_id)
            elif not self._doubted("update", row.seen(column), column):
                changed[column] = value, old
        if changed:
            yield Gap(*where, "changed", changed)
        if lost:
            yield LostUpdate(*where, overwritten, lost)

    def _doubted(self, kind: Kind, since: int, column: str | None = None) -> bool:
        """Return whether a record that does not name its rows may have made such a change."""
        return any(doubt.touches(self.entity, kind, column) for doubt in self._doubts.since(since))

    def _note(self, key: str, misfit: Gap | LostUpdate) -> None:
        row = self.rows.get(key)
        if isinstance(misfit, Gap):
            self.gap_count += 1
            if len(self.gaps) < _GAPS_KEPT:
                self.gaps.append(misfit)
            if row is not None:
                row.gap = misfit
        else:
            self.lost_update_count += 1
            if len(self.lost_updates) < _GAPS_KEPT:
                self.lost_updates.append(misfit)
            if row is not None:
                row.lost = misfit

    # ------------------------------------------------------------------- many rows, or uncertain

    def _unnamed(self, change: Change, *, uncertain: bool) -> None:
        self._doubt(change, "uncertain" if uncertain else "blind_spot")
        if change.previous is not None:
            self._left(change.previous, change, uncertain=uncertain)
        if change.partly and not uncertain:
            for key in change.listed:
                self._of_many(key, change)

    def _of_many(self, key: str, change: Change) -> None:
        self._force(key)
        if change.kind == "delete":
            self._remove(key, change)
            return
        if change.kind is None:
            # It is unknown which values an upsert wrote.
            change = change._replace(columns=None)
        row = self.rows.get(key)
        seen = self._doubts.count
        if change.operation == "mark_for_sync" and row is None:
            return  # it names requested rows, which need not exist
        if row is None or change.kind == "create":
            row = self.rows[key] = Row(change.at, change.event_id, seen, BULK)
            self.gone.pop(key, None)
        row.write(change, seen, BULK)

    def _uncertain(self, key: str, change: Change) -> None:
        self._force(key)
        if change.previous is not None:
            self._left(change.previous, change, uncertain=True)
        row = self.rows.get(key)
        if row is None:
            if change.kind == "delete":
                return
            why = UNCERTAIN if change.kind != "create" or change.columns is None else ""
            row = self.rows[key] = Row(change.at, change.event_id, self._doubts.count, why)
            row.write(change, self._doubts.count, UNCERTAIN)
            if change.kind != "update" or change.previous is not None:
                row.perhaps = change.event_id
        elif change.kind == "delete":
            row.perhaps = change.event_id
        else:
            row.unsettle(change)

    def undone(self, change: Change) -> None:
        """Handle a change that was rolled back: reads in between may have seen its row."""
        for key in change.listed if change.key is None else (change.key,):
            row = self.rows.get(key)
            if row is not None and row.read_only:
                del self.rows[key]

    def _read(self, change: Change) -> None:
        """Record that a row that was read existed, unless its own transaction is rolled back."""
        if not change.rows:
            return
        for key in change.listed if change.key is None else (change.key,):
            if key not in self.rows and key not in self.gone and key not in self._waiting:
                row = Row(change.at, change.event_id, self._doubts.count, BEFORE_LOG)
                row.read_only = True
                row.perhaps = change.event_id
                self.rows[key] = row

    def _doubt(self, change: Change, cause: Literal["blind_spot", "uncertain"]) -> None:
        rows = change.rows
        if rows is not None and change.partly:
            rows -= len(change.listed)
            rows = rows if rows > 0 else None
        self._doubts.add(
            Doubt(
                cause,
                change.at,
                change.event_id,
                self.entity,
                change.operation,
                change.kind,
                rows,
                change.columns,
            ),
        )


def _later(at: str) -> str:
    try:
        return format_us(parse(at) + PATIENCE_US)
    except (ValueError, OverflowError):
        return at

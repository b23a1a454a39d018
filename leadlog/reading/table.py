"""One entity's rows, change by change, in the order of the database.

The order of the database decides. Events come in time order, but of two calls on one row the
earlier may have ended a moment later by its own clock. `old` values tell: a change that does not
fit waits for the one that leads to it, up to `PATIENCE_US` of the log's time. If none comes,
something that is not in the log lies in between (see `Break`), and the change is taken as it is.
"""

from collections import deque
from typing import Final, Literal

from leadlog.core.clock import format_us, parse
from leadlog.reading.change import Change, Kind
from leadlog.reading.rows import BEFORE_LOG, BULK, UNCERTAIN, Break, Doubt, Row

__all__ = ["Table", "keep"]

PATIENCE_US: Final = 2_000_000
_WAITING: Final = 16  # changes of one row
_BREAKS_KEPT: Final = 100
_DOUBTS_KEPT: Final = 10_000


class Table:
    """The rows of one entity.

    Attributes:
        entity: the mapped class's name.
        rows: the rows by primary key as text.
        gone: keys of deleted rows, and when.
        columns: every column that was met.
        breaks: the first records that did not fit.
        break_count: how many there were.
        sampled: operation_type to the share of its records that was kept, for writes.
        first: when the first change ended.
        last: when the last one ended.
        writes: how many committed changes there were.
    """

    def __init__(self, entity: str, doubts: list[Doubt]) -> None:
        self.entity = entity
        self.rows: dict[str, Row] = {}
        self.gone: dict[str, str] = {}
        self.columns: set[str] = set()
        self.breaks: list[Break] = []
        self.break_count = 0
        self.sampled: dict[str, float] = {}
        self.first = ""
        self.last = ""
        self.writes = 0
        self._doubts = doubts
        self._waiting: dict[str, list[tuple[Change, int]]] = {}  # and how many doubts there were
        self._deadlines: deque[tuple[str, str]] = deque()

    def apply(self, change: Change) -> None:
        """Takes one change over, or keeps it for a moment."""
        if self._deadlines and self._deadlines[0][0] < change.at:
            self._expire(change.at)
        if change.outcome == "completed":
            self._read(change)
            return
        uncertain = change.outcome == "unknown"
        if change.key is not None and change.rows is None and change.kind in ("update", "delete"):
            uncertain = True  # whether there was such a row to change is not known
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
            self._doubt(change, "uncertain" if uncertain else "blind_spot")
            if change.partly and not uncertain:
                for key in change.listed:
                    self._of_many(key, change)
        elif uncertain:
            for key in keys:
                self._uncertain(key, change)
        elif change.key is not None and change.kind is not None:
            self._one(change.key, change)
        else:
            for key in keys:
                self._of_many(key, change)

    def finish(self) -> None:
        """Takes over what still waits; call it after the last event."""
        for key in list(self._waiting):
            self._force(key)
        self._deadlines.clear()

    # ------------------------------------------------------------------------- one row, certain

    def _one(self, key: str, change: Change) -> None:
        waiting = self._waiting.get(key)
        if not self._fits(key, change):
            if waiting is None:
                waiting = self._waiting[key] = []
            waiting.append((change, len(self._doubts)))
            self._deadlines.append((_later(change.at), key))
            if len(waiting) > _WAITING:
                self._force(key)
            return
        self._put(key, change, len(self._doubts))
        while waiting:
            fitting = next((one for one in waiting if self._fits(key, one[0])), None)
            if fitting is None:
                return
            waiting.remove(fitting)
            self._put(key, *fitting)
            if not waiting:
                del self._waiting[key]

    def _fits(self, key: str, change: Change) -> bool:
        row = self.rows.get(key)
        if change.kind == "create":
            return row is None or row.read_only or row.perhaps is not None
        if row is None:
            return self._renamed(key, change)
        return not row.misfits(change)

    def _renamed(self, key: str, change: Change) -> bool:
        """Moves the row of an update that changes the primary key; whether it was one."""
        for cell in (change.columns or {}).values():
            if type(cell) is not dict or str(cell.get("new")) != key or "old" not in cell:
                continue
            before = str(cell["old"])
            if before in self.rows and before != key:
                self.rows[key] = self.rows.pop(before)
                self.gone[before] = change.at
                self.gone.pop(key, None)
                return True
        return False

    def _put(self, key: str, change: Change, seen: int) -> None:
        if change.kind == "delete":
            self._remove(key, change)
            return
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
        """Takes over the changes of a row that nothing leads to."""
        waiting = self._waiting.pop(key, [])
        waiting.sort(key=lambda one: (one[0].at, one[0].event_id))
        for change, seen in waiting:
            broken = None if self._fits(key, change) else self._broken(key, change)
            row = self.rows.get(key)
            if row is None and change.kind == "update":
                row = self.rows[key] = Row(change.at, change.event_id, seen, BEFORE_LOG)
                self.gone.pop(key, None)
                row.write(change, seen)
            else:
                self._put(key, change, seen)
            if broken is not None:
                self._note(key, broken)

    def _broken(self, key: str, change: Change) -> Break | None:
        """What does not fit; None where a doubt explains it, or nothing was told before."""
        row = self.rows.get(key)
        where = change.at, change.event_id, key
        if row is None:
            gone = self.gone.get(key)
            if gone is None or change.kind == "create":
                return None
            made = any(
                doubt.at >= gone and doubt.touches(self.entity, "create") for doubt in self._doubts
            )
            return None if made else Break(*where, "created", {})
        if change.kind == "create":
            return None if self._doubted("delete", row.seen()) else Break(*where, "deleted", {})
        columns = {
            column: pair
            for column, pair in row.misfits(change).items()
            if not self._doubted("update", row.seen(column), column)
        }
        return Break(*where, "changed", columns) if columns else None

    def _doubted(self, kind: Kind, since: int, column: str | None = None) -> bool:
        """Whether something that does not tell its rows may have done this to one."""
        return any(doubt.touches(self.entity, kind, column) for doubt in self._doubts[since:])

    def _note(self, key: str, broken: Break) -> None:
        self.break_count += 1
        if len(self.breaks) < _BREAKS_KEPT:
            self.breaks.append(broken)
        row = self.rows.get(key)
        if row is not None:
            row.broke = broken

    # ------------------------------------------------------------------- many rows, or uncertain

    def _of_many(self, key: str, change: Change) -> None:
        self._force(key)
        if change.kind == "delete":
            self._remove(key, change)
            return
        if change.kind is None:
            # Of an upsert it is not known which of its values were written.
            change = change._replace(columns=None)
        row = self.rows.get(key)
        seen = len(self._doubts)
        if change.operation == "mark_for_sync" and row is None:
            return  # it names what was asked for, which need not be there
        if row is None or change.kind == "create":
            row = self.rows[key] = Row(change.at, change.event_id, seen, BULK)
            self.gone.pop(key, None)
        row.write(change, seen, BULK)

    def _uncertain(self, key: str, change: Change) -> None:
        self._force(key)
        row = self.rows.get(key)
        if row is None:
            if change.kind == "delete":
                return
            why = UNCERTAIN if change.kind != "create" or change.columns is None else ""
            row = self.rows[key] = Row(change.at, change.event_id, len(self._doubts), why)
            row.write(change, len(self._doubts), UNCERTAIN)
            if change.kind != "update":
                row.perhaps = change.event_id
        elif change.kind == "delete":
            row.perhaps = change.event_id
        else:
            row.unsettle(change)

    def undone(self, change: Change) -> None:
        """Takes note of a change that did not come to be: reads in between may have seen it."""
        for key in change.listed if change.key is None else (change.key,):
            row = self.rows.get(key)
            if row is not None and row.read_only:
                del self.rows[key]

    def _read(self, change: Change) -> None:
        """A row that was read was there, unless its own transaction made it and was rolled back."""
        if not change.rows:
            return
        for key in change.listed if change.key is None else (change.key,):
            if key not in self.rows and key not in self.gone and key not in self._waiting:
                row = Row(change.at, change.event_id, len(self._doubts), BEFORE_LOG)
                row.read_only = True
                row.perhaps = change.event_id
                self.rows[key] = row

    def _doubt(self, change: Change, cause: Literal["blind_spot", "uncertain"]) -> None:
        rows = change.rows
        if rows is not None and change.partly:
            rows -= len(change.listed)
            rows = rows if rows > 0 else None
        keep(
            self._doubts,
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


def keep(doubts: list[Doubt], doubt: Doubt) -> None:
    """Adds a doubt; beyond a limit the last one stands for all that come."""
    if len(doubts) < _DOUBTS_KEPT:
        doubts.append(doubt)
    else:  # one stands for all that come now: anything, of any row
        doubts[-1] = Doubt("blind_spot", doubt.at, doubt.event_id, None, "and more")


def _later(at: str) -> str:
    try:
        return format_us(parse(at) + PATIENCE_US)
    except (ValueError, OverflowError):
        return at

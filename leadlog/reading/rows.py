"""One row according to the log, and contradictions between changes and rows."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

from leadlog.reading.change import TRUNCATED, Change, unreadable

__all__ = ["BEFORE_LOG", "BULK", "NOT_TOLD", "UNCERTAIN", "Gap", "LostUpdate", "Row", "same"]

NOT_TOLD: Final = "not_told"
BEFORE_LOG: Final = "before_log"
BULK: Final = "bulk"
UNCERTAIN: Final = "uncertain"
_MISSING: Final = object()
_PAST_KEPT: Final = 256  # overwritten values of one row


class Gap(NamedTuple):
    """A record that contradicts earlier ones: something in between is missing in the log.

    Attributes:
        at: end of the contradicting change.
        event_id: event_id of its record.
        key: key of the row.
        what: `changed` (a value was another one before), `deleted` (the row was created again, so
            it had been deleted) or `created` (the row existed again after its deletion).
        columns: for `changed`: (value according to the log, actual value) by column.
    """

    at: str
    event_id: str
    key: str
    what: Literal["changed", "deleted", "created"]
    columns: Mapping[str, tuple[Any, Any]]


class LostUpdate(NamedTuple):
    """A change that overwrote another one without having read it; both are in the log.

    Attributes:
        at: end of the later change.
        event_id: event_id of its record.
        key: key of the row.
        overwritten: event_id of the change whose value was lost; of several, the last one.
        columns: (lost value, older value that the later change had read) by column.
    """

    at: str
    event_id: str
    key: str
    overwritten: str
    columns: Mapping[str, tuple[Any, Any]]


class Row:
    """One row.

    Attributes:
        values: values by column, as logged.
        unknown: reasons by column whose value is unknown: `not_told` (made by the database),
            `masked`, `truncated`, `bulk` (written by a call on many rows), `uncertain`.
        whole: whether columns in neither mapping are null; otherwise they are unknown.
        why: for a row that is not whole: `before_log`, `bulk`, `truncated` or `uncertain`.
        at: time of its last write or, if it was never written, read.
        event_id: event_id of that record.
        perhaps: event_id of a call with unknown outcome that may have created or deleted it, or of
            a read, if nothing else shows it; None for a row that exists.
        read_only: whether it is known only from reads.
        gap: the last gap; None if there is none.
        lost: the last lost update; None if there is none.
    """

    __slots__ = (
        "_later",
        "_past",
        "_seen",
        "at",
        "event_id",
        "gap",
        "lost",
        "perhaps",
        "read_only",
        "unknown",
        "values",
        "whole",
        "why",
    )

    def __init__(self, at: str, event_id: str, seen: int, why: str = "") -> None:
        self.values: dict[str, Any] = {}
        self.unknown: dict[str, str] = {}
        self.whole = not why
        self.why = why
        self.at = at
        self.event_id = event_id
        self.perhaps: str | None = None
        self.read_only = False
        self.gap: Gap | None = None
        self.lost: LostUpdate | None = None
        self._seen = seen
        self._later: dict[str, int] | None = None
        self._past: list[tuple[str, Any, str]] | None = None

    def seen(self, column: str | None = None) -> int:
        """Return the number of doubts when a column, or the row, was last certain."""
        if column is None or self._later is None:
            return self._seen
        return self._later.get(column, self._seen)

    def lost_values(self, column: str) -> tuple[Any, ...]:
        """Return the value that the last lost update of a column overwrote, as a tuple of one.

        If two calls overwrite each other at the same time, the log does not always show which one
        the database executed last.
        """
        lost = self.lost
        if lost is None or lost.event_id != self.event_id or column not in lost.columns:
            return ()
        return (lost.columns[column][0],)

    def last_seen(self) -> int:
        """Return the number of doubts when any value of the row was last recorded."""
        return max(self._seen, *self._later.values()) if self._later else self._seen

    def write(self, change: Change, seen: int, reason: str = NOT_TOLD) -> None:
        """Apply the new values of a change.

        Args:
            change: the change.
            seen: number of doubts so far.
            reason: why values that it omits are unknown.
        """
        if change.columns is None or not change.whole:
            self.forget(reason if change.whole else TRUNCATED)
        values, unknown, cut = self.values, self.unknown, change.cut
        for column, cell in (change.columns or {}).items():
            new = cell.get("new", _MISSING) if type(cell) is dict else _MISSING
            if new is _MISSING:
                why: str | None = unreadable(cell) or reason
            else:
                why = TRUNCATED if column in cut else unreadable(new)
            if column in values or (self.whole and column not in unknown):
                self._remember(column, values.get(column), change.event_id)
            if why is None:
                values[column] = new
                if unknown:
                    unknown.pop(column, None)
            else:
                values.pop(column, None)
                unknown[column] = why
            if seen != self._seen:
                if self._later is None:
                    self._later = {}
                self._later[column] = seen
        self.at, self.event_id = change.at, change.event_id
        self.read_only = False
        self.perhaps = None

    def _remember(self, column: str, value: Any, overwritten_by: str) -> None:
        if self.event_id == overwritten_by:
            return  # the row was created by this very change
        if self._past is None:
            self._past = []
        elif len(self._past) >= _PAST_KEPT:
            del self._past[0]
        self._past.append((column, value, overwritten_by))

    def overwrote(self, column: str, value: Any) -> str | None:
        """Return the event_id of the change that replaced a column's earlier value.

        Args:
            column: name of the column.
            value: the earlier value.

        Returns:
            The event_id; None if the column never had the earlier value, as far as is remembered.
        """
        past = [(before, event_id) for name, before, event_id in self._past or () if name == column]
        return past[-1][1] if any(same(before, value) for before, _ in past) else None

    def forget(self, why: str) -> None:
        """Forget all values."""
        self.values.clear()
        self.unknown.clear()
        self.whole = False
        self.why = why

    def unsettle(self, change: Change) -> None:
        """Mark the columns of a change as uncertain: they may have been written or not."""
        if change.columns is None:
            self.forget(UNCERTAIN)
        for column in change.columns or ():
            self.values.pop(column, None)
            self.unknown[column] = UNCERTAIN

    def misfits(self, change: Change) -> dict[str, tuple[Any, Any]]:
        """Return (value in the row, `old`) by column whose `old` differs from the row."""
        found: dict[str, tuple[Any, Any]] = {}
        values = self.values
        for column, cell in (change.columns or {}).items():
            if type(cell) is not dict or "old" not in cell:
                continue
            old = cell["old"]
            have = values.get(column, _MISSING)
            if have is _MISSING:
                if column in self.unknown or not self.whole:
                    continue
                have = None
            if have != old and not _unclear(change, column, old) and not same(have, old):
                found[column] = (have, old)
        return found

    def why_unknown(self, column: str) -> str | None:
        """Return why a column's value is unknown; None if it is known."""
        if column in self.values:
            return None
        return self.unknown.get(column) or (None if self.whole else self.why)


def _unclear(change: Change, column: str, old: Any) -> bool:
    return column in change.cut or unreadable(old) is not None


def same(one: Any, other: Any) -> bool:
    """Return whether two logged values are equal, perhaps in different notation.

    A value as it was set may differ from the one the database returned: "1.5" and "1.50".
    """
    if one == other:
        return True
    if type(one) in (str, int, float) and type(other) in (str, int, float):
        try:
            return Decimal(str(one)) == Decimal(str(other))
        except InvalidOperation:
            return False
    return False

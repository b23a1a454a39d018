"""Calls that may have changed rows without saying which, and times of lost records."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from leadlog.reading.change import Kind, unreadable

__all__ = ["Doubt", "Doubts"]

_KEPT: Final = 10_000
_MORE: Final = "and more"


class Doubt(NamedTuple):
    """Something after which rows may be other than the log says.

    Attributes:
        cause: `blind_spot` (a committed call that does not say which rows it changed),
            `uncertain` (the same of a call whose outcome is not known) or `dropped` (records
            were lost).
        at: when it ended, or was noticed.
        event_id: of the record that shows it.
        entity: whose rows; None for any.
        operation: the call's `operation_type`.
        kind: what it did to rows; None for anything.
        rows: how many rows; None where that is not known.
        columns: what it may have changed; None for anything.
        detail: for `dropped`: the causes.
        lines: for `dropped`: how many records.
    """

    cause: Literal["blind_spot", "uncertain", "dropped"]
    at: str
    event_id: str
    entity: str | None
    operation: str = ""
    kind: Kind | None = None
    rows: int | None = None
    columns: Mapping[str, Mapping[str, Any]] | None = None
    detail: str = ""
    lines: int | None = None

    def touches(self, entity: str, kind: Kind, column: str | None = None) -> bool:
        """Return whether it may have done such a thing to a row, or to a column of it."""
        if self.entity is not None and self.entity != entity:
            return False
        if self.kind is not None and self.kind != kind:
            return False
        return column is None or self.columns is None or column in self.columns

    def moves(self, entity: str, keys: Collection[str] = ()) -> bool:
        """Return whether it may have given a row another primary key.

        Args:
            entity: the mapped class's name.
            keys: names of its primary key's columns, as far as they are known.
        """
        return self.touches(entity, "update") and (
            self.columns is None or not self.columns.keys().isdisjoint(keys)
        )

    def overwrites(self, entity: str, column: str | None = None) -> bool:
        """Return whether it is a call of this class that wrote a column of rows it does not name.

        A call of no known class, and lost records, are doubts about everything; that a value is
        stale does not follow from them.
        """
        if self.operation == _MORE:
            return self.entity in (entity, None)
        if self.cause == "dropped" or self.entity != entity:
            return False
        if self.kind not in ("update", None):
            return False
        return self.columns is None or (column is not None and column in self.columns)

    def deletes(self, entity: str) -> bool:
        """Return whether it is a call that deleted rows of this class, and does not name them."""
        if self.operation == _MORE:
            return self.entity in (entity, None)
        return self.cause != "dropped" and self.entity == entity and self.kind == "delete"

    def written(self, column: str) -> tuple[Any, ...]:
        """Return the value that it wrote to a column of some rows.

        Nothing where it is not known.
        """
        cell = (self.columns or {}).get(column)
        if not isinstance(cell, Mapping) or "new" not in cell:
            return ()
        return () if unreadable(cell["new"]) else (cell["new"],)


class Doubts:
    """All doubts in the order of the log, each at a place that later ones do not change.

    Beyond a limit the last one stands for all that come.

    Attributes:
        kept: the doubts.
        count: how many there were; the place of the next one.
    """

    def __init__(self) -> None:
        self.kept: list[Doubt] = []
        self.count = 0

    def add(self, doubt: Doubt) -> None:
        """Add a doubt."""
        if len(self.kept) < _KEPT:
            self.kept.append(doubt)
        else:  # anything, of any row
            last = self.kept[-1]
            entity = doubt.entity if last.entity == doubt.entity else None
            self.kept[-1] = Doubt("blind_spot", doubt.at, doubt.event_id, entity, _MORE)
        self.count += 1

    def since(self, place: int) -> Iterator[Doubt]:
        """Yield the doubts from a place on."""
        if place < self.count:
            # The last one that is kept stands for all up to the present.
            yield from self.kept[min(place, len(self.kept) - 1) :]

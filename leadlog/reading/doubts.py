"""Doubts: calls that may have changed rows without naming them, and times of lost records."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from leadlog.reading.change import Kind, unreadable

__all__ = ["Doubt", "Doubts"]

_KEPT: Final = 10_000
_MORE: Final = "and more"


class Doubt(NamedTuple):
    """An event after which rows may differ from the log.

    Attributes:
        cause: `blind_spot` (a committed call that does not name the rows it changed), `uncertain`
            (such a call with an unknown outcome) or `dropped` (records were lost).
        at: end of the call, or the time at which the loss was noticed.
        event_id: event_id of the record that shows it.
        entity: class of the rows; None for any.
        operation: the call's `operation_type`.
        kind: kind of change; None for any.
        rows: number of rows; None if unknown.
        columns: columns that it may have changed; None for any.
        detail: for `dropped`: the causes.
        lines: for `dropped`: number of records.
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
        """Return whether it may have made such a change to a row, or to a column of it."""
        if self.entity is not None and self.entity != entity:
            return False
        if self.kind is not None and self.kind != kind:
            return False
        return column is None or self.columns is None or column in self.columns

    def moves(self, entity: str, keys: Collection[str] = ()) -> bool:
        """Return whether it may have changed a row's primary key.

        Args:
            entity: the mapped class's name.
            keys: names of the primary key's columns, as far as known.
        """
        return self.touches(entity, "update") and (
            self.columns is None or not self.columns.keys().isdisjoint(keys)
        )

    def overwrites(self, entity: str, column: str | None = None) -> bool:
        """Return whether it is a call of this class that wrote a column of unnamed rows.

        A call of an unknown class, and lost records, cast doubt on everything; they do not imply
        that a value is stale.
        """
        if self.operation == _MORE:
            return self.entity in (entity, None)
        if self.cause == "dropped" or self.entity != entity:
            return False
        if self.kind not in ("update", None):
            return False
        return self.columns is None or (column is not None and column in self.columns)

    def deletes(self, entity: str) -> bool:
        """Return whether it is a call that deleted unnamed rows of this class."""
        if self.operation == _MORE:
            return self.entity in (entity, None)
        return self.cause != "dropped" and self.entity == entity and self.kind == "delete"

    def written(self, column: str) -> tuple[Any, ...]:
        """Return the value that it wrote to a column of some rows, as a tuple of one.

        The tuple is empty if the value is unknown.
        """
        cell = (self.columns or {}).get(column)
        if not isinstance(cell, Mapping) or "new" not in cell:
            return ()
        return () if unreadable(cell["new"]) else (cell["new"],)


class Doubts:
    """All doubts in the order of the log, each at a fixed index.

    Beyond a limit the last one stands for all later ones.

    Attributes:
        kept: the doubts.
        count: number of doubts so far; the index of the next one.
    """

    def __init__(self) -> None:
        self.kept: list[Doubt] = []
        self.count = 0

    def add(self, doubt: Doubt) -> None:
        """Add a doubt."""
        if len(self.kept) < _KEPT:
            self.kept.append(doubt)
        else:  # may concern any row
            last = self.kept[-1]
            entity = doubt.entity if last.entity == doubt.entity else None
            self.kept[-1] = Doubt("blind_spot", doubt.at, doubt.event_id, entity, _MORE)
        self.count += 1

    def since(self, place: int) -> Iterator[Doubt]:
        """Yield the doubts from an index on."""
        if place < self.count:
            # The last one kept stands for all later ones.
            yield from self.kept[min(place, len(self.kept) - 1) :]

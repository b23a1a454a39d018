"""The rows of the fake Airtable's table, with changes that are applied completely or not at all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any

from leadlog.testing.airtable.fields import Field
from leadlog.testing.airtable.ids import Ids
from leadlog.testing.airtable.merging import MergeIndexes
from leadlog.testing.airtable.refusals import Refusal, no_such_row, unknown_field
from leadlog.testing.airtable.values import NewChoices, is_blank, to_cell

__all__ = ["FakeTable", "RowUpdate", "StoredRow"]


@dataclass(slots=True)
class StoredRow:
    """One record.

    Attributes:
        id: Id of the record, `rec…`.
        created: Time of its creation.
        number: Value of its auto number fields.
        cells: Values by field id; blank values are absent.
        modified: Time of the last change of each cell's value, by field id.
    """

    id: str
    created: datetime
    number: int
    cells: dict[str, Any] = field(default_factory=dict)
    modified: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowUpdate:
    """New, converted values for a row.

    Attributes:
        record_id: Id of the row; None for a new one.
        cells: Values by field id; None clears the cell.
    """

    record_id: str | None
    cells: dict[str, Any]


class FakeTable:
    """One table. Hold `lock` around anything that must not be interleaved.

    Args:
        name: The table's name.
        fields: Its fields, beginning with the primary one.
        ids: Source of identifiers.
        now: Function that returns the time for created and modified times.
    """

    def __init__(
        self, name: str, fields: Iterable[Field], ids: Ids, now: Callable[[], datetime]
    ) -> None:
        self.id = ids.new("tbl")
        self.view_id = ids.new("viw")
        self.name = name
        self.fields = list(fields)
        self.rows: dict[str, StoredRow] = {}
        self.lock = RLock()
        self._ids = ids
        self._now = now
        self._numbers = 0
        self._indexes = MergeIndexes()

    # ------------------------------------------------------------------------------- fields

    def field(self, key: str) -> Field:
        """Return the field with this name or id.

        Raises:
            Refusal: The field does not exist.
        """
        for one in self.fields:
            if key in {one.name, one.id}:
                return one
        raise unknown_field(key)

    def drop(self, removed: Field) -> None:
        """Remove a field and all its values."""
        self.fields.remove(removed)
        for row in self.rows.values():
            row.cells.pop(removed.id, None)
            row.modified.pop(removed.id, None)
        self._indexes.clear()

    def retype(self, old: Field, new: Field) -> None:
        """Change the type of a field; values that do not fit are cleared."""
        new.id = old.id
        self.fields[self.fields.index(old)] = new
        for row in self.rows.values():
            value = row.cells.pop(old.id, None)
            if value is None or new.computed:
                continue
            text = ", ".join(value) if isinstance(value, list) else value
            choices: NewChoices = []
            try:
                kept = to_cell(new, text, typecast=True, new_choices=choices)
            except Refusal:
                continue
            self._add_choices(choices)
            if kept is not None:
                row.cells[old.id] = kept
        self._indexes.clear()

    # --------------------------------------------------------------------------------- rows

    def row(self, record_id: str) -> StoredRow:
        """Return a row.

        Raises:
            Refusal: The row does not exist.
        """
        try:
            return self.rows[record_id]
        except KeyError:
            raise no_such_row(record_id) from None

    def convert(
        self, values: Mapping[str, Any], *, typecast: bool, new_choices: NewChoices
    ) -> dict[str, Any]:
        """Return values in the form of cells, by field id.

        Args:
            values: Values by name or id of the field.
            typecast: Whether values may be converted to fit.
            new_choices: Collects choices that must be created first.

        Raises:
            Refusal: A field does not exist, is computed, or does not accept its value.
        """
        cells = {}
        for key, value in values.items():
            target = self.field(key)
            cells[target.id] = to_cell(target, value, typecast=typecast, new_choices=new_choices)
        return cells

    def matches(self, fields: Sequence[Field], cells: Mapping[str, Any]) -> list[str]:
        """Return the ids of all rows with the same values in the given fields."""
        return self._indexes.find([one.id for one in fields], cells, self.rows)

    def write(self, changes: Sequence[RowUpdate], new_choices: NewChoices) -> list[StoredRow]:
        """Apply all changes, or none if a row does not exist.

        Raises:
            Refusal: A row does not exist.
        """
        for change in changes:
            if change.record_id is not None:
                self.row(change.record_id)
        self._add_choices(new_choices)
        now = self._now()
        return [self._apply(change, now) for change in changes]

    def delete(self, record_ids: Iterable[str]) -> None:
        """Delete rows, all or none.

        Raises:
            Refusal: A row does not exist.
        """
        rows = [self.row(record_id) for record_id in record_ids]
        for row in rows:
            self._indexes.forget(row.id, row.cells)
            del self.rows[row.id]

    def _apply(self, change: RowUpdate, now: datetime) -> StoredRow:
        if change.record_id is None:
            self._numbers += 1
            row = StoredRow(self._ids.new("rec"), now, self._numbers)
            self.rows[row.id] = row
        else:
            row = self.rows[change.record_id]
            self._indexes.forget(row.id, row.cells)
        for field_id, value in change.cells.items():
            if row.cells.get(field_id) == value:
                continue
            row.modified[field_id] = now
            if is_blank(value):
                row.cells.pop(field_id, None)
            else:
                row.cells[field_id] = value
        self._indexes.remember(row.id, row.cells)
        return row

    def _add_choices(self, new_choices: NewChoices) -> None:
        for target, name in new_choices:
            if all(choice["name"] != name for choice in target.choices):
                target.choices.append(
                    {"id": self._ids.new("sel"), "name": name, "color": "blueLight2"}
                )

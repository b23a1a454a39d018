"""The table as a user of Airtable's interface sees and edits it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from leadlog.core.errors import FakeAirtableError
from leadlog.testing.airtable.fields import Field, build_field, refer
from leadlog.testing.airtable.ids import Ids
from leadlog.testing.airtable.refusals import Refusal
from leadlog.testing.airtable.rendering import record_of
from leadlog.testing.airtable.table import FakeTable, RowUpdate
from leadlog.testing.airtable.values import NewChoices

__all__ = ["EditableTable"]


class EditableTable:
    """One table, read and edited as by a user: no API calls, but modified times are set.

    Args:
        table: The table to edit.
        ids: Source of identifiers.
    """

    def __init__(self, table: FakeTable, ids: Ids) -> None:
        self._table = table
        self._ids = ids

    def __len__(self) -> int:
        return len(self._table.rows)

    # ----------------------------------------------------------------------- what is there

    @property
    def table_name(self) -> str:
        """The table's name."""
        return self._table.name

    @property
    def table_id(self) -> str:
        """The table's id, `tbl…`."""
        return self._table.id

    @property
    def fields(self) -> tuple[Field, ...]:
        """The table's fields, beginning with the primary one."""
        with self._table.lock:
            return tuple(self._table.fields)

    def field(self, key: str) -> Field:
        """Return the field with this name or id.

        Raises:
            FakeAirtableError: The field does not exist.
        """
        with self._table.lock, _person():
            return self._table.field(key)

    def records(self) -> list[dict[str, Any]]:
        """Return all records in the form of the API, oldest first."""
        with self._table.lock:
            return [record_of(self._table, row) for row in self._table.rows.values()]

    def record(self, record_id: str) -> dict[str, Any]:
        """Return one record in the form of the API.

        Raises:
            FakeAirtableError: The record does not exist.
        """
        with self._table.lock, _person():
            return record_of(self._table, self._table.row(record_id))

    # -------------------------------------------------------------------- what people do

    def create(self, values: Mapping[str, Any] | None = None) -> str:
        """Add a row as a user does, and return its id.

        Raises:
            FakeAirtableError: A field does not exist, is computed, or does not accept its value.
        """
        return self._write(None, values or {})

    def edit(self, record_id: str, values: Mapping[str, Any]) -> None:
        """Change cells as a user does; None clears a cell.

        Raises:
            FakeAirtableError: See `create`; also if the row does not exist.
        """
        self._write(record_id, values)

    def delete(self, record_id: str) -> None:
        """Delete a row as a user does.

        Raises:
            FakeAirtableError: The row does not exist.
        """
        with self._table.lock, _person():
            self._table.delete([record_id])

    def duplicate(self, record_id: str) -> str:
        """Copy a row with all its values as a user does, and return the copy's id.

        Raises:
            FakeAirtableError: The row does not exist.
        """
        with self._table.lock, _person():
            cells = dict(self._table.row(record_id).cells)
            return self._table.write([RowUpdate(None, cells)], [])[0].id

    def add_field(self, name: str, kind: str = "singleLineText", **options: Any) -> Field:
        """Add a field of any type, including types that the API cannot create.

        Raises:
            FakeAirtableError: The name is taken, or the fake does not have the type.
        """
        with self._table.lock:
            self._refuse_taken(name)
            made = build_field({"name": name, "type": kind, "options": options}, self._ids)
            refer(made, self._table.fields)
            self._table.fields.append(made)
            return made

    def rename_field(self, old: str, new: str) -> None:
        """Rename a field.

        Raises:
            FakeAirtableError: The field does not exist, or the new name is taken.
        """
        with self._table.lock:
            field = self.field(old)
            self._refuse_taken(new)
            field.name = new

    def remove_field(self, key: str) -> None:
        """Remove a field and its values.

        Raises:
            FakeAirtableError: The field does not exist, or is the primary one.
        """
        with self._table.lock:
            field = self.field(key)
            if field is self._table.fields[0]:
                raise FakeAirtableError(f"{field.name!r} is the primary field, which has to stay")
            self._table.drop(field)

    def change_type(self, key: str, kind: str, **options: Any) -> Field:
        """Change the type of a field; values that do not fit are cleared.

        Raises:
            FakeAirtableError: The field does not exist, or the fake does not have the type.
        """
        with self._table.lock:
            old = self.field(key)
            new = build_field({"name": old.name, "type": kind, "options": options}, self._ids)
            refer(new, self._table.fields)
            self._table.retype(old, new)
            return new

    # ----------------------------------------------------------------------------- parts

    def _write(self, record_id: str | None, values: Mapping[str, Any]) -> str:
        choices: NewChoices = []
        with self._table.lock, _person():
            cells = self._table.convert(values, typecast=True, new_choices=choices)
            return self._table.write([RowUpdate(record_id, cells)], choices)[0].id

    def _refuse_taken(self, name: str) -> None:
        if any(field.name == name for field in self._table.fields):
            raise FakeAirtableError(f"there is a field {name!r} already")


@contextmanager
def _person() -> Iterator[None]:
    """Convert a refusal of the table into an error for the Python code that edits it."""
    try:
        yield
    except Refusal as refusal:
        raise FakeAirtableError(refusal.message or refusal.kind) from refusal

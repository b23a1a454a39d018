"""Access to the Airtable table: rows whose values are converted to the lead's types."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import requests
from pyairtable import Api

from leadlog.core.errors import AirtableError, ValidationError
from leadlog.leads.airtable.mapping import FieldMapping
from leadlog.leads.airtable.schema import Binding, RemoteSchema, schema_of
from leadlog.leads.airtable.transport import refusal
from leadlog.leads.store import values

__all__ = ["BATCH", "MISSING_ROW", "PAGE", "RemoteRow", "RemoteTable", "cells_of"]

T = TypeVar("T")

BATCH = 10
"""Maximum number of rows per write."""

PAGE = 100
"""Number of rows per page."""

MISSING_ROW = "ROW_DOES_NOT_EXIST"
_EXPIRED = "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"
# Airtable's error code for a missing row depends on the call.
_ABSENT = frozenset({MISSING_ROW, "MODEL_ID_NOT_FOUND", "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"})
_RESTARTS = 5


@dataclass(frozen=True, slots=True)
class RemoteRow:
    """A row of the table.

    Attributes:
        record_id: Its id.
        created: Time of its creation, in Airtable's format.
        lead_id: The Lead ID in the row; None if it is blank.
        values: Values by field of a lead, converted to the lead's types.
        wrong: Error message by field, for values that a lead cannot store.
        modified: Time of its last change; None if the table has no such field.
    """

    record_id: str
    created: str
    lead_id: str | None
    values: Mapping[str, Any]
    wrong: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None


class RemoteTable:
    """Reads and writes one table through pyairtable.

    Args:
        api: pyairtable's API object, with our transport mounted.
        base_id: Id of the base.
        table: Name or id of the table.
    """

    def __init__(self, api: Api, base_id: str, table: str) -> None:
        self._api = api
        self._base = api.base(base_id)
        self._name = table
        self._typecast = False

    def schema(self) -> RemoteSchema:
        """Return the schema of the table.

        Raises:
            AirtableError: There is no such table, or the token has no permission to read it.
        """
        found = self._call("reading the schema", lambda: self._api.get(self._base.urls.tables))
        return schema_of(found, self._name)

    def create_field(self, schema: RemoteSchema, name: str, what: Mapping[str, Any]) -> None:
        """Create a field.

        Args:
            schema: Schema of the table.
            name: Name of the field.
            what: Its type and options.
        """
        url = self._base.table(schema.table_id).urls.fields
        self._call(
            f"creating the field {name!r}",
            lambda: self._api.post(url, json={"name": name, **what}),
        )

    def bind(self, binding: Binding, *, typecast: bool) -> None:
        """Set the fields that all later calls use.

        Args:
            binding: The fields.
            typecast: Whether Airtable may convert values, and add options to selects.
        """
        self._binding = binding
        # By id: a table may be renamed during the sync.
        self._table = self._base.table(binding.table_id)
        self._typecast = typecast
        self._by_id = {one.id: one for one in binding.fields}

    def pages(self, restarted: Callable[[], None]) -> Iterator[list[RemoteRow]]:
        """Iterate over all rows, page by page; start over if Airtable's iterator expires.

        Args:
            restarted: Called before a restart; rows received so far must be discarded.

        Raises:
            AirtableError: The rows cannot be listed.
        """
        wanted = [self._binding.key.id, *self._by_id]
        if self._binding.modified is not None:
            wanted.append(self._binding.modified)
        for _ in range(_RESTARTS):
            pages = self._table.iterate(page_size=PAGE, fields=wanted)
            try:
                while (
                    page := self._call("listing the rows", partial(next, pages, None))
                ) is not None:
                    yield [self.row(record) for record in page]
                return
            except AirtableError as error:
                if error.code != _EXPIRED:
                    raise
                restarted()
        raise AirtableError(
            f"listing the rows: Airtable forgot the list {_RESTARTS} times ({_EXPIRED}); sync "
            "again when the table is used less",
            code=_EXPIRED,
            status=422,
        )

    def get(self, record_id: str) -> RemoteRow | None:
        """Return a row; None if it does not exist."""
        try:
            return self.row(
                self._call(f"reading row {record_id}", lambda: self._table.get(record_id))
            )
        except AirtableError as error:
            if error.status == 404 or error.code in _ABSENT:
                return None
            raise

    def update(self, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, RemoteRow]:
        """Change fields of rows.

        Args:
            rows: Values by field id, by id of the row; at most 10 rows.

        Returns:
            The changed rows, by id.
        """
        records: list[Any] = [{"id": key, "fields": dict(new)} for key, new in rows.items()]
        done = self._call(
            "changing rows",
            lambda: self._table.batch_update(records, typecast=self._typecast),
        )
        return {row.record_id: row for row in map(self.row, done)}

    def upsert(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, RemoteRow]:
        """Create rows, or update rows that already have the same Lead ID.

        Args:
            rows: Values by field id, including the Lead ID; at most 10 rows.

        Returns:
            The created or changed rows, by Lead ID.
        """
        records = [{"fields": dict(new)} for new in rows]
        key = [self._binding.key.id]
        done = self._call(
            "creating rows",
            lambda: self._table.batch_upsert(records, key, typecast=self._typecast),
        )
        found = map(self.row, done["records"])
        return {row.lead_id: row for row in found if row.lead_id is not None}

    def delete(self, record_ids: Sequence[str]) -> None:
        """Delete rows; at most 10."""
        self._call("deleting rows", lambda: self._table.batch_delete(list(record_ids)))

    def row(self, record: Mapping[str, Any]) -> RemoteRow:
        """Convert a record of a response."""
        cells = record["fields"]
        found: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for one in self._binding.fields:
            try:
                found[one.name] = one.to_local(cells.get(one.id))
            except ValidationError as error:
                wrong[one.name] = str(error)
        return RemoteRow(
            record["id"],
            record.get("createdTime", ""),
            _text(cells.get(self._binding.key.id)),
            found,
            wrong,
            self._modified(cells),
        )

    def _modified(self, cells: Mapping[str, Any]) -> datetime | None:
        if self._binding.modified is None:
            return None
        try:
            return values.moment(cells.get(self._binding.modified), "modified")
        except ValidationError:
            return None

    def _call(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except requests.RequestException as error:
            raise refusal(error, doing) from error
        except (KeyError, TypeError, ValueError) as error:
            raise AirtableError(
                f"{doing}: the answer is not as Airtable's API documents it "
                f"({type(error).__name__}); check airtable_endpoint_url"
            ) from error


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def cells_of(
    fields: Sequence[FieldMapping], new: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, ValidationError]]:
    """Convert values by field of a lead to values by field id, for a write.

    Returns:
        The values by field id, and the errors of values that their field cannot hold, by field of
        the lead.
    """
    cells: dict[str, Any] = {}
    refused: dict[str, ValidationError] = {}
    for one in fields:
        if one.name in new:
            try:
                cells[one.id] = one.to_remote(new[one.name])
            except ValidationError as error:
                refused[one.name] = error
    return cells, refused

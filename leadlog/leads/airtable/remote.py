"""The Airtable table as the sync needs it: rows with values that compare with those of a lead."""

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
"""Most rows of one write."""

PAGE = 100
"""Rows of one page."""

MISSING_ROW = "ROW_DOES_NOT_EXIST"
_EXPIRED = "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"
# What Airtable says of a row that is not there depends on the call.
_ABSENT = frozenset({MISSING_ROW, "MODEL_ID_NOT_FOUND", "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"})
_RESTARTS = 5


@dataclass(frozen=True, slots=True)
class RemoteRow:
    """A row of the table.

    Attributes:
        record_id: Its id.
        created: When it was created, as Airtable writes times.
        lead_id: The lead that it says it is; None where it says none.
        values: By field of a lead, as a lead would have them.
        wrong: Why a field of it cannot be a lead's, by field.
        modified: When somebody last changed it; None where the table does not say.
    """

    record_id: str
    created: str
    lead_id: str | None
    values: Mapping[str, Any]
    wrong: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None


class RemoteTable:
    """Reads and writes one table; every call is made through pyairtable.

    Args:
        api: pyairtable's, with our transport.
        base_id: The base.
        table: Name or id of the table.
    """

    def __init__(self, api: Api, base_id: str, table: str) -> None:
        self._api = api
        self._base = api.base(base_id)
        self._name = table
        self._typecast = False

    def schema(self) -> RemoteSchema:
        """Read what fields the table has.

        Raises:
            AirtableError: There is no such table, or the token may not read it.
        """
        found = self._call("reading the schema", lambda: self._api.get(self._base.urls.tables))
        return schema_of(found, self._name)

    def create_field(self, schema: RemoteSchema, name: str, what: Mapping[str, Any]) -> None:
        """Create a field.

        Args:
            schema: Of the table.
            name: Name of the field.
            what: Its type and options.
        """
        url = self._base.table(schema.table_id).urls.fields
        self._call(
            f"creating the field {name!r}",
            lambda: self._api.post(url, json={"name": name, **what}),
        )

    def bind(self, binding: Binding, *, typecast: bool) -> None:
        """Say which fields are meant from now on.

        Args:
            binding: The fields.
            typecast: Whether Airtable may convert values, and add options to selects.
        """
        self._binding = binding
        # By id: a table may be renamed while we work.
        self._table = self._base.table(binding.table_id)
        self._typecast = typecast
        self._by_id = {one.id: one for one in binding.fields}

    def pages(self, restarted: Callable[[], None]) -> Iterator[list[RemoteRow]]:
        """Iterate over all rows, page by page; from the beginning again where Airtable forgot us.

        Args:
            restarted: Called when what came so far is void.

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
        """Return a row; None if it is not there."""
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
            rows: Values by field id, by row; at most 10 rows.

        Returns:
            The rows as they are now, by id.
        """
        records: list[Any] = [{"id": key, "fields": dict(new)} for key, new in rows.items()]
        done = self._call(
            "changing rows",
            lambda: self._table.batch_update(records, typecast=self._typecast),
        )
        return {row.record_id: row for row in map(self.row, done)}

    def upsert(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, RemoteRow]:
        """Create rows, or change those that carry the same Lead ID already.

        Args:
            rows: Values by field id, that of the Lead ID among them; at most 10 rows.

        Returns:
            The rows as they are now, by Lead ID.
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
        """Read a record of an answer."""
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
    """Return values by field of a lead as values by field id, for a write.

    Returns:
        The values, and why a field of the table cannot hold its value, by field of the lead.
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

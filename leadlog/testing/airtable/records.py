"""The record endpoints: list, get, create, update, replace, upsert, delete."""

from collections.abc import Mapping, Sequence
from typing import Any

from leadlog.testing.airtable.fields import Field
from leadlog.testing.airtable.listing import ListEndpoint
from leadlog.testing.airtable.refusals import Refusal, bad_request, unknown_field
from leadlog.testing.airtable.rendering import record_of
from leadlog.testing.airtable.table import FakeTable, RowUpdate, StoredRow
from leadlog.testing.airtable.values import NewChoices, is_blank

__all__ = ["MOST_RECORDS", "RecordsApi"]

MOST_RECORDS = 10
MERGEABLE = frozenset(
    {
        "currency",
        "date",
        "email",
        "multilineText",
        "multipleSelects",
        "number",
        "percent",
        "phoneNumber",
        "singleLineText",
        "singleSelect",
        "url",
    }
)


class RecordsApi:
    """Handler of requests for the records of one table. Called with the table's lock held.

    Args:
        table: The table.
        listing: The table's list endpoint.
        missing_status: Status for a path to a record that does not exist: 403 or 404.
    """

    def __init__(self, table: FakeTable, listing: ListEndpoint, missing_status: int) -> None:
        self._table = table
        self._listing = listing
        self._missing_status = missing_status

    def list(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return one page of records."""
        return self._listing.page(asked)

    def get(self, record_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return one record."""
        by_id = str(asked.get("returnFieldsByFieldId", "")).lower() in {"1", "true"}
        return record_of(self._table, self._one(record_id), by_id=by_id)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create one record, or up to ten, and return them."""
        choices: NewChoices = []
        changes = [
            RowUpdate(None, self._convert(one, body, choices))
            for one in _records_of(body, ids=False)
        ]
        return self._answer(self._table.write(changes, choices), body)

    def update_one(
        self, record_id: str, body: Mapping[str, Any], *, replace: bool
    ) -> dict[str, Any]:
        """Change one record; `replace` clears the fields that are not given."""
        self._one(record_id)
        choices: NewChoices = []
        cells = self._convert(body, body, choices)
        change = RowUpdate(record_id, self._whole(cells) if replace else cells)
        (row,) = self._table.write([change], choices)
        return record_of(self._table, row, by_id=_by_id(body))

    def update(self, body: Mapping[str, Any], *, replace: bool) -> dict[str, Any]:
        """Change up to ten records, all or none; `performUpsert` creates those without a match."""
        merge_on = self._merge_fields(body.get("performUpsert"))
        choices: NewChoices = []
        changes = []
        for one in _records_of(body, ids=not merge_on):
            cells = self._convert(one, body, choices)
            record_id = one.get("id") or self._merged(merge_on, cells)
            # Replacing clears the fields that are not given; a new record has none to clear.
            changes.append(RowUpdate(record_id, self._whole(cells) if replace else cells))
        named = [change.record_id for change in changes if change.record_id is not None]
        if len(set(named)) < len(named):
            raise Refusal(
                422,
                "INVALID_RECORDS",
                "You cannot update the same record multiple times in a single request.",
            )
        self._refuse_twins(merge_on, changes)
        rows = self._table.write(changes, choices)
        answer = self._answer(rows, body)
        if merge_on:
            pairs = list(zip(rows, changes, strict=True))
            answer["createdRecords"] = [row.id for row, one in pairs if one.record_id is None]
            answer["updatedRecords"] = [row.id for row, one in pairs if one.record_id is not None]
        return answer

    def delete_one(self, record_id: str) -> dict[str, Any]:
        """Delete one record."""
        self._one(record_id)
        self._table.delete([record_id])
        return {"id": record_id, "deleted": True}

    def delete(self, record_ids: Any) -> dict[str, Any]:
        """Delete up to ten records, all or none."""
        if (
            not isinstance(record_ids, list)
            or not 1 <= len(record_ids) <= MOST_RECORDS
            or not all(isinstance(one, str) for one in record_ids)
            or len(set(record_ids)) < len(record_ids)
        ):
            raise Refusal(
                422, "INVALID_RECORDS", "You must provide an array of up to 10 record IDs."
            )
        self._table.delete(record_ids)
        return {"records": [{"id": one, "deleted": True} for one in record_ids]}

    # -------------------------------------------------------------------------------- parts

    def _one(self, record_id: str) -> StoredRow:
        row = self._table.rows.get(record_id)
        if row is not None:
            return row
        if self._missing_status == 404:
            raise Refusal(404, "NOT_FOUND", None)
        raise Refusal(403, "MODEL_ID_NOT_FOUND", "Record not found")

    def _convert(
        self, record: Mapping[str, Any], body: Mapping[str, Any], choices: NewChoices
    ) -> dict[str, Any]:
        values = record.get("fields")
        if not isinstance(values, Mapping):
            raise Refusal(
                422,
                "INVALID_REQUEST_MISSING_FIELDS",
                'Could not find field "fields" in the request body',
            )
        typecast = body.get("typecast") is True
        return self._table.convert(values, typecast=typecast, new_choices=choices)

    def _whole(self, cells: dict[str, Any]) -> dict[str, Any]:
        return {one.id: None for one in self._table.fields if not one.computed} | cells

    def _answer(self, rows: Sequence[StoredRow], body: Mapping[str, Any]) -> dict[str, Any]:
        records = [record_of(self._table, row, by_id=_by_id(body)) for row in rows]
        return {"records": records} if "records" in body else records[0]

    def _merge_fields(self, upsert: Any) -> Sequence[Field]:
        if upsert is None:
            return ()
        keys = upsert.get("fieldsToMergeOn") if isinstance(upsert, Mapping) else None
        if not isinstance(keys, list) or not 1 <= len(keys) <= 3:
            raise bad_request("performUpsert takes one to three fieldsToMergeOn.")
        fields = []
        for key in keys:
            if not isinstance(key, str):
                raise unknown_field(str(key))
            field = self._table.field(key)
            if field.type not in MERGEABLE:
                raise bad_request(f'Field "{field.name}" cannot be used in fieldsToMergeOn.')
            fields.append(field)
        return fields

    def _merged(self, merge_on: Sequence[Field], cells: Mapping[str, Any]) -> str | None:
        for field in merge_on:
            if is_blank(cells.get(field.id)):
                raise bad_request(f'Field "{field.name}" of fieldsToMergeOn has no value.')
        found = self._table.matches(merge_on, cells)
        if len(found) > 1:
            names = ", ".join(f'"{field.name}"' for field in merge_on)
            raise bad_request(f"{len(found)} records match on {names}.")
        return found[0] if found else None

    @staticmethod
    def _refuse_twins(merge_on: Sequence[Field], changes: Sequence[RowUpdate]) -> None:
        new = [
            repr([change.cells.get(field.id) for field in merge_on])
            for change in changes
            if change.record_id is None
        ]
        if merge_on and len(set(new)) < len(new):
            raise bad_request("Two records of the request have the same fieldsToMergeOn.")


def _by_id(body: Mapping[str, Any]) -> bool:
    return body.get("returnFieldsByFieldId") is True


def _records_of(body: Mapping[str, Any], *, ids: bool) -> Sequence[Mapping[str, Any]]:
    if "records" not in body and not ids:
        return [body]
    records = body.get("records")
    if (
        not isinstance(records, list)
        or not 1 <= len(records) <= MOST_RECORDS
        or not all(isinstance(one, Mapping) for one in records)
        or not all(isinstance(one.get("id", None if ids else ""), str) for one in records)
    ):
        raise Refusal(
            422,
            "INVALID_RECORDS",
            "You must provide an array of up to 10 record objects, each with "
            + ('an "id" ID field and ' if ids else "")
            + 'a "fields" object for cell values.',
        )
    return records

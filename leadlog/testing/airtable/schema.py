"""The metadata endpoints: whoami, bases, tables, creation and renaming of fields."""

from collections.abc import Mapping
from typing import Any

from leadlog.core.errors import FakeAirtableError
from leadlog.testing.airtable.fields import COMPUTED, TYPES, build_field
from leadlog.testing.airtable.ids import Ids
from leadlog.testing.airtable.refusals import Refusal, bad_request
from leadlog.testing.airtable.table import FakeTable

__all__ = ["SchemaApi"]

# Options without which Airtable does not create a field of the type; they have no defaults.
_REQUIRED: dict[str, frozenset[str]] = {
    "checkbox": frozenset({"icon", "color"}),
    "currency": frozenset({"precision", "symbol"}),
    "date": frozenset({"dateFormat"}),
    "dateTime": frozenset({"dateFormat", "timeFormat", "timeZone"}),
    "duration": frozenset({"durationFormat"}),
    "multipleSelects": frozenset({"choices"}),
    "number": frozenset({"precision"}),
    "percent": frozenset({"precision"}),
    "rating": frozenset({"icon", "max", "color"}),
    "singleSelect": frozenset({"choices"}),
}


class SchemaApi:
    """Handler of metadata requests of one base with one table. Called with the table's lock held.

    Args:
        base_id: Id of the base.
        user_id: Id of the user of the token.
        table: The table.
        ids: Source of identifiers.
    """

    def __init__(self, base_id: str, user_id: str, table: FakeTable, ids: Ids) -> None:
        self._base_id = base_id
        self._user_id = user_id
        self._table = table
        self._ids = ids

    def whoami(self) -> dict[str, Any]:
        """Return the user of the token."""
        return {"id": self._user_id}

    def bases(self) -> dict[str, Any]:
        """Return all bases."""
        return {
            "bases": [{"id": self._base_id, "name": "Leads", "permissionLevel": "create"}],
        }

    def tables(self) -> dict[str, Any]:
        """Return all tables with their fields."""
        table = self._table
        return {
            "tables": [
                {
                    "id": table.id,
                    "name": table.name,
                    "primaryFieldId": table.fields[0].id,
                    "fields": [field.schema() for field in table.fields],
                    "views": [{"id": table.view_id, "name": "Grid view", "type": "grid"}],
                }
            ]
        }

    def create_field(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a field."""
        kind = body.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            raise bad_request()
        if kind in COMPUTED:
            raise Refusal(
                422,
                "UNSUPPORTED_FIELD_TYPE_FOR_CREATE",
                f"Creating {kind} fields is not supported at this time",
            )
        options = body.get("options") or {}
        if not isinstance(options, Mapping) or not _REQUIRED.get(kind, frozenset()) <= set(options):
            raise Refusal(
                422,
                "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE",
                f"Invalid options for a {kind} field: it needs "
                + (", ".join(sorted(_REQUIRED.get(kind, ()))) or "none"),
            )
        choices = options.get("choices", [])
        if not isinstance(choices, list) or not all(
            isinstance(one, Mapping) and isinstance(one.get("name"), str) for one in choices
        ):
            raise bad_request()
        self._refuse_name(body.get("name"))
        wanted = {key: body.get(key) for key in ("name", "type", "options", "description")}
        try:
            made = build_field(wanted, self._ids)
        except FakeAirtableError as error:
            raise bad_request(str(error)) from error
        self._table.fields.append(made)
        return made.schema()

    def update_field(self, field_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a field's name or description."""
        field = self._table.field(field_id)
        name = body.get("name", field.name)
        if name != field.name:
            self._refuse_name(name)
        field.name = name
        field.description = body.get("description", field.description)
        return field.schema()

    def _refuse_name(self, name: Any) -> None:
        if (
            not isinstance(name, str)
            or not name.strip()
            or any(field.name == name for field in self._table.fields)
        ):
            raise Refusal(
                422, "DUPLICATE_OR_EMPTY_FIELD_NAME", "A field with this name already exists"
            )

"""The check of the Airtable table's fields against those that the sync needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from leadlog.core.errors import AirtableError, SyncError
from leadlog.leads.airtable.mapping import LEAD_ID, FieldMapping, kinds_for

__all__ = ["Binding", "Problem", "RemoteField", "RemoteSchema", "bind", "schema_of"]

COMPUTED = frozenset(
    (
        "aiText",
        "autoNumber",
        "button",
        "count",
        "createdBy",
        "createdTime",
        "externalSyncSource",
        "formula",
        "lastModifiedBy",
        "lastModifiedTime",
        "lookup",
        "multipleLookupValues",
        "rollup",
    )
)
"""Types of computed fields, which cannot be written."""

_MODIFIED = "lastModifiedTime"


@dataclass(frozen=True, slots=True)
class RemoteField:
    """A field of the table: its id, its name and its type."""

    id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class RemoteSchema:
    """A table: its id, its name and its fields."""

    table_id: str
    name: str
    fields: tuple[RemoteField, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that prevents the sync of a field of a lead.

    Attributes:
        field: Name of the lead's field.
        name: Name or id of the Airtable field.
        problem: `missing`, `computed` or `wrong_type`.
        kind: Its current type; None if it is missing.
        wanted: Suitable types, best type first.
        message: A description for people, with the remedy.
    """

    field: str
    name: str
    problem: Literal["missing", "computed", "wrong_type"]
    kind: str | None
    wanted: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Binding:
    """The Airtable field of each field of a lead.

    Attributes:
        table_id: Id of the table.
        fields: The fields that are synchronised.
        key: The field with the Lead ID.
        modified: Id of the field with the time of a row's last change; None without one.
        problems: The problems that prevent the sync.
        renamed: New name by old name, for fields that were recognised by their id.
    """

    table_id: str
    fields: tuple[FieldMapping, ...]
    key: FieldMapping
    modified: str | None
    problems: tuple[Problem, ...]
    renamed: Mapping[str, str]

    def known(self, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Return the ids and names to store, so that a renamed field is recognised later.

        Args:
            names: Name in Airtable by field of a lead, as configured.
        """
        return {
            one.name: {"id": one.id, "name": names[one.name]}
            for one in (*self.fields, self.key)
            if one.name in names
        }

    def check(self) -> None:
        """Raise a SyncError that lists all problems, if there are any."""
        if self.problems:
            raise SyncError(
                "the Airtable table does not fit: "
                + "; ".join(problem.message for problem in self.problems)
                + " (leadlog sync schema lists all problems, --create adds missing fields)"
            )


def schema_of(answer: Mapping[str, Any], table: str) -> RemoteSchema:
    """Return the schema of a table from the API's response for its base.

    Args:
        answer: The response of the API.
        table: Name or id of the table.

    Raises:
        AirtableError: The base has no such table.
    """
    tables = answer["tables"]
    # Ids first: the name of a table may equal the id of another one.
    found = next((one for one in tables if one["id"] == table), None) or next(
        (one for one in tables if one["name"] == table), None
    )
    if found is None:
        names = ", ".join(repr(one["name"]) for one in tables) or "none"
        raise AirtableError(
            f"the Airtable base has no table {table!r}; it has {names}; set airtable_table"
        )
    fields = tuple(RemoteField(one["id"], one["name"], one["type"]) for one in found["fields"])
    return RemoteSchema(found["id"], found["name"], fields)


def bind(
    schema: RemoteSchema,
    names: Mapping[str, str],
    key_name: str,
    modified_name: str | None,
    known: Mapping[str, Mapping[str, str]],
) -> Binding:
    """Find the field of the table for each field of a lead.

    Args:
        schema: Schema of the table.
        names: Name or id in Airtable by field of a lead.
        key_name: Name or id of the field with the Lead ID.
        modified_name: Name or id of the field with the time of a row's last change.
        known: The result of `Binding.known` at the last sync; a field renamed since is found by
            its id.

    Raises:
        SyncError: The field for the time of the last change is missing or of the wrong type.
    """
    by_id = {one.id: one for one in schema.fields}
    by_name = {one.name: one for one in schema.fields}
    renamed: dict[str, str] = {}
    problems: list[Problem] = []

    def find(field: str, name: str) -> FieldMapping:
        before = known.get(field, {})
        there = by_id.get(before.get("id", "")) if before.get("name") == name else None
        there = there or by_id.get(name) or by_name.get(name)
        wanted = kinds_for(field)
        if there is None:
            message = f"there is no field {name!r} (for {field}); create it as {wanted[0]}"
            problems.append(Problem(field, name, "missing", None, wanted, message))
            return FieldMapping(field, "", name, wanted[0])
        if name not in {there.name, there.id}:
            renamed[name] = there.name
        if there.kind in COMPUTED:
            message = (
                f"{there.name!r} (for {field}) is computed ({there.kind}) and cannot be written; "
                f"map {field} to another field, or leave it out"
            )
            problems.append(Problem(field, there.name, "computed", there.kind, wanted, message))
        elif there.kind not in wanted:
            message = (
                f"{there.name!r} (for {field}) is of type {there.kind}; change it to {wanted[0]}"
            )
            problems.append(Problem(field, there.name, "wrong_type", there.kind, wanted, message))
        return FieldMapping(field, there.id, there.name, there.kind)

    fields = tuple(find(field, name) for field, name in names.items())
    key = find(LEAD_ID, key_name)
    modified = None
    if modified_name:
        there = by_id.get(modified_name) or by_name.get(modified_name)
        if there is None or there.kind not in {_MODIFIED, "dateTime"}:
            is_what = "missing" if there is None else f"of type {there.kind}"
            raise SyncError(
                f"the Airtable field {modified_name!r} must hold the time of a row's last change, "
                f"but it is {is_what}; give a field of type {_MODIFIED}, or leave "
                "airtable_modified_field empty"
            )
        modified = there.id
    return Binding(schema.table_id, fields, key, modified, tuple(problems), renamed)

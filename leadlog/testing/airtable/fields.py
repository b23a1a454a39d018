"""The fields of the fake Airtable's table: their types, options and schema."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from leadlog.core.errors import FakeAirtableError
from leadlog.testing.airtable.ids import Ids

__all__ = ["COMPUTED", "LEAD_FIELDS", "TYPES", "Field", "build_field", "build_fields", "refer"]

COMPUTED = frozenset({"autoNumber", "createdTime", "formula", "lastModifiedTime"})
_DATE = {"dateFormat": {"name": "iso", "format": "YYYY-MM-DD"}}
_TIME = {**_DATE, "timeFormat": {"name": "24hour", "format": "HH:mm"}, "timeZone": "utc"}
# The default options of each type.
TYPES: dict[str, dict[str, Any]] = {
    "autoNumber": {},
    "checkbox": {"icon": "check", "color": "greenBright"},
    "createdTime": {"result": {"type": "dateTime", "options": _TIME}},
    "currency": {"precision": 2, "symbol": "$"},
    "date": _DATE,
    "dateTime": _TIME,
    "duration": {"durationFormat": "h:mm"},
    "email": {},
    "formula": {
        "formula": "RECORD_ID()",
        "isValid": True,
        "result": {"type": "singleLineText"},
    },
    "lastModifiedTime": {"isValid": True, "result": {"type": "dateTime", "options": _TIME}},
    "multilineText": {},
    "multipleSelects": {"choices": []},
    "number": {"precision": 0},
    "percent": {"precision": 0},
    "phoneNumber": {},
    "rating": {"icon": "star", "max": 5, "color": "yellowBright"},
    "richText": {},
    "singleLineText": {},
    "singleSelect": {"choices": []},
    "url": {},
}

_NEVER_PRIMARY = frozenset(
    {
        "checkbox",
        "createdTime",
        "lastModifiedTime",
        "multipleSelects",
        "rating",
        "richText",
        "singleSelect",
    }
)

LEAD_FIELDS: tuple[Mapping[str, Any], ...] = (
    {"name": "Full Name", "type": "singleLineText"},
    {"name": "Lead ID", "type": "singleLineText"},
    {"name": "Email", "type": "email"},
    {"name": "Company", "type": "singleLineText"},
    {"name": "Job Title", "type": "singleLineText"},
    {"name": "LinkedIn", "type": "url"},
    {"name": "Phone", "type": "phoneNumber"},
    {"name": "Website", "type": "url"},
    {"name": "Location", "type": "singleLineText"},
    {"name": "Industry", "type": "singleLineText"},
    {"name": "Company Size", "type": "singleLineText"},
    {"name": "Verified", "type": "checkbox"},
    {"name": "Enriched", "type": "checkbox"},
    {"name": "Status", "type": "singleLineText"},
    {"name": "Source", "type": "singleLineText"},
    {"name": "Notes", "type": "multilineText"},
    {"name": "Last Modified", "type": "lastModifiedTime"},
)


@dataclass(slots=True)
class Field:
    """One field of the table.

    Attributes:
        id: Id of the field, `fld…`; it never changes.
        name: The field's name, which users may change.
        type: Airtable's name of the type, such as `singleLineText`.
        options: The type's options, in the form of the API.
        description: The field's description, or None.
        normalise: Function that converts a value before the server keeps it; None for none.
    """

    id: str
    name: str
    type: str
    options: dict[str, Any] = field(default_factory=dict)
    description: str | None = None
    normalise: Callable[[Any], Any] | None = None

    @property
    def computed(self) -> bool:
        """Whether Airtable computes its value, so that it cannot be written."""
        return self.type in COMPUTED

    @property
    def choices(self) -> list[dict[str, str]]:
        """The choices of a select field."""
        choices: list[dict[str, str]] = self.options["choices"]
        return choices

    def schema(self) -> dict[str, Any]:
        """Return the field in the form of the metadata API."""
        shown: dict[str, Any] = {"id": self.id, "name": self.name, "type": self.type}
        if self.description is not None:
            shown["description"] = self.description
        if self.options:
            shown["options"] = deepcopy(self.options)
        return shown


def build_field(definition: Mapping[str, Any], ids: Ids) -> Field:
    """Return a field for `{"name": …, "type": …}` with optional options, description, normalise.

    Raises:
        FakeAirtableError: The name is empty, the fake does not have the type, or an option is out
            of range.
    """
    name = definition.get("name")
    kind = definition.get("type", "singleLineText")
    if not isinstance(name, str) or not name.strip():
        raise FakeAirtableError(f"a field needs a name, but got {definition!r}")
    if kind not in TYPES:
        raise FakeAirtableError(
            f"field {name!r} has the type {kind!r}; the fake Airtable has {', '.join(TYPES)}"
        )
    options = deepcopy(TYPES[kind]) | deepcopy(dict(definition.get("options") or {}))
    if "choices" in options:
        options["choices"] = [
            {
                "id": ids.new("sel"),
                "color": "blueLight2",
                **({"name": choice} if isinstance(choice, str) else choice),
            }
            for choice in options["choices"]
        ]
    _check_options(name, options)
    return Field(
        ids.new("fld"),
        name,
        kind,
        options,
        definition.get("description"),
        definition.get("normalise"),
    )


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    most = options.get("max", 1)
    if type(most) is not int or not 1 <= most <= 10:
        raise FakeAirtableError(f"field {name!r} has max {most!r}, which goes from 1 to 10")
    zone = options.get("timeZone", "utc")
    try:
        known = zone in ("utc", "client") or bool(ZoneInfo(zone))
    except (OSError, TypeError, ValueError, ZoneInfoNotFoundError):
        known = False
    if not known:
        raise FakeAirtableError(
            f"field {name!r} has the unknown time zone {zone!r}; take utc or one as Europe/Berlin"
        )


def refer(field: Field, fields: Iterable[Field]) -> None:
    """Replace field names in `referencedFieldIds` of a last-modified field by ids."""
    if named := field.options.get("referencedFieldIds"):
        ids = {one.name: one.id for one in fields}
        field.options["referencedFieldIds"] = [ids.get(name, name) for name in named]


def build_fields(
    definitions: Mapping[str, str] | Iterable[Mapping[str, Any]], ids: Ids
) -> list[Field]:
    """Return all fields; the first is the primary one. A mapping gives types by name.

    Raises:
        FakeAirtableError: There are no fields, names are repeated, or a field is invalid.
    """
    if isinstance(definitions, Mapping):
        definitions = [{"name": name, "type": kind} for name, kind in definitions.items()]
    made = [build_field(definition, ids) for definition in definitions]
    for one in made:
        refer(one, made)
    names = [one.name for one in made]
    if not names or len(set(names)) < len(names):
        raise FakeAirtableError(f"a table needs fields with different names, but got {names}")
    if made[0].type in _NEVER_PRIMARY:
        raise FakeAirtableError(
            f"the first field is the primary one, which {made[0].type} cannot be: {names[0]!r}"
        )
    return made

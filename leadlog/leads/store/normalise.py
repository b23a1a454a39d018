"""Column names of exports and forms, mapped to the fields of a lead.

Case, spaces, underscores and hyphens in a column's name make no difference. A column that is
nobody's alias stays in `raw_data` under its own name and with its own value. No value is ever
lost: where two columns are for one field, the first that is not blank wins and the other one goes
to `raw_data`.

    >>> lead = to_fields({"First Name": "Ada", "Last Name": " King", "E-Mail": "", "Index": 1})
    >>> lead.fields, lead.raw_data
    ({'email': None, 'full_name': 'Ada King'}, {'Index': 1})
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from leadlog.core.errors import ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.models import MAX_TEXT

__all__ = ["NormalisedLead", "field_of", "parse", "to_fields"]

_RAW = "raw_data"

# Which columns a field is known by, without case, spaces, underscores and hyphens.
_ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "full_name": ("fullname", "name", "contactname", "leadname", "personname"),
    "company": (
        "company",
        "companyname",
        "organization",
        "organisation",
        "organizationname",
        "organisationname",
        "accountname",
        "employer",
    ),
    "email": (
        "email",
        "email1",
        "emailaddress",
        "emailaddress1",
        "primaryemail",
        "workemail",
        "businessemail",
    ),
    "title": ("title", "jobtitle", "position", "role"),
    "linkedin_url": (
        "linkedinurl",
        "linkedin",
        "linkedinprofile",
        "linkedinprofileurl",
        "personlinkedinurl",
    ),
    "phone": (
        "phone",
        "phone1",
        "phonenumber",
        "phonenumber1",
        "primaryphone",
        "workphone",
        "mobile",
        "mobilephone",
        "telephone",
        "tel",
    ),
    "website": ("website", "websiteurl", "companywebsite", "companyurl", "homepage"),
    "location": ("location",),
    "industry": ("industry", "companyindustry"),
    "company_size": (
        "companysize",
        "employees",
        "employeecount",
        "numberofemployees",
        "numemployees",
    ),
    "verified": ("verified", "isverified"),
    "enriched": ("enriched", "isenriched"),
    "status": ("status", "dealstage", "leadstatus", "stage"),
    "source": ("source", "leadsource"),
    "notes": ("notes", "note", "comments", "remarks"),
    "sync_pending": ("syncpending",),
    "created_at": ("createdat",),
    "updated_at": ("updatedat",),
    "row_version": ("rowversion",),
    _RAW: ("rawdata",),
}
_FIELD_OF = {alias: field for field, aliases in _ALIASES.items() for alias in aliases}
# In the order in which a name is written.
_NAME_PARTS = {
    "firstname": 0,
    "givenname": 0,
    "middlename": 1,
    "lastname": 2,
    "surname": 2,
    "familyname": 2,
}
# A byte order mark in front of the first column comes with CSV files of spreadsheets.
_IGNORED = re.compile(r"[\s_\-\ufeff]+")

_INDEXED = ("id", "full_name", "company", "email", "status")
_PARSERS: dict[str, Callable[[Any], Any]] = {
    field: partial(values.text, field=field, limit=MAX_TEXT if field in _INDEXED else None)
    for field in _ALIASES
    if field != _RAW
}
for _field in ("verified", "enriched", "sync_pending"):
    _PARSERS[_field] = partial(values.flag, field=_field)
for _field in ("created_at", "updated_at"):
    _PARSERS[_field] = partial(values.moment, field=_field)
_PARSERS["row_version"] = partial(values.version, field="row_version")
# What is no such value stays in `raw_data`.
_OURS = frozenset({"created_at", "updated_at", "row_version"})


@dataclass(frozen=True, slots=True)
class NormalisedLead:
    """A lead with our names for its columns.

    Attributes:
        fields: Typed values by field; None where a column for the field was there, but blank.
        raw_data: All columns that became no field, as JSON has them.
        part_of_name: Whether `full_name` is a first or a last name alone.
    """

    fields: dict[str, Any]
    raw_data: dict[str, Any]
    part_of_name: bool = False


@lru_cache(maxsize=4096)  # a bound for callers whose column names never end
def _squashed(column: str) -> str:
    return _IGNORED.sub("", column).casefold()


def field_of(column: str) -> str | None:
    """Return the field that a column is for; None for a column of nobody's.

    The parts of a name (First Name, Last Name) are for `full_name`.
    """
    squashed = _squashed(column)
    if squashed in _NAME_PARTS:
        return "full_name"
    return _FIELD_OF.get(squashed)


def parse(field: str, value: Any) -> Any:
    """Return a value as the field stores it; None for a blank one.

    Raises:
        ValidationError: The field cannot store the value.
    """
    return _PARSERS[field](value)


def to_fields(lead: Mapping[Any, Any]) -> NormalisedLead:
    """Map the columns of a lead to our fields.

    Args:
        lead: Values by column name. `raw_data` may be a mapping itself, whose columns are taken
            as they are.

    Returns:
        The fields and what else there was. A `created_at` or `updated_at` that is no ISO 8601
        time stays in `raw_data`: what is meant by 03/04/2026 is not guessed. So does a
        `row_version` that is no number.

    Raises:
        ValidationError: The lead is no mapping, or a value cannot be stored.
    """
    if not isinstance(lead, Mapping):
        raise ValidationError(
            f"a lead is a mapping of columns to values, such as a dict, not {values.shown(lead)}"
        )
    fields: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    parts: list[tuple[str, str] | None] = [None, None, None]
    parts_seen = False
    for column, value in lead.items():
        squashed = _squashed(column) if isinstance(column, str) else ""
        if squashed in _NAME_PARTS:
            parts_seen = True
            _take_part(parts, _NAME_PARTS[squashed], column, value, raw)
            continue
        field = _FIELD_OF.get(squashed)
        if field is None:
            _keep(raw, column, value)
        elif field == _RAW:
            _take_raw(raw, column, value)
        else:
            _take(fields, field, column, value, raw)
    part_of_name = False
    if any(parts):
        part_of_name = _compose(fields, parts, raw)
    elif parts_seen:
        fields.setdefault("full_name", None)
    return NormalisedLead(fields, raw, part_of_name)


def _take(fields: dict[str, Any], field: str, column: str, value: Any, raw: dict[str, Any]) -> None:
    try:
        found = _PARSERS[field](value)
    except ValidationError:
        if field not in _OURS:
            raise
        _keep(raw, column, value)
        return
    present = fields.get(field)
    if present is None:
        fields[field] = found
    elif found is not None and found != present:
        _keep(raw, column, value)


def _take_part(
    parts: list[tuple[str, str] | None], place: int, column: str, value: Any, raw: dict[str, Any]
) -> None:
    found = values.text(value, column)
    if found is None:
        return
    present = parts[place]
    if present is None:
        parts[place] = (column, found)
    elif found != present[1]:
        _keep(raw, column, value)


def _compose(
    fields: dict[str, Any], parts: list[tuple[str, str] | None], raw: dict[str, Any]
) -> bool:
    """Make a full name of its parts, unless there is one that says otherwise."""
    given = [part for part in parts if part is not None]
    composed = parse("full_name", " ".join(value for _, value in given))
    if fields.get("full_name") is None:
        fields["full_name"] = composed
        return parts[0] is None or parts[2] is None
    if fields["full_name"] != composed:
        for column, value in given:
            _keep(raw, column, value)
    return False


def _take_raw(raw: dict[str, Any], column: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            _keep(raw, inner, item)
    elif value is not None:
        _keep(raw, column, value)


def _keep(raw: dict[str, Any], column: Any, value: Any) -> None:
    """Put a value under its own name, or under `name (2)` where that is taken."""
    kept = value if type(value) is str else values.plain(value, f"raw_data.{column}")
    wanted = name = column if isinstance(column, str) else str(values.plain(column, "a column"))
    count = 1
    while name in raw and raw[name] != kept:
        count += 1
        name = f"{wanted} ({count})"
    raw[name] = kept

"""The mapping between fields of a lead and Airtable fields, and the conversion of their values.

Values are compared in the lead's form: a row's values are converted first
(`FieldMapping.to_local`), so that a number, a select or a blank can be compared with text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leadlog.core.errors import SettingsError, ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.changing import READ_ONLY
from leadlog.leads.store.models import FIELDS
from leadlog.leads.store.normalise import parse

__all__ = [
    "DEFAULTS",
    "LEAD_ID",
    "FieldMapping",
    "kinds_for",
    "local_values",
    "names_of",
    "new_field",
]

LEAD_ID = "id"
"""The field of a lead that identifies its row; never read from the table."""

DEFAULTS: dict[str, str] = {
    "full_name": "Full Name",
    "email": "Email",
    "company": "Company",
    "title": "Job Title",
    "linkedin_url": "LinkedIn",
    "phone": "Phone",
    "website": "Website",
    "location": "Location",
    "industry": "Industry",
    "company_size": "Company Size",
    "verified": "Verified",
    "enriched": "Enriched",
    "status": "Status",
    "source": "Source",
    "notes": "Notes",
}
"""Default name of the Airtable field, by field of a lead."""

_FLAGS = frozenset({"verified", "enriched"})
_MOMENTS = frozenset({"created_at", "updated_at"})
_LOCAL_ONLY = frozenset({"id", "raw_data", "sync_pending", "row_version"})
_TEXT = (
    "singleLineText",
    "multilineText",
    "richText",
    "email",
    "url",
    "phoneNumber",
    "singleSelect",
)
_NUMBERS = ("number", "currency", "percent", "rating", "duration")
# Numbers that survive a round trip unchanged: no plus sign, leading zeros, exponent or blanks.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_EXACT_DIGITS = 15
_NEW = {
    "email": "email",
    "linkedin_url": "url",
    "website": "url",
    "phone": "phoneNumber",
    "notes": "multilineText",
}


def names_of(configured: Mapping[str, Any]) -> dict[str, str]:
    """Return the Airtable field of each field of a lead: the defaults with overrides applied.

    Args:
        configured: Name or id in Airtable by field of a lead; false or "" leaves a field out.

    Raises:
        SettingsError: A field of a lead does not exist or cannot be synchronised, or a name is
            invalid or used twice.
    """
    found = dict(DEFAULTS)
    for field, name in configured.items():
        if field not in FIELDS or field in _LOCAL_ONLY:
            can = ", ".join(one for one in FIELDS if one not in _LOCAL_ONLY)
            raise SettingsError(f"airtable_fields: {field!r} cannot be synchronised; use {can}")
        if name is False or name == "":
            found.pop(field, None)
        elif isinstance(name, str):
            found[field] = name
        else:
            raise SettingsError(
                f"airtable_fields: {field} = {name!r}; give the name or the id of the field in "
                "Airtable, or false to leave it out"
            )
    if "full_name" not in found:
        raise SettingsError("airtable_fields: full_name cannot be left out; a lead needs a name")
    twice = [name for name in found.values() if list(found.values()).count(name) > 1]
    if twice:
        raise SettingsError(f"airtable_fields: {twice[0]!r} is used for two fields of a lead")
    return found


def kinds_for(field: str) -> tuple[str, ...]:
    """Return the Airtable field types that can hold a field of a lead, best type first."""
    if field == LEAD_ID:
        return ("singleLineText", "multilineText")
    if field in _FLAGS:
        return ("checkbox",)
    if field in _MOMENTS:
        return ("dateTime", "date", "singleLineText")
    best = _NEW.get(field, "singleLineText")
    return (best, *(kind for kind in (*_TEXT, *_NUMBERS) if kind != best))


def new_field(field: str) -> dict[str, Any]:
    """Return type and options of the Airtable field to create for a field of a lead."""
    kind = kinds_for(field)[0]
    if kind == "checkbox":
        return {"type": kind, "options": {"icon": "check", "color": "greenBright"}}
    if kind == "dateTime":
        options = {
            "timeZone": "utc",
            "dateFormat": {"name": "iso"},
            "timeFormat": {"name": "24hour"},
        }
        return {"type": kind, "options": options}
    return {"type": kind}


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A field of a lead and its Airtable field.

    Attributes:
        name: Name of the lead's field.
        id: Id of the Airtable field.
        title: Name of the Airtable field.
        kind: Type of the Airtable field.
    """

    name: str
    id: str
    title: str
    kind: str

    @property
    def ours(self) -> bool:
        """Whether the lead's value always wins."""
        return self.name in READ_ONLY

    def of_lead(self, value: Any) -> Any:
        """Return a value of the store in the form used for comparison."""
        if isinstance(value, datetime):
            return _moment(value, self.kind)
        return value

    def to_remote(self, value: Any) -> Any:
        """Convert a value from the form used for comparison to the API's; None clears the field.

        Raises:
            ValidationError: The Airtable field cannot hold it.
        """
        if value is None or value is False:
            return None if self.kind != "checkbox" else False
        if self.kind in _NUMBERS:
            return self._number(value)
        return value

    def _number(self, value: Any) -> float | int:
        text = str(value)
        remedy = f"map {self.name} to a text field (airtable_fields), or change the value"
        if not _PLAIN_NUMBER.fullmatch(text):
            raise ValidationError(
                f"{self.name} {values.shown(value)} is not a plain number and the Airtable field "
                f"{self.title!r} holds numbers, so it would be altered; {remedy}"
            )
        if len(text.lstrip("-0.").replace(".", "")) > _EXACT_DIGITS:
            raise ValidationError(
                f"{self.name} {values.shown(value)} has more than {_EXACT_DIGITS} digits, which "
                f"the Airtable field {self.title!r} of type {self.kind} does not hold exactly; "
                f"{remedy}"
            )
        number = float(text)
        return int(number) if number.is_integer() else number

    def to_local(self, value: Any) -> Any:
        """Return a value of a row in the form used for comparison.

        Raises:
            ValidationError: A lead cannot store it.
        """
        if self.kind == "checkbox":
            return bool(value)
        if self.name in _MOMENTS:
            try:
                found = values.moment(value, self.name)
            except ValidationError:
                return values.text(value, self.name)  # ours will replace it
            return None if found is None else _moment(found, self.kind)
        return parse(self.name, value)


def _moment(value: datetime, kind: str) -> str:
    """Return a time in Airtable's format: to the millisecond, or the date alone."""
    value = value.astimezone(UTC)
    if kind == "date":
        return value.date().isoformat()
    return f"{value.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def local_values(fields: Sequence[FieldMapping], lead: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a lead by field, in the form used for comparison."""
    return {field.name: field.of_lead(lead[field.name]) for field in fields}

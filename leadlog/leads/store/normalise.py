"""Maps the columns of exports and forms to the fields of a lead.

The mapping is in `leadlog.leads.store.columns`. A column without a field is kept in `raw_data` with
its name and value. No value is ever lost: where two columns map to one field, the more specific
one that is not blank wins, and the other is kept in `raw_data`.

    >>> lead = to_fields({"First Name": "Ada", "Last Name": " King", "E-Mail": "", "Index": 1})
    >>> lead.fields, lead.raw_data
    ({'email': None, 'full_name': 'Ada King'}, {'Index': 1})
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from leadlog.core.errors import ValidationError
from leadlog.leads.store import duplicates, values
from leadlog.leads.store.columns import (
    BY_VALUE,
    FIELD_NAMES,
    KEPT,
    KNOWN_COLUMNS,
    Columns,
    ColumnTarget,
)
from leadlog.leads.store.models import MAX_TEXT

__all__ = ["NormalisedLead", "field_of", "parse", "to_fields"]

_RAW = KEPT

_PARTS, _SUFFIX = 4, 3
_SEVERAL = " ::: "
"""Separator of several values in a cell of Google Contacts; the first is the field's value."""
_BETWEEN = re.compile(r"\s*[,;|\n]\s*|\s+/\s+|\s+")
"""Separator of several e-mail addresses in a cell."""
_LINKED = re.compile(r"([^()]+?) \(https?://\S+\)(?:, |\Z)")
"""A text with the address of its page, as Notion exports a relation."""
_NAMED = frozenset({"full_name", "company"})
_SALUTATIONS = frozenset(
    ("mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "herr", "frau", "fru", "hr", "sir")
)
_INDEXED = ("id", "full_name", "company", "email", "status")
_PARSERS: dict[str, Callable[[Any], Any]] = {
    field: partial(values.text, field=field, limit=MAX_TEXT if field in _INDEXED else None)
    for field in FIELD_NAMES
    if field != _RAW
}
_PARSERS["email"] = partial(values.address, field="email", limit=MAX_TEXT)
_PARSERS["phone"] = partial(values.address, field="phone")
for _field in ("verified", "enriched", "sync_pending"):
    _PARSERS[_field] = partial(values.flag, field=_field)
for _field in ("created_at", "updated_at"):
    _PARSERS[_field] = partial(values.moment, field=_field)
_PARSERS["row_version"] = partial(values.version, field="row_version")
# An invalid value of these fields is kept in `raw_data` instead of being refused.
_OURS = frozenset({"created_at", "updated_at", "row_version"})


@dataclass(frozen=True, slots=True)
class NormalisedLead:
    """A lead with its columns mapped to fields.

    Attributes:
        fields: Typed values by field; None if the field's column was blank.
        raw_data: All columns without a field, as JSON values.
        part_of_name: Whether `full_name` is only a first or a last name.
    """

    fields: dict[str, Any]
    raw_data: dict[str, Any]
    part_of_name: bool = False


_Taken = tuple[str, Any, Any, int]
"""A value taken for a field: its column, the given value, the stored value, and the rank."""


def field_of(column: str) -> str | None:
    """Return the field that a column maps to; None for a column without a field.

    The parts of a name (First Name, Last Name) map to `full_name`.
    """
    place = KNOWN_COLUMNS.place(column)
    if place is None:
        return None
    return "website" if place.field == BY_VALUE else place.field


def parse(field: str, value: Any) -> Any:
    """Return a value converted for the field; None for a blank one.

    Raises:
        ValidationError: The field cannot store the value.
    """
    return _PARSERS[field](value)


def to_fields(lead: Mapping[Any, Any], columns: Columns = KNOWN_COLUMNS) -> NormalisedLead:
    """Map the columns of a lead to our fields.

    Args:
        lead: Values by column name. `raw_data` may itself be a mapping, whose columns are kept as
            they are.
        columns: The mapping from columns to fields.

    Returns:
        The fields and the remaining columns. A `created_at` or `updated_at` that is not an ISO 8601
        time is kept in `raw_data`: an ambiguous date such as 03/04/2026 is not guessed. The same
        holds for a `row_version` that is not a number.

    Raises:
        ValidationError: The lead is not a mapping, or a value cannot be stored.
    """
    if not isinstance(lead, Mapping):
        raise ValidationError(
            f"a lead is a mapping of columns to values, such as a dict, not {values.shown(lead)}"
        )
    taken: dict[str, _Taken] = {}
    raw: dict[str, Any] = {}
    parts: list[_Taken | None] = [None] * _PARTS
    parts_seen = False
    for column, value in lead.items():
        place = columns.place(column) if isinstance(column, str) else None
        if place is None:
            _keep(raw, column, value)
        elif place.part is not None:
            parts_seen = True
            _take_part(parts, place, column, value, raw)
        elif place.field == _RAW:
            _take_raw(raw, column, value)
        elif value is None or (type(value) is str and not value):
            # Most cells of a wide table: blank, whatever the parser.
            field = "website" if place.field == BY_VALUE else place.field
            if field not in taken:
                taken[field] = (column, value, None, place.rank)
        else:
            _take(taken, place, column, value, raw)
    fields = {field: one[2] for field, one in taken.items()}
    part_of_name = False
    if any(parts):
        part_of_name = _compose(fields, taken.get("full_name"), parts, raw)
    elif parts_seen:
        fields.setdefault("full_name", None)
    return NormalisedLead(fields, raw, part_of_name)


def _take(
    taken: dict[str, _Taken], place: ColumnTarget, column: str, value: Any, raw: dict[str, Any]
) -> None:
    field = place.field
    if field == BY_VALUE:
        field = "linkedin_url" if "linkedin.com/" in str(value).casefold() else "website"
    if type(value) is str and (chosen := _first_of(value, field)) is not None:
        _keep(raw, column, value)
        value = chosen
    try:
        found = _PARSERS[field](value)
    except ValidationError:
        if field not in _OURS:
            raise
        _keep(raw, column, value)
        return
    if field == "title" and found is not None and _is_salutation(found):
        _keep(raw, column, value)
        return
    present = taken.get(field)
    if present is None or present[2] is None:
        taken[field] = (column, value, found, place.rank)
    elif found is None:
        return
    elif found == present[2]:
        taken[field] = (*present[:3], min(present[3], place.rank))
    elif place.rank < present[3]:
        taken[field] = (column, value, found, place.rank)
        _keep(raw, present[0], present[1])
    else:
        _keep(raw, column, value)


def _first_of(value: str, field: str) -> str | None:
    """Return the first of several values, or a text without the address of its page; else None."""
    if _SEVERAL in value:
        return value.partition(_SEVERAL)[0]
    if field == "email" and value.count("@") > 1:
        several = _BETWEEN.split(value.strip().strip(",;|"))
        return several[0] if all(map(duplicates.canonical_email, several)) else None
    if field in _NAMED and "(http" in value and (linked := _LINKED.match(value)):
        return linked[1]
    return None


def _is_salutation(title: str) -> bool:
    words = title.replace(".", " ").casefold().split()
    return bool(words) and _SALUTATIONS.issuperset(words)


def _take_part(
    parts: list[_Taken | None], place: ColumnTarget, column: str, value: Any, raw: dict[str, Any]
) -> None:
    found = values.text(value, column)
    if found is None or place.part is None:
        return
    if place.part == _SUFFIX and not duplicates.is_generation(found):
        _keep(raw, column, value)
        return
    present = parts[place.part]
    if present is None:
        parts[place.part] = (column, value, found, place.rank)
    elif found != present[2]:
        _keep(raw, column, value)


def _compose(
    fields: dict[str, Any],
    whole: _Taken | None,
    parts: list[_Taken | None],
    raw: dict[str, Any],
) -> bool:
    """Combine the parts of a name with the value of a column for the whole name.

    A name that lacks a part gets it: Jon with the surname Lien becomes Jon Lien. A name that has
    all parts stays as it is. If the two contradict each other, the parts are kept in `raw_data`,
    unless they have no word in common with the name: then the name belongs to something else and
    is kept in `raw_data` instead.

    Returns:
        Whether the result is only a first or a last name.
    """
    given = [part for part in parts if part is not None]
    composed = parse("full_name", " ".join(part[2] for part in given))
    name = fields.get("full_name")
    if name is None or whole is None:
        fields["full_name"] = composed
        return parts[0] is None or parts[2] is None
    ours, theirs = _words_of(name), _words_of(composed)
    if theirs <= ours:
        fields["full_name"] = name
        if name != composed:
            for part in given:
                _keep(raw, part[0], part[1])
        return ours == theirs and (parts[0] is None or parts[2] is None)
    if parts[0] is None or parts[2] is None:
        if not ours <= theirs:
            first, middle, last, suffix = (None if part is None else part[2] for part in parts)
            words = (first or name, middle, last or name, suffix)
            composed = parse("full_name", " ".join(filter(None, words)))
        fields["full_name"] = composed
        return False
    if ours <= theirs:
        fields["full_name"] = composed
    elif ours & theirs:
        for part in given:
            _keep(raw, part[0], part[1])
    else:
        fields["full_name"] = composed
        _keep(raw, whole[0], whole[1])
    return False


def _words_of(name: str) -> set[str]:
    return set((duplicates.comparable(name) or name).split())


def _take_raw(raw: dict[str, Any], column: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            _keep(raw, inner, item)
    elif value is not None:
        _keep(raw, column, value)


def _keep(raw: dict[str, Any], column: Any, value: Any) -> None:
    """Keep a value in `raw` under its column name, or under `name (2)` if that is taken."""
    kept = value if type(value) is str else values.plain(value, f"raw_data.{column}")
    wanted = name = column if isinstance(column, str) else str(values.plain(column, "a column"))
    count = 1
    while name in raw and raw[name] != kept:
        count += 1
        name = f"{wanted} ({count})"
    raw[name] = kept

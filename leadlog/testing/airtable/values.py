"""Conversion of values to cells, by the type of the field."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from leadlog.testing.airtable.fields import Field
from leadlog.testing.airtable.refusals import bad_value, computed, no_such_choice

__all__ = ["NewChoices", "is_blank", "render_time", "to_cell"]

LONGEST_TEXT = 100_000
# Choices requested by typecast; created once the whole request is accepted.
NewChoices = list[tuple[Field, str]]


def is_blank(value: Any) -> bool:
    """Return whether responses omit a cell with this value."""
    return value is None or value is False or value in ("", [])


def render_time(moment: datetime) -> str:
    """Return a time in Airtable's format: whole seconds, with zeros for the milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def to_cell(field: Field, value: Any, *, typecast: bool, new_choices: NewChoices) -> Any:
    """Return the value that a cell keeps for a value that was sent.

    Args:
        field: The cell's field.
        value: The value, as parsed from JSON.
        typecast: Whether the value may be converted to fit.
        new_choices: Collects choices that must be created first.

    Raises:
        Refusal: The field is computed, or does not accept values of this type.
    """
    if field.computed:
        raise computed(field.name)
    if value is None:
        return None
    kept = _CONVERT[field.type](field, value, typecast, new_choices)
    if field.normalise is not None and not is_blank(kept):
        kept = field.normalise(kept)
    return None if is_blank(kept) else kept


def _text(field: Field, value: Any, typecast: bool, _: NewChoices) -> str:
    if typecast and isinstance(value, (int, float)):
        value = str(value).lower() if isinstance(value, bool) else f"{value:.15g}"
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise bad_value(field.name)
    return value


def _rich_text(field: Field, value: Any, typecast: bool, new_choices: NewChoices) -> str:
    # Airtable appends a line end to Markdown texts.
    text = _text(field, value, typecast, new_choices)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _number(field: Field, value: Any, typecast: bool, _: NewChoices) -> float | None:
    if typecast and isinstance(value, str):
        found = re.search(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+", value)
        if found is None:
            return None
        value = float(found[0].replace(",", ""))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise bad_value(field.name)
    # Airtable's numbers are JavaScript's: 20.0 is returned as 20, and precision is limited.
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _rating(field: Field, value: Any, typecast: bool, new_choices: NewChoices) -> float | None:
    number = _number(field, value, typecast, new_choices)
    if number is not None and not (number == int(number) and 0 <= number <= field.options["max"]):
        raise bad_value(field.name)
    return None if not number else int(number)


def _checkbox(field: Field, value: Any, typecast: bool, _: NewChoices) -> bool:
    if typecast and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value).strip().lower() in {"true", "checked", "yes", "1", "1.0"}
    if not isinstance(value, bool):
        raise bad_value(field.name)
    return value


def _moment(field: Field, value: Any, typecast: bool, zone: str) -> datetime | None:
    if not isinstance(value, str):
        raise bad_value(field.name)
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if zone in {"utc", "client"} else ZoneInfo(zone))
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):  # not a time, or outside the years 1 to 9999
        if typecast:
            return None
        raise bad_value(field.name) from None


def _date(field: Field, value: Any, typecast: bool, _: NewChoices) -> str | None:
    moment = _moment(field, value, typecast, "utc")
    return None if moment is None else moment.date().isoformat()


def _date_time(field: Field, value: Any, typecast: bool, _: NewChoices) -> str | None:
    moment = _moment(field, value, typecast, field.options["timeZone"])
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _choice(field: Field, value: Any, typecast: bool, new_choices: NewChoices) -> str | None:
    if isinstance(value, dict) and {"id", "name"} & set(value):
        for choice in field.choices:
            if value.get("id", choice["id"]) == choice["id"] and (
                value.get("name", choice["name"]) == choice["name"]
            ):
                return choice["name"]
        raise bad_value(field.name)
    if typecast and isinstance(value, (int, float)):
        value = _text(field, value, typecast, new_choices)
    if not isinstance(value, str):
        raise bad_value(field.name)
    name = value.strip() if typecast else value
    if not name or any(choice["name"] == name for choice in field.choices):
        return name or None
    if not typecast:
        raise no_such_choice(name)
    new_choices.append((field, name))
    return name


def _choices(field: Field, value: Any, typecast: bool, new_choices: NewChoices) -> list[str]:
    if typecast and isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        raise bad_value(field.name)
    names = [_choice(field, one, typecast, new_choices) for one in value]
    return list(dict.fromkeys(name for name in names if name is not None))


_CONVERT: dict[str, Callable[[Field, Any, bool, NewChoices], Any]] = {
    "checkbox": _checkbox,
    "currency": _number,
    "date": _date,
    "dateTime": _date_time,
    "duration": _number,
    "email": _text,
    "multilineText": _text,
    "multipleSelects": _choices,
    "number": _number,
    "percent": _number,
    "phoneNumber": _text,
    "rating": _rating,
    "richText": _rich_text,
    "singleLineText": _text,
    "singleSelect": _choice,
    "url": _text,
}

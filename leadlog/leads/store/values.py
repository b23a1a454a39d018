"""Conversion of values to the types of the lead store: text, bool, time, and JSON.

Pure functions. A value that cannot be stored raises a `ValidationError` that names the field, the
value and the remedy; nothing is truncated or guessed.

    >>> text("  Ada Lovelace ", "full_name"), text("   ", "full_name"), text(5551234.0, "phone")
    ('Ada Lovelace', None, '5551234')
    >>> flag("Yes", "verified")
    True
"""

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from os import PathLike, fspath
from typing import Any, SupportsIndex
from uuid import UUID

from leadlog.core.errors import ValidationError
from leadlog.leads.store.invisible import trimmed

__all__ = [
    "MAX_DEPTH",
    "address",
    "count",
    "flag",
    "moment",
    "plain",
    "share",
    "shown",
    "storable",
    "text",
    "version",
]

MAX_DEPTH = 200
"""Maximum nesting depth of a value in raw_data."""

_YES = frozenset({"1", "true", "t", "yes", "y", "on", "checked"})
_NO = frozenset({"0", "false", "f", "no", "n", "off", "unchecked"})
_SHOWN = 60
_SCHEME = re.compile(r"(?:mailto|tel|callto|p):\s*", re.IGNORECASE)
_LONGEST_SCHEME = 8
# Makes a spreadsheet treat a number as text, and stays in its CSV export.
_AS_TEXT = re.compile(r"""'(?=[+(\d])|="(?P<inner>[^"]*)"\Z""")
# Python refuses to convert numbers of more than 4300 digits from or to text, as a DoS protection.
_MAX_BITS = 13_000


def shown(value: object) -> str:
    """Return the `repr` of a value for a message, cut to 60 characters; never raises."""
    try:
        found = repr(value)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        found = f"<{type(value).__name__}>"
    return found if len(found) <= _SHOWN else f"{found[: _SHOWN - 1]}…"


def storable(value: str, field: str) -> str:
    """Return a text unchanged if every supported database can store it.

    Raises:
        ValidationError: It has a NUL character or half of a surrogate pair.
    """
    if "\0" in value:
        raise ValidationError(f"{field} {shown(value)} has a NUL character; remove it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValidationError(
                f"{field} {shown(value)} has half of a surrogate pair, which no database stores; "
                "decode the source with the right encoding, or with errors='replace'"
            ) from None
    return value


def address(value: Any, field: str, limit: int | None = None) -> str | None:
    """Return an e-mail address or a phone number as text, without a scheme such as `mailto:`.

    Facebook's `p:` is removed, too, and a spreadsheet's mark of text (`'+47…`, `="0047…"`).
    Arguments and errors are those of `text`.

        >>> address("mailto:ada@acme.com", "email"), address("p:+4917012345", "phone")
        ('ada@acme.com', '+4917012345')
    """
    found = text(value, field, limit)
    if found is not None and found[0] in "'=" and (sign := _AS_TEXT.match(found)):
        found = (sign["inner"] or found[sign.end() :]).strip() or None
    if found is None or ":" not in found[:_LONGEST_SCHEME]:
        return found
    match = _SCHEME.match(found)
    return found if match is None else found[match.end() :] or None


def text(value: Any, field: str, limit: int | None = None) -> str | None:
    """Return a value as text without surrounding blanks; None if it is blank or invisible.

    Numbers, dates, UUIDs, paths and members of an Enum are converted, an integral float without its
    `.0`; NaN, pandas' missing value, is blank.

    Args:
        value: The given value.
        field: The field's name, for the message.
        limit: Maximum length in characters; None for no limit.

    Raises:
        ValidationError: The value is not text, or is too long.
    """
    if type(value) is str:
        found = value.strip()
        if found.isascii() and found.isprintable():
            if limit is None or len(found) <= limit:
                return found or None
        else:
            found = trimmed(found)
    elif isinstance(value, Enum):
        return text(value.value, field, limit)
    elif isinstance(value, str):
        found = trimmed(value)
    elif value is None:
        return None
    elif isinstance(value, bool):
        raise ValidationError(f"{field} is {value}; give text")
    elif isinstance(value, float):
        if math.isnan(value):
            return None
        found = str(int(value)) if value.is_integer() else repr(value)
    elif isinstance(value, Decimal):
        if value.is_nan():
            return None
        found = str(value)
    elif isinstance(value, SupportsIndex):
        found = str(_whole(value, field))
    elif isinstance(value, date | time | UUID | PathLike):
        found = str(value)
    else:
        raise ValidationError(
            f"{field} is {shown(value)}, a {type(value).__name__}; give text, or give the value "
            "under another name to keep it in raw_data"
        )
    if not found:
        return None
    if limit is not None and len(found) > limit:
        raise ValidationError(
            f"{field} {shown(found)} has {len(found)} characters; at most {limit} are stored, "
            "so shorten it or give the value as notes"
        )
    return storable(found, field)


def _whole(value: SupportsIndex, field: str) -> int:
    """Return an integer, including NumPy's, as an int of at most 4000 digits."""
    found = operator.index(value)
    if found.bit_length() > _MAX_BITS:
        raise ValidationError(f"{field} is a number of more than 4000 digits; give it as text")
    return found


def flag(value: Any, field: str) -> bool | None:
    """Return a yes-or-no value as a bool; None for a blank value.

    Args:
        value: A bool, 0 or 1, or true, yes, y, t, on, checked, false, no, n, f, off, unchecked
            in any case.
        field: Its name, for the message.

    Raises:
        ValidationError: The value means neither yes nor no.
    """
    if value is None or value is True or value is False:
        return value
    said = value.strip().casefold() if isinstance(value, str) else value
    if said == "" or (isinstance(said, float) and math.isnan(said)):
        return None
    if isinstance(said, int | float):
        said = str(int(said)) if said in {0, 1} else ""
    if isinstance(said, str):
        if said in _YES:
            return True
        if said in _NO:
            return False
    raise ValidationError(f"{field} is {shown(value)}; give True or False, yes or no, 1 or 0")


def count(value: Any, field: str, least: int = 0) -> int:
    """Return a whole number of at least `least`.

    Raises:
        ValidationError: It is not a whole number, is too small, or exceeds 64 bits.
    """
    if type(value) is int and least <= value < 2**63:
        return value
    raise ValidationError(f"{field} is {shown(value)}; give a whole number from {least} on")


def share(value: Any, field: str) -> float:
    """Return a number from 0 to 1.

    Raises:
        ValidationError: It is not such a number.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValidationError(f"{field} is {shown(value)}; give a number from 0 to 1")


def version(value: Any, field: str) -> int | None:
    """Return a row version, 1 or more, given as a number or as digits; None for a blank value.

    Raises:
        ValidationError: The value is not a version.
    """
    if isinstance(value, str):
        digits = value.strip()
        if not digits:
            return None
        value = int(digits) if digits.isdecimal() and len(digits) < 19 else value
    return None if value is None else count(value, field, least=1)


def moment(value: Any, field: str) -> datetime | None:
    """Return a time as an aware datetime in UTC; None for a blank value.

    Args:
        value: A datetime, a date (its midnight) or ISO 8601 text; UTC if it has no offset.
        field: Its name, for the message.

    Raises:
        ValidationError: The value is not such a time.
    """
    found = value
    if isinstance(found, str):
        found = found.strip()
        if not found:
            return None
        try:
            found = datetime.fromisoformat(found)
        except ValueError:
            found = None
    elif found is None:
        return None
    elif isinstance(found, date) and not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day, tzinfo=UTC)
    if isinstance(found, datetime):
        try:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (OverflowError, ValueError):  # an offset at the edge of the years 1 to 9999
            pass
    raise ValidationError(
        f"{field} is {shown(value)}; give a datetime or ISO 8601 text "
        "such as 2026-11-23T10:00:00Z (years 1 to 9999)"
    )


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """Return a value converted to JSON types.

    Text, numbers, booleans, null, lists and objects stay as they are. NaN becomes null, an infinity
    `"Infinity"` or `"-Infinity"`; a datetime, date or time ISO 8601 text; a timedelta seconds; a
    Decimal, UUID or path text; a member of an Enum its value; bytes their text, or their hex digits
    if they are not UTF-8; a dataclass an object; a tuple or a set a list, the set sorted. Keys of
    objects become text.

    Args:
        value: What was given.
        path: Path of the value, for the message.
        depth: Nesting depth of the value.

    Raises:
        ValidationError: JSON has no type for it, or it is nested too deeply.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if depth >= MAX_DEPTH:
        raise ValidationError(
            f"{path[:_SHOWN]}… is nested more than {MAX_DEPTH} levels deep; flatten it, or give it "
            "as JSON text"
        )
    if isinstance(value, SupportsIndex):
        return _whole(value, path)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return None if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, Enum):
        return plain(value.value, path, depth + 1)
    if isinstance(value, Mapping):
        return _object(value, path, depth)
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        items = [plain(item, f"{path}[]", depth + 1) for item in value]
        return sorted(items, key=lambda item: (type(item).__name__, str(item)))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, PathLike):
        return plain(fspath(value), path, depth + 1)
    if isinstance(value, bytes | bytearray | memoryview):
        octets = bytes(value)
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.hex()
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return plain(named, path, depth + 1)
    raise ValidationError(
        f"{path} is {shown(value)}, a {type(value).__name__}, which JSON has no type for; give "
        "text, a number, a list or a dict"
    )


def _object(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = key if type(key) is str else str(plain(key, f"{path} key", depth + 1))
        if name in found:
            raise ValidationError(
                f"{path} has two keys that read {shown(name)} in JSON; rename one of them"
            )
        found[name] = plain(item, f"{path}.{name}", depth + 1)
    return found

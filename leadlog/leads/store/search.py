"""The SQL of searches: filters, sort orders and pages.

Names given by the caller are looked up in fixed tables and never become SQL; values are always
bound parameters. Paging is by keyset: a page begins after the last lead of the previous one, so
every page costs the same, and leads added or removed in between neither repeat nor hide others. A
cursor holds the sort order and the last lead's values of the sort columns. It is not secret: a
modified one raises an error or selects another page, never leads outside the search.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Select,
    String,
    and_,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from leadlog.core.errors import UnknownFieldError, ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.models import COLUMNS
from leadlog.leads.store.normalise import field_of, parse

__all__ = ["Keyset", "LeadPage", "conditions", "next_after", "order_columns", "query"]

Condition = ColumnElement[bool]

_COLUMNS = {column.key: column for column in COLUMNS if column.key != "raw_data"}
_COLUMNS["name"] = _COLUMNS["full_name"]
_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _equal(column: Column[Any], value: Any) -> Condition:
    found = parse(column.key, value)
    return column.is_(None) if found is None else column == found


def _not_equal(column: Column[Any], value: Any) -> Condition:
    return column.is_distinct_from(parse(column.key, value))


def _is_one_of(column: Column[Any], value: Any) -> Condition:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValidationError(
            f"'in' on {column.key} is {values.shown(value)}; give a list of values"
        )
    wanted = [parse(column.key, item) for item in value]
    found = column.in_([item for item in wanted if item is not None])
    return or_(found, column.is_(None)) if None in wanted else found


def _is_null(column: Column[Any], value: Any) -> Condition:
    if not isinstance(value, bool):
        raise ValidationError(
            f"'is_null' on {column.key} is {values.shown(value)}; give True or False"
        )
    return column.is_(None) if value else column.is_not(None)


def _part(operator: str, column: Column[Any], value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{operator!r} on {column.key} is {values.shown(value)}; give text")
    return values.storable(value, column.key).translate(_SMALL)


def _contains(column: Column[Any], value: Any) -> Condition:
    return func.lower(column).contains(_part("contains", column, value), autoescape=True)


def next_after(prefix: str) -> str | None:
    """Return the first text, by code point, after all texts that start with `prefix`, or None.

    >>> next_after("acme"), next_after("a\U0010ffff")
    ('acmf', 'b')
    """
    while prefix:
        point = ord(prefix[-1]) + 1
        if point <= 0x10FFFF:
            # Skip surrogates: no database stores them in text.
            return prefix[:-1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
        prefix = prefix[:-1]
    return None


def _starts_with(column: Column[Any], value: Any) -> Condition:
    # A range, which can use the index on the lower-case text; LIKE would scan the table.
    prefix, small = _part("starts_with", column, value), func.lower(column)
    beyond = next_after(prefix)
    return small >= prefix if beyond is None else and_(small >= prefix, small < beyond)


def _comparison(operator: str, compare: Callable[[Any, Any], Any]) -> Callable[..., Condition]:
    def condition(column: Column[Any], value: Any) -> Condition:
        found = parse(column.key, value)
        if found is None:
            raise ValidationError(
                f"{operator!r} on {column.key} is {values.shown(value)}; give a value to compare "
                "with, or use 'is_null'"
            )
        result: Condition = compare(column, found)
        return result

    return condition


_ANY: dict[str, Callable[[Column[Any], Any], Condition]] = {
    "eq": _equal,
    "ne": _not_equal,
    "in": _is_one_of,
    "is_null": _is_null,
}
_ORDERED = {
    "lt": _comparison("lt", lambda column, value: column < value),
    "lte": _comparison("lte", lambda column, value: column <= value),
    "gt": _comparison("gt", lambda column, value: column > value),
    "gte": _comparison("gte", lambda column, value: column >= value),
}
_TEXT = {"contains": _contains, "starts_with": _starts_with}


def _operators(column: Column[Any]) -> dict[str, Callable[[Column[Any], Any], Condition]]:
    if isinstance(column.type, Boolean):
        return _ANY
    return _ANY | _ORDERED | _TEXT if isinstance(column.type, String) else _ANY | _ORDERED


_OPERATORS = {key: _operators(column) for key, column in _COLUMNS.items()}


def _unknown(what: str, name: object, known: Iterable[str], on: str = "") -> UnknownFieldError:
    names = sorted(known)
    near = get_close_matches(name.casefold(), names, n=1) if isinstance(name, str) else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UnknownFieldError(
        f"unknown {what} {values.shown(name)}{on}; {hint}it is one of {', '.join(names)}"
    )


def _column(name: object) -> Column[Any]:
    column = _COLUMNS.get(name) if isinstance(name, str) else None
    if column is not None:
        return column
    alias = field_of(name) if isinstance(name, str) else None
    if alias in _COLUMNS:
        raise UnknownFieldError(f"unknown field {values.shown(name)}; did you mean {alias!r}?")
    raise _unknown("field", name, _COLUMNS)


def conditions(filters: Mapping[str, Any]) -> Iterable[Condition]:
    """Return the conditions of a search; see `LeadDatabase.search_leads`.

    Raises:
        UnknownFieldError: There is no such field or operator.
        ValidationError: A value does not suit the field or the operator.
    """
    if not isinstance(filters, Mapping):
        raise ValidationError(
            f"filters are {values.shown(filters)}; give a mapping of fields to values, such as "
            '{"company": "Acme"} or {"company": {"contains": "ac"}}'
        )
    for name, wanted in filters.items():
        column = _column(name)
        if not isinstance(wanted, Mapping):
            if isinstance(wanted, list | tuple | set | frozenset):
                raise ValidationError(
                    f"the filter on {name} is a {type(wanted).__name__}; "
                    f'for any of several values, give {{"{name}": {{"in": […]}}}}'
                )
            yield _equal(column, wanted)
            continue
        operators = _OPERATORS[name]
        for operator, value in wanted.items():
            build = operators.get(operator) if isinstance(operator, str) else None
            if build is None:
                raise _unknown("operator", operator, operators, f" on {name}")
            yield build(column, value)


def order_columns(
    order_by: str | Sequence[str] | None,
) -> Iterable[tuple[Column[Any], bool]]:
    """Yield the sort columns of a search, each with whether it is descending.

    Raises:
        UnknownFieldError: There is no such field.
        ValidationError: The order is neither a field nor a list of fields.
    """
    names = [order_by] if isinstance(order_by, str) else (order_by or ["created_at"])
    if not isinstance(names, list | tuple):
        raise ValidationError(
            f"order_by is {values.shown(order_by)}; give a field, with - in front for descending, "
            "or a list of them"
        )
    for name in names:
        descending = isinstance(name, str) and name.startswith("-")
        yield _column(name[1:] if descending else name), descending


def _orders(order_by: str | Sequence[str] | None) -> Iterable[ColumnElement[Any]]:
    for column, descending in order_columns(order_by):
        order = column.desc() if descending else column.asc()
        # Databases sort NULLs differently. NULLS LAST is added for nullable columns only, because
        # it prevents SQLite from using an index.
        yield order.nulls_last() if column.nullable else order
    yield _COLUMNS["id"].asc()


def query(
    filters: Mapping[str, Any] | None,
    limit: int | None,
    offset: int,
    order_by: str | Sequence[str] | None,
) -> Select[Any]:
    """Return the SELECT of a search; see `LeadDatabase.search_leads`.

    Raises:
        UnknownFieldError: There is no such field or operator.
        ValidationError: A value does not suit the field or the operator.
    """
    statement = select(*COLUMNS).where(*conditions({} if filters is None else filters))
    statement = statement.order_by(*_orders(order_by))
    if limit is not None:
        statement = statement.limit(values.count(limit, "limit"))
    return statement.offset(offset) if values.count(offset, "offset") else statement


@dataclass(frozen=True, slots=True)
class LeadPage:
    """One page of a search.

    Attributes:
        leads: Its leads.
        next: The cursor for the next page; None on the last page.
    """

    leads: list[dict[str, Any]]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Key:
    column: Column[Any]
    descending: bool

    def order(self, *, nulls: bool) -> ColumnElement[Any]:
        found = self.column.desc() if self.descending else self.column.asc()
        return found.nulls_last() if nulls and self.column.nullable else found

    def bound(self, value: Any) -> ColumnElement[Any]:
        return literal(value, self.column.type)

    def equals(self, value: Any) -> ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == self.bound(value)

    def beyond(self, value: Any) -> ColumnElement[bool]:
        """Return the condition for rows after a value; blank values sort last."""
        if value is None:
            return false()
        there = self.bound(value)
        later = self.column < there if self.descending else self.column > there
        return or_(later, self.column.is_(None)) if self.column.nullable else later


class Keyset:
    """The filters and the sort order of a search, and the position where a page begins.

    Args:
        filters: As for `LeadDatabase.search_leads`.
        order_by: As for `LeadDatabase.search_page`.
        after: A cursor, or None for the first page.

    Raises:
        UnknownFieldError: There is no such field or operator.
        ValidationError: A value does not suit, or the cursor belongs to another search.
    """

    def __init__(
        self,
        filters: Mapping[str, Any] | None,
        order_by: str | Sequence[str] | None,
        after: str | None,
    ) -> None:
        self._where = tuple(conditions({} if filters is None else filters))
        keys = [_Key(column, descending) for column, descending in order_columns(order_by)]
        if all(key.column.key != "id" for key in keys):
            # In the direction of the last key, so that one index serves both.
            keys.append(_Key(COLUMNS[0], keys[-1].descending))
        self._keys = keys
        self._names = [f"{'-' if key.descending else ''}{key.column.key}" for key in keys]
        self._after = None if after is None else self._decoded(after)

    def cursor(self, lead: Mapping[str, Any]) -> str:
        """Return the cursor for the page after a lead."""
        last = [lead[key.column.key] for key in self._keys]
        plain = [value.isoformat() if isinstance(value, datetime) else value for value in last]
        text = json.dumps([self._names, plain], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _decoded(self, cursor: str) -> list[Any]:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            names, last = json.loads(urlsafe_b64decode(padded.encode("ascii")))
            found = [
                value if isinstance(value, bool) else parse(key.column.key, value)
                for key, value in zip(self._keys, last, strict=True)
            ]
        except (AttributeError, TypeError, ValueError, binascii.Error):
            raise ValidationError(
                f"cursor {values.shown(cursor)} is invalid; give the `next` of a page of this "
                "search"
            ) from None
        if names != self._names:
            raise ValidationError(
                "the cursor is of a search in another order; give the `next` of a page of this "
                f"search, which is by {', '.join(self._names)}"
            )
        return found

    def statements(self, limit: int) -> Iterator[Select[Any]]:
        """Yield the SELECTs whose rows, in this order, make up the page.

        Rows with a blank first key have a separate SELECT, so that an index on that key serves the
        other one.

        Args:
            limit: Maximum number of rows of each SELECT.
        """
        first, after = self._keys[0], self._after
        if not first.column.nullable:
            yield self._select(self._keys, after, limit)
            return
        if after is None or after[0] is not None:
            yield self._select(self._keys, after, limit).where(first.column.is_not(None))
            after = None
        rest = None if after is None else after[1:]
        yield self._select(self._keys[1:], rest, limit).where(first.column.is_(None))

    def _select(self, keys: list[_Key], after: list[Any] | None, limit: int) -> Select[Any]:
        statement = select(*COLUMNS).where(*self._where).limit(limit)
        # Databases sort NULLs differently; NULLS LAST prevents SQLite from using an index.
        statement = statement.order_by(*(key.order(nulls=key is not self._keys[0]) for key in keys))
        if after is None:
            return statement
        # Blank values of the very first key are in the other SELECT.
        blanks = [bool(key.column.nullable) and key is not self._keys[0] for key in keys]
        return statement.where(_beyond(keys, after, blanks))


def _beyond(keys: list[_Key], last: list[Any], blanks: list[bool]) -> ColumnElement[bool]:
    """Return the condition for all rows after the last lead.

    `blanks` holds, per key, whether its column may be null.
    """
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(blanks):
        columns = tuple_(*(key.column for key in keys))
        last_row = tuple_(*(key.bound(value) for key, value in zip(keys, last, strict=True)))
        return columns < last_row if keys[0].descending else columns > last_row
    later = [
        and_(
            *(key.equals(value) for key, value in zip(keys[:place], last, strict=False)),
            keys[place].beyond(last[place]),
        )
        for place in range(len(keys))
    ]
    first, there = keys[0], keys[0].bound(last[0])
    if blanks[0]:
        return or_(*later)
    # Redundant, but lets an index scan start at that value.
    start = first.column <= there if first.descending else first.column >= there
    return and_(start, or_(*later))

"""Pages of a search by keyset: each begins after the last lead of the one before.

However far one pages, a page costs the same, and leads that come or go in between neither repeat
nor hide others. A cursor holds the values of the last lead by which the search is ordered, and the
order itself; it is no secret, and a changed one gives an error or another page, never more than
the search may see.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, false, literal, or_, select, tuple_

from leadlog.core.errors import ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.normalise import parse
from leadlog.leads.store.search import conditions, order_columns
from leadlog.leads.store.serialise import COLUMNS

__all__ = ["Keyset", "LeadPage"]


@dataclass(frozen=True, slots=True)
class LeadPage:
    """One page of a search.

    Attributes:
        leads: Its leads.
        next: The cursor for the next page; None where this is the last.
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
        """What comes after a value; blank ones come last."""
        if value is None:
            return false()
        there = self.bound(value)
        later = self.column < there if self.descending else self.column > there
        return or_(later, self.column.is_(None)) if self.column.nullable else later


class Keyset:
    """The order of a search and the place where a page begins.

    Args:
        filters: As for `LeadDatabase.search_leads`.
        order_by: As for `LeadDatabase.search_page`.
        after: A cursor, or None for the first page.

    Raises:
        UnknownFieldError: A field or an operator that there is not.
        ValidationError: A value or a cursor that does not suit.
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
            # In the direction of the last one, so that an index on both gives the order.
            keys.append(_Key(COLUMNS[0], keys[-1].descending))
        self._keys = keys
        self._names = [f"{'-' if key.descending else ''}{key.column.key}" for key in keys]
        self._after = None if after is None else self._decoded(after)

    def cursor(self, lead: Mapping[str, Any]) -> str:
        """Return the cursor for what comes after a lead."""
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
                f"cursor {values.shown(cursor)} is none; give the `next` of a page of this search"
            ) from None
        if names != self._names:
            raise ValidationError(
                "the cursor is of a search in another order; give the `next` of a page of this "
                f"search, which is by {', '.join(self._names)}"
            )
        return found

    def statements(self, limit: int) -> Iterator[Select[Any]]:
        """Give the SELECTs whose rows, one after the other, are the page.

        The first key's blank values come in a SELECT of their own, so that an index on it gives
        the order of the others.

        Args:
            limit: Most rows of each.
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
        # Databases disagree on where blanks go; saying it keeps SQLite from using an index.
        statement = statement.order_by(*(key.order(nulls=key is not self._keys[0]) for key in keys))
        if after is None:
            return statement
        # The first key of all has its blank values in the other SELECT.
        blanks = [bool(key.column.nullable) and key is not self._keys[0] for key in keys]
        return statement.where(_beyond(keys, after, blanks))


def _beyond(keys: list[_Key], last: list[Any], blanks: list[bool]) -> ColumnElement[bool]:
    """A condition for all that comes after the last lead; `blanks` tells which may be null."""
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
    # Not needed, but an index can begin there.
    start = first.column <= there if first.descending else first.column >= there
    return and_(start, or_(*later))

"""Paginated lists: filter, order, and iterators that expire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from leadlog.testing.airtable.fields import Field
from leadlog.testing.airtable.formula import broken, is_true, parse
from leadlog.testing.airtable.ids import Ids
from leadlog.testing.airtable.refusals import Refusal, bad_request
from leadlog.testing.airtable.rendering import evaluate, record_of, value_of
from leadlog.testing.airtable.table import FakeTable, StoredRow

__all__ = ["LARGEST_PAGE", "ListEndpoint", "iterator_gone"]

LARGEST_PAGE = 100
# Maximum number of iterators; the oldest is removed first.
_MOST_ITERATORS = 100


def iterator_gone() -> Refusal:
    """Return the refusal that requires the list to be read from its first page again."""
    return Refusal(
        422,
        "LIST_RECORDS_ITERATOR_NOT_AVAILABLE",
        "Could not find iterator. Please restart the listing from the first page.",
    )


@dataclass(slots=True)
class _Iterator:
    record_ids: list[str]
    used_at: float


class ListEndpoint:
    """Handler of list requests of one table.

    Rows and their order are fixed when the first page is read; values are read page by page, and
    rows deleted in between are left out.

    Args:
        table: The table.
        ids: Source of iterator ids.
        clock: Function that returns seconds, as for the limits.
        lifetime: Seconds after which an unused iterator expires.
    """

    def __init__(
        self, table: FakeTable, ids: Ids, clock: Callable[[], float], lifetime: float
    ) -> None:
        self._table = table
        self._ids = ids
        self._clock = clock
        self._lifetime = lifetime
        self._iterators: dict[str, _Iterator] = {}

    def expire(self) -> None:
        """Remove all iterators, as a restart of the server does."""
        self._iterators.clear()

    def page(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return one page.

        Args:
            asked: The parameters by Airtable's names; repeated ones as lists.

        Raises:
            Refusal: A parameter is invalid, or the iterator has expired.
        """
        size = _number(asked, "pageSize", LARGEST_PAGE)
        if not 1 <= size <= LARGEST_PAGE:
            raise bad_request()
        if asked.get("cellFormat", "json") != "json":
            raise bad_request("The fake Airtable answers with cellFormat json only.")
        only = [self._table.field(key).id for key in _texts(asked.get("fields"))] or None
        if asked.get("offset"):
            token, at = self._resume(str(asked["offset"]))
            record_ids = self._iterators[token].record_ids
        else:
            token, at, record_ids = "", 0, self._select(asked)
        by_id = str(asked.get("returnFieldsByFieldId", "")).lower() in {"1", "true"}
        rows = self._table.rows
        records = [
            record_of(self._table, rows[record_id], by_id=by_id, only=only)
            for record_id in record_ids[at : at + size]
            if record_id in rows
        ]
        answer: dict[str, Any] = {"records": records}
        if at + size < len(record_ids):
            token = token or self._keep(record_ids)
            answer["offset"] = f"{token}/{record_ids[at + size]}"
        return answer

    def _select(self, asked: Mapping[str, Any]) -> list[str]:
        table = self._table
        rows = list(table.rows.values())
        view = str(asked.get("view") or "")
        if view not in {"", table.view_id, "Grid view"}:
            raise Refusal(422, "VIEW_NAME_NOT_FOUND", f"View {view} not found")
        if asked.get("filterByFormula"):
            formula = parse(str(asked["filterByFormula"]))
            known = {key for field in table.fields for key in (field.name, field.id)}
            if unknown := sorted(formula.fields - known):
                raise broken(f"Unknown field names: {', '.join(unknown)}".lower())
            rows = [row for row in rows if is_true(evaluate(formula, table, row))]
        sort = asked.get("sort") or []
        if not isinstance(sort, list) or not all(isinstance(one, Mapping) for one in sort):
            raise bad_request()
        for one in reversed(sort):
            direction = one.get("direction", "asc")
            if direction not in ("asc", "desc"):
                raise bad_request()
            rank = partial(_rank, table, table.field(str(one.get("field"))))
            rows.sort(key=rank, reverse=direction == "desc")
        most = _number(asked, "maxRecords", len(rows))
        if asked.get("maxRecords") is not None and most < 1:
            raise bad_request()
        return [row.id for row in rows[:most]]

    def _keep(self, record_ids: list[str]) -> str:
        token = self._ids.new("itr")
        self._iterators[token] = _Iterator(record_ids, self._clock())
        while len(self._iterators) > _MOST_ITERATORS:
            del self._iterators[next(iter(self._iterators))]
        return token

    def _resume(self, offset: str) -> tuple[str, int]:
        token, _, record_id = offset.partition("/")
        if not token.startswith("itr") or not record_id:
            raise Refusal(422, "INVALID_OFFSET_VALUE", f"The value of offset {offset} is invalid")
        found = self._iterators.get(token)
        if found is None or self._clock() - found.used_at > self._lifetime:
            raise iterator_gone()
        found.used_at = self._clock()
        try:
            return token, found.record_ids.index(record_id)
        except ValueError:
            raise iterator_gone() from None


def _number(asked: Mapping[str, Any], name: str, default: int) -> int:
    value = asked.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except (OverflowError, TypeError, ValueError):
        raise bad_request() from None


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad_request()
    return value


def _rank(table: FakeTable, field: Field, row: StoredRow) -> tuple[int, float, str]:
    """Return a sort key: blanks first, then numbers, then texts regardless of case."""
    value = value_of(table, row, field)
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    return (2, 0.0, str(value).casefold())

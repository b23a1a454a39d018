"""Finds rows of other classes in the log that share the verified table.

This occurs with inheritance: a row of the base class's table is logged under its own class.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from leadlog.reading.change import change_of

__all__ = ["OtherClasses", "keys_of"]

_LOOKED_AT: Final = 100  # creates of each class


class OtherClasses:
    """The classes in the log other than the verified ones, with the columns of their rows.

    Args:
        asked: the classes that are verified.
    """

    def __init__(self, asked: Collection[str]) -> None:
        self._asked = asked
        self._columns: dict[str, set[str]] = defaultdict(set)
        self._creates: dict[str, int] = defaultdict(int)

    def noting(self, events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Yield all events unchanged, and collect the columns of other classes."""
        for data in events:
            details = data.get("operation_details")
            entity = details.get("entity") if type(details) is dict else None
            if (
                type(entity) is str
                and entity not in self._asked
                and self._creates[entity] < _LOOKED_AT
            ):
                self._look(entity, data)
            yield data

    def _look(self, entity: str, data: Mapping[str, Any]) -> None:
        what = data.get("data_details")
        if type(what) is dict and what.get("change") == "create":
            columns = what.get("fields_changed")
            if type(columns) is dict:
                self._creates[entity] += 1
                self._columns[entity].update(columns)

    def having(self, columns: Collection[str]) -> frozenset[str]:
        """Return the classes whose rows have all these columns."""
        return frozenset(
            entity for entity, found in self._columns.items() if found.issuperset(columns)
        )


def keys_of(events: Iterable[Mapping[str, Any]], entities: Collection[str]) -> dict[str, str]:
    """Return the class of each row of some classes in the log, by key.

    Args:
        events: decoded lines.
        entities: the classes.
    """
    found = {}
    for change in filter(None, map(change_of, events)):
        if change.entity in entities and change.key is not None and change.outcome == "committed":
            found[change.key] = change.entity or ""
    return found

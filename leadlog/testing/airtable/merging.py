"""Search for the rows that an upsert matches, without comparing all of them each time."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

__all__ = ["MergeIndexes"]

_Key = tuple[Any, ...]


class _HasCells(Protocol):
    @property
    def cells(self) -> dict[str, Any]: ...


def _key(field_ids: Sequence[str], cells: Mapping[str, Any]) -> _Key:
    values = (cells.get(field_id) for field_id in field_ids)
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


class MergeIndexes:
    """Row ids by the values of the fields on which upserts have merged so far.

    An index is created by the first upsert that needs it and updated with every change: otherwise,
    1,000 upserts into 10,000 rows would compare 100 million cells.
    """

    def __init__(self) -> None:
        self._indexes: dict[tuple[str, ...], dict[_Key, dict[str, None]]] = {}

    def find(
        self, field_ids: Sequence[str], cells: Mapping[str, Any], rows: Mapping[str, _HasCells]
    ) -> list[str]:
        """Return the ids of the rows that have these values in these fields, oldest first."""
        wanted = tuple(field_ids)
        if wanted not in self._indexes:
            self._indexes[wanted] = {}
            for row_id, row in rows.items():
                self._add(wanted, row_id, row.cells)
        return list(self._indexes[wanted].get(_key(wanted, cells), ()))

    def remember(self, row_id: str, cells: Mapping[str, Any]) -> None:
        """Add a new or changed row."""
        for field_ids in self._indexes:
            self._add(field_ids, row_id, cells)

    def forget(self, row_id: str, cells: Mapping[str, Any]) -> None:
        """Remove a row that is about to change or be deleted; `cells` are its current ones."""
        for field_ids, index in self._indexes.items():
            key = _key(field_ids, cells)
            del index[key][row_id]
            if not index[key]:
                del index[key]

    def clear(self) -> None:
        """Remove all indexes, because a field changed."""
        self._indexes.clear()

    def _add(self, field_ids: tuple[str, ...], row_id: str, cells: Mapping[str, Any]) -> None:
        self._indexes[field_ids].setdefault(_key(field_ids, cells), {})[row_id] = None

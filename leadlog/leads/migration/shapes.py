"""Converts the record shapes of various programs into flat records.

    {"id": "rec1", "fields": {"Name": "Ada"}}          Airtable, HubSpot, JSON:API, Elasticsearch
    {"name": "Ada", "company": {"name": "Acme"}}       values with a name, a list of addresses
    {"-Nx1": {"name": "Ada"}, "-Nx2": {…}}             Firebase: records by their key
    {"name": {"0": "Ada"}, "email": {"0": null}}       pandas: values by column
    [["Name", "Email"], ["Ada", null]]                 spreadsheets: rows under a header

An object or a list from which a value is taken is kept in `raw_data` if it contains more than that
value.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from leadlog.leads.migration.decoding import Broken, Read
from leadlog.leads.migration.reader import WRAPPERS, JsonReader
from leadlog.leads.store.columns import KEPT, Columns

__all__ = ["ShapedRecords", "flattened"]

_INNER = frozenset(
    {
        "fields", "properties", "attributes", "_source", "node", "document", "record", "contact",
        "lead", "person", "customer", "user", "profile", "merge_fields", "data",
    }
)  # fmt: skip
"""Keys under which a record may nest its values."""
_VALUES = ("value", "email", "address", "number", "phone", "url", "$oid", "$date", "name")
"""Keys that may hold the actual value of a value that is an object, in order of preference."""
_NAMED = ("name", *_VALUES)
"""The same for a company, whose `value` is often an id of the other system."""
_PARTS = {
    "first": "first name", "given": "first name", "firstname": "first name",
    "middle": "middle name", "last": "last name", "family": "last name", "lastname": "last name",
}  # fmt: skip
_DEEPEST = 3


class ShapedRecords:
    """Iterates over the records of a JSON source of any supported shape.

    Args:
        reader: Reads the values of the source.
        columns: The mapping from columns to fields.
    """

    def __init__(self, reader: JsonReader, columns: Columns) -> None:
        self._reader = reader
        self._columns = columns

    @property
    def notes(self) -> Counter[str]:
        """Counts of harmless irregularities of the source, by description."""
        return self._reader.notes

    def __iter__(self) -> Iterator[Read | Broken]:
        header: list[str] | None = None
        for one in self._reader:
            if isinstance(one, Broken):
                yield one
            elif isinstance(one.value, list):
                if header is None and _is_header(one.value, self._columns):
                    header = one.value
                    self.notes["lists taken as the header of those that follow"] += 1
                elif header is not None and len(one.value) <= len(header):
                    yield Read(dict(zip(header, one.value, strict=False)), size=one.size)
                else:
                    yield one
            elif (several := _several(one.value, self._columns, _DEEPEST)) is None:
                yield one
            else:
                self.notes["objects that hold several records"] += 1
                for record in several:
                    yield Read(record, size=one.size // len(several))


def flattened(record: Any, columns: Columns) -> Any:
    """Return a record with its values at the top level, as text, number or null if possible.

    The value taken from a list is the element marked as primary, else the first.

        >>> flattened({"id": 7, "fields": {"Name": "Ada", "Emails": ["a@b.no"]}}, Columns())
        {'Name': 'Ada', 'Emails': 'a@b.no', 'id': 7}
    """
    if type(record) is not dict or not any(type(one) in (dict, list) for one in record.values()):
        return record
    for _ in range(_DEEPEST):
        inner = _inner(record, columns)
        if inner is None:
            break
        record = inner
    flat: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for column, value in record.items():
        place = None if type(value) not in (dict, list) else columns.place(column)
        if place is None or place.field == KEPT:
            flat[column] = value
            continue
        if place.field == "full_name" and type(value) is dict and (parts := _parts(value)):
            for name, part in parts.items():
                flat.setdefault(name, part)
            if len(parts) < len(value) or parts.keys() & record.keys():
                kept[column] = value
            continue
        found, is_all = _plain(value, _NAMED if place.field == "company" else _VALUES)
        flat[column] = found
        if not is_all:
            kept[column] = value
    if kept:
        raw = flat.get(KEPT)
        others = raw if isinstance(raw, Mapping) else {} if raw is None else {KEPT: raw}
        flat[KEPT] = {
            **others,
            **{f"{name} (2)" if name in others else name: kept[name] for name in kept},
        }
    return flat


def _inner(record: dict[str, Any], columns: Columns) -> dict[str, Any] | None:
    """Return the record nested in an object without a name, merged with the outer keys."""
    if _has_name(record, columns):
        return None
    for key, value in record.items():
        if key in _INNER and type(value) is dict and value and not columns.is_kept(key):
            others = {name: one for name, one in record.items() if name != key}
            clash = {f"{key}.{name}": value[name] for name in value.keys() & others.keys()}
            return {**value, **others, **clash}
    return None


def _has_name(record: Mapping[str, Any], columns: Columns) -> bool:
    return any(
        place is not None and place.field == "full_name" and value not in (None, "")
        for column, value in record.items()
        for place in [columns.place(column)]
    )


def _parts(value: dict[str, Any]) -> dict[str, Any] | None:
    """Return the parts of a name that is given as an object, by column of the part."""
    found = {
        _PARTS[part]: text
        for key, text in value.items()
        for part in [key.casefold().replace("_", "").removesuffix("name") or key]
        if part in _PARTS
    }
    return found or None


def _plain(value: Any, keys: Iterable[str]) -> tuple[Any, bool]:
    """Return the value that an object or a list stands for, and whether it holds nothing else."""
    if type(value) is list:
        filled = [one for one in value if one not in (None, "", {}, [])]
        if not filled:
            return None, True
        chosen = next(
            (
                one
                for one in filled
                if type(one) is dict and (one.get("primary") or one.get("is_primary"))
            ),
            filled[0],
        )
        found, is_all = _plain(chosen, keys)
        return found, is_all and len(filled) == 1
    if type(value) is dict:
        for key in keys:
            found = value.get(key)
            if found is not None and type(found) not in (dict, list):
                return found, len(value) == 1
    return value, True


def _several(value: Any, columns: Columns, depth: int) -> list[dict[str, Any]] | None:
    """Return the records in an object that is not one itself; None if it is a record."""
    if type(value) is not dict or not value or not depth:
        return None
    if (rows := _rows(value, columns)) is not None:
        return rows
    if all(type(one) is dict and one for one in value.values()):
        if (records := _by_column(value, columns)) is not None:
            return records
        known = any(columns.place(column) is not None for column in value)
        if (
            not known
            and not value.keys() & _INNER
            and all(_has_name(flattened(one, columns), columns) for one in value.values())
        ):
            return [one if "id" in one else {"id": key, **one} for key, one in value.items()]
    if _has_name(value, columns):
        return None
    for key, inner in value.items():
        if key not in WRAPPERS or columns.is_kept(key):
            continue
        if (records := _several(inner, columns, depth - 1)) is not None:
            return records
    return None


def _rows(value: dict[str, Any], columns: Columns) -> list[dict[str, Any]] | None:
    """Return the rows under a header, as exported by pandas (`split`) and spreadsheets."""
    rows = value.get("values", value.get("data"))
    if type(rows) is not list or not all(type(row) is list for row in rows):
        return None
    header, *rows = [value["columns"], *rows] if "columns" in value else rows or [None]
    if not _is_header(header, columns) or any(len(row) > len(header) for row in rows):
        return None
    return [dict(zip(header, row, strict=False)) for row in rows]


def _by_column(value: dict[str, Any], columns: Columns) -> list[dict[str, Any]] | None:
    """Return the records of pandas' default format: an object of columns with their values."""
    first: Iterable[str] = next(iter(value.values()))
    if not all(number.isdecimal() for number in first) or not _is_header([*value], columns):
        return None
    if any(one.keys() != next(iter(value.values())).keys() for one in value.values()):
        return None
    return [{column: of[number] for column, of in value.items()} for number in first]


def _is_header(names: Any, columns: Columns) -> bool:
    return (
        type(names) is list
        and all(type(name) is str for name in names)
        and _has_name(dict.fromkeys(names, True), columns)
    )

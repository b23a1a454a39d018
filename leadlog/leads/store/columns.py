"""The mapping from an export's columns to the fields of a lead; its names are in `columns.toml`.

>>> Columns().place("E-Mail Address"), Columns({"Who": "full_name"}).place("who")
(ColumnTarget(field='email', rank=7, part=None), ColumnTarget(field='full_name', rank=0, part=None))
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from leadlog.core.errors import ValidationError
from leadlog.leads.store.invisible import unseen

__all__ = ["BY_VALUE", "FIELD_NAMES", "KEPT", "KNOWN_COLUMNS", "ColumnTarget", "Columns"]

BY_VALUE = "url"
"""Placeholder for `linkedin_url` or `website`, whichever the value turns out to be."""

KEPT = "raw_data"
"""The field that keeps columns without a field."""

_PARTS = ("first", "middle", "last", "suffix")
_NUMBERED = re.compile(r"\s*\(\d+\)\s*\Z")
_IGNORED = re.compile(r"[\W_]+")
_MOST_CACHED = 4096


@dataclass(frozen=True, slots=True)
class ColumnTarget:
    """The target of a column's values.

    Attributes:
        field: The field.
        rank: Rank of the column among those for this field; 0 is the most specific.
        part: Position of the part of `full_name`, in the order in which a name is written; None if
            the column is the whole value.
    """

    field: str
    rank: int
    part: int | None = None


def squashed(column: str) -> str:
    """Return a column's name without case, accents, blanks and punctuation."""
    name = _NUMBERED.sub("", column)
    if not name.isascii():
        name = unicodedata.normalize("NFKD", unseen(name))
        name = "".join(char for char in name if not unicodedata.combining(char))
    return _IGNORED.sub("", name).casefold()


@cache
def _known() -> dict[str, ColumnTarget]:
    text = resources.files("leadlog.leads.store").joinpath("columns.toml").read_text("utf-8")
    found = tomllib.loads(text)
    known: dict[str, ColumnTarget] = {}
    for part, key in enumerate(_PARTS):
        for rank, name in enumerate(found["name"][key], 1):
            known[squashed(name)] = ColumnTarget("full_name", rank, part)
    for field, names in [*found["fields"].items(), (BY_VALUE, found["address"]["by_value"])]:
        for rank, name in enumerate(names, 1):
            known.setdefault(squashed(name), ColumnTarget(field, rank))
    return known


def _field_names() -> frozenset[str]:
    return frozenset(place.field for place in _known().values()) - {BY_VALUE}


FIELD_NAMES = _field_names()
"""The fields that a column can be mapped to, `raw_data` included."""


class Columns:
    """A mapping from columns to fields.

    Args:
        given: Field by column; takes precedence over the known names. `first_name`, `middle_name`
            and `last_name` are parts of the name, and `raw_data` keeps a column as it is.

    Raises:
        ValidationError: There is no such field.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given: dict[str, ColumnTarget | None] = {}
        self._cache: dict[str, ColumnTarget | None] = {}
        for column, field in (given or {}).items():
            name = field.strip().casefold().replace(" ", "_").replace("-", "_")
            part = name.removesuffix("_name")
            if part in _PARTS[:3] and name != part:
                place: ColumnTarget | None = ColumnTarget("full_name", 0, _PARTS.index(part))
            elif name == KEPT:
                place = None
            elif name == "name" or name in FIELD_NAMES:
                place = ColumnTarget("full_name" if name == "name" else name, 0)
            else:
                fields = ", ".join(sorted(FIELD_NAMES | {"first_name", "last_name"}))
                raise ValidationError(
                    f"there is no field {field!r} for the column {column!r}; give one of {fields}"
                )
            self._given[squashed(column)] = place

    def is_kept(self, column: str) -> bool:
        """Return whether a column was given to be kept as it is."""
        name = squashed(column)
        return name in self._given and self._given[name] is None

    def place(self, column: str) -> ColumnTarget | None:
        """Return the target of a column; None for a column that `raw_data` keeps."""
        try:
            return self._cache[column]
        except KeyError:
            pass
        name = squashed(column)
        found = self._given[name] if name in self._given else _known().get(name)
        if len(self._cache) < _MOST_CACHED:  # bounds the memory for endless new names
            self._cache[column] = found
        return found


KNOWN_COLUMNS = Columns()
"""The mapping of `columns.toml` alone."""

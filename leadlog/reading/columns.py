"""The columns of each category, derived from the record types: for DuckDB and for Parquet files.

Nothing is inferred from the content of the log, so a column has the same type in every file. An
object with keys that the contract does not fix (`extra`, `context`, `fields_changed`, …) is a
column of JSON text. `timestamp` is a naive UTC timestamp; every other time is text, as in the
records, and sorts as text.

    >>> columns("sync_operations")["sync_details"][:44]
    'STRUCT("sync_type" VARCHAR, "sync_id" VARCHA'
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from typing_extensions import is_typeddict

from leadlog.core.layout import CATEGORIES
from leadlog.core.records import RECORDS
from leadlog.core.records.hints import all_keys_of, bare

__all__ = ["DUCKDB", "SPARK", "Dialect", "columns", "flat_columns", "record_of"]


@dataclass(frozen=True, eq=False)
class Dialect:
    """The syntax of an engine's types.

    Attributes:
        plain: type name by Python type.
        timestamp: timestamp without time zone.
        key: format of a struct's field.
        struct: format around the fields.
        list: format around the element type.
        map: format around the value type.
    """

    plain: Mapping[Any, str]
    timestamp: str
    key: str
    struct: str
    list: str
    map: str


DUCKDB = Dialect(
    {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"},
    "TIMESTAMP",
    '"{}" {}',
    "STRUCT({})",
    "{}[]",
    "MAP(VARCHAR, {})",
)
SPARK = Dialect(
    {str: "STRING", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"},
    "TIMESTAMP_NTZ",
    "`{}`: {}",
    "STRUCT<{}>",
    "ARRAY<{}>",
    "MAP<STRING, {}>",
)

_OPEN = "context"
"""The key that may have user-defined keys in every record, including `error_log`."""


def record_of(category: str) -> Any:
    """Return the record type of a category's lines.

    ValueError: the category does not exist; the message lists the six.
        ValueError: there is no such category; the message lists the six.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return dict(zip(CATEGORIES, RECORDS.values(), strict=True))[category]


@cache
def columns(category: str, dialect: Dialect = DUCKDB) -> dict[str, str]:
    """Return the types of top-level keys, in the order of the record contract.

    Raises:
        ValueError: the category does not exist.
    """
    return {
        key: dialect.timestamp if key == "timestamp" else _type(key, hint, dialect)
        for key, hint in all_keys_of(record_of(category)).items()
    }


@cache
def flat_columns(category: str) -> dict[str, str]:
    """Return the paths of columns by name, for a view without sections.

    A section's key keeps its name unless an earlier section has the same key; then its section is
    prefixed, as in `performance_metrics_execution_time_ms`.

        >>> flat_columns("sync_operations")["leads_synced"]
        '"sync_results"."leads_synced"'

    Raises:
        ValueError: the category does not exist.
    """
    found: dict[str, str] = {}
    for key, hint in all_keys_of(record_of(category)).items():
        if key == _OPEN or not is_typeddict(hint):
            found[key] = f'"{key}"'
            continue
        for inner in all_keys_of(hint):
            name = f"{key}_{inner}" if inner in found else inner
            found[name] = f'"{key}"."{inner}"'
    return found


def _type(key: str, hint: Any, dialect: Dialect) -> str:
    if key == _OPEN:
        return dialect.plain[str]
    if hint in dialect.plain:
        return dialect.plain[hint]
    if is_typeddict(hint):
        inner = all_keys_of(hint).items()
        fields = (dialect.key.format(name, _type(name, of, dialect)) for name, of in inner)
        return dialect.struct.format(", ".join(fields))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return dialect.plain[type(arguments[0])]
    if origin is list:
        return dialect.list.format(_type(key, arguments[0], dialect))
    of = bare(arguments[1])
    return dialect.map.format(dialect.plain[of]) if of in dialect.plain else dialect.plain[str]

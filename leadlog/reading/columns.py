"""The columns of each category, made from the record types: for DuckDB and for Parquet files.

Nothing is inferred from what the log holds, so a column has the same type in every file. An
object whose keys the contract does not fix (`extra`, `context`, `fields_changed`, …) is its JSON
text. `timestamp` is a naive UTC timestamp; every other time is text, as in the records, and sorts
as text.

    >>> columns("sync_operations")["sync_details"][:44]
    'STRUCT("sync_type" VARCHAR, "sync_id" VARCHA'
"""

from functools import cache
from typing import Any, Literal, get_args, get_origin

from typing_extensions import is_typeddict

from leadlog.layout import CATEGORIES
from leadlog.records import RECORDS
from leadlog.records.hints import all_keys_of, bare

__all__ = ["columns", "flat_columns", "record_of"]

_PLAIN = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}
_JSON = "VARCHAR"
_OPEN = "context"
"""May have keys of the user's own in every record, `error_log` included."""


def record_of(category: str) -> Any:
    """The record type of a category's lines.

    Raises:
        ValueError: there is no such category; the message lists the six.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return dict(zip(CATEGORIES, RECORDS.values(), strict=True))[category]


@cache
def columns(category: str) -> dict[str, str]:
    """Top-level key to DuckDB type, in the order of the record contract.

    Raises:
        ValueError: there is no such category.
    """
    return {
        key: "TIMESTAMP" if key == "timestamp" else _type(key, hint)
        for key, hint in all_keys_of(record_of(category)).items()
    }


@cache
def flat_columns(category: str) -> dict[str, str]:
    """Name to path, for a view without sections.

    A key of a section has its own name; where an earlier section has the same key, that of its
    section before it, such as `performance_metrics_execution_time_ms`.

        >>> flat_columns("sync_operations")["leads_synced"]
        '"sync_results"."leads_synced"'

    Raises:
        ValueError: there is no such category.
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


def _type(key: str, hint: Any) -> str:
    if key == _OPEN:
        return _JSON
    if hint in _PLAIN:
        return _PLAIN[hint]
    if is_typeddict(hint):
        inner = ", ".join(f'"{name}" {_type(name, of)}' for name, of in all_keys_of(hint).items())
        return f"STRUCT({inner})"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _PLAIN[type(arguments[0])]
    if origin is list:
        return f"{_type(key, arguments[0])}[]"
    of = bare(arguments[1])
    return f"MAP(VARCHAR, {_PLAIN[of]})" if of in _PLAIN else _JSON

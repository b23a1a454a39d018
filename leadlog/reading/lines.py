"""SQL for the conversion of lines to columns, and of columns to lines.

The columns reproduce a line byte for byte if it is written as leadlog writes it. Of any other line
(unknown keys, other types, another order, odd spaces) the archive also keeps the text; so every
line is restored unchanged, and storing it twice is the exception.
"""

from collections.abc import Container, Mapping
from functools import cache
from itertools import groupby
from typing import Any, get_origin

from typing_extensions import is_typeddict

from leadlog.core.records.hints import all_keys_of
from leadlog.reading.columns import columns, record_of

__all__ = ["LINE_NUMBER", "RAW", "columns_of_line", "line_of_columns", "with_all_columns"]

RAW = "raw"
"""Column of a part: the line's text if the columns do not reproduce it, else null."""

LINE_NUMBER = "line_number"
"""Column of a part: the line's number in its file, from 0."""

_FIRST = (
    "timestamp",
    "level",
    "log_type",
    "event_name",
    "session_id",
    "event_id",
    "schema_version",
    "process_id",
    "thread_name",
    "trace_id",
    "span_id",
)
_STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


@cache
def columns_of_line(category: str, line: str) -> str:
    """Return a SELECT list that reads a category's columns from a column of valid JSON texts.

    Args:
        category: the folder.
        line: name of the column with the lines.

    Raises:
        ValueError: the category does not exist.
    """
    kinds = ", ".join(f'"{key}": "{_escaped(kind)}"' for key, kind in columns(category).items())
    # TRY: a map with a repeated key would end the query.
    return f"unnest(TRY(json_transform({line}, '{{{kinds}}}')))"


def _escaped(kind: str) -> str:
    return kind.replace('"', '\\"')


def with_all_columns(category: str, read: str) -> str:
    """Return a table of parts with all columns of a category, and all keys of its objects.

    Columns that did not exist when a part was made are null.

    Args:
        category: the folder.
        read: SQL of the call that reads the parts.

    Raises:
        ValueError: the category does not exist.
    """
    return f"(SELECT * FROM {read} UNION ALL BY NAME {_no_rows(category)})"  # noqa: S608 - our own


@cache
def _no_rows(category: str) -> str:
    nulls = ", ".join(f'NULL::{kind} AS "{key}"' for key, kind in columns(category).items())
    return f"SELECT {nulls} WHERE false"


@cache
def line_of_columns(category: str) -> str:
    """Return an SQL expression for the line of a row, without its newline.

    Raises:
        ValueError: the category does not exist.
    """
    record = record_of(category)
    hints = all_keys_of(record)
    kinds = columns(category)
    always = record.__required_keys__
    sections = [key for key in hints if key in always and key not in _FIRST]
    rest = [key for key in hints if key not in _FIRST and key not in sections]
    values: dict[str, str] = {}
    objects: dict[str, str] = {}
    for key in (*_FIRST, *sections, *rest):
        if is_typeddict(hints[key]) and kinds[key].startswith("STRUCT"):
            values[key] = objects[key] = _object(f'"{key}"', hints[key], kinds[key])
        elif key == "timestamp":
            values[key] = f"strftime(timestamp, '{_STAMP}')"
        else:
            values[key] = _value(f'"{key}"', json=_is_json_text(hints[key], kinds[key]))
    return _joined(values, always, objects)


def _object(path: str, hint: Any, kind: str) -> str:
    always = hint.__required_keys__
    # Optional keys come after those that every record has.
    hints = sorted(all_keys_of(hint).items(), key=lambda one: one[0] not in always)
    values = {
        name: _value(
            f'{path}."{name}"',
            json=f'"{name}" VARCHAR' in kind and of is not str and _is_json_text(of, "VARCHAR"),
        )
        for name, of in hints
    }
    return f"CASE WHEN {path} IS NOT NULL THEN {_joined(values, always)} END"


def _value(path: str, *, json: bool) -> str:
    # TRY: a line that leadlog did not write may have any text in place of JSON.
    return f"TRY_CAST({path} AS JSON)" if json else path


def _joined(values: Mapping[str, str], always: Container[str], objects: Container[str] = ()) -> str:
    """Return the text of an object.

    Args:
        values: SQL of the values by key; begins with one of `always`.
        always: keys that are written even without a value.
        objects: keys whose value is already the text of an object.
    """
    texts: list[str] = []
    for plain, keys in groupby(values, key=lambda key: key in always and key not in objects):
        if plain:
            # Together, as one struct without its braces.
            struct = ", ".join(f"'{key}': {values[key]}" for key in keys)
            if texts:
                texts.append("','")
            texts.append(f"CAST(to_json({{{struct}}}) AS VARCHAR)[2:-2]")
            continue
        for key in keys:
            text = values[key]
            if key not in objects:
                text = f"CAST(to_json({text}) AS VARCHAR)"
            if key in always:
                text = f"coalesce({text}, 'null')"
            # NULL adds nothing.
            texts.append(f"',\"{key}\":' || {text}")
    return f"concat('{{', {', '.join(texts)}, '}}')"


def _is_json_text(hint: Any, kind: str) -> bool:
    """Return whether a text column holds JSON: that of an object without fixed keys."""
    return kind == "VARCHAR" and (get_origin(hint) is dict or is_typeddict(hint))

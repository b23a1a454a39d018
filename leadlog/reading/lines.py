"""Lines and columns: SQL that makes a record's columns of its line, and the line of its columns.

The columns give back a line byte for byte where the line is written as leadlog writes it. Of any
other line (keys that the contract does not know, other types, another order, odd spaces) the
archive keeps the text beside the columns; so every line comes back as it was, and what is kept
twice is the exception.
"""

from functools import cache
from typing import Any, get_origin

from typing_extensions import is_typeddict

from leadlog.reading.columns import columns, record_of
from leadlog.records.hints import all_keys_of

__all__ = ["LINE_NUMBER", "RAW", "columns_of_line", "line_of_columns"]

RAW = "raw"
"""Column of a part: the line's text where the columns do not give it back, else null."""

LINE_NUMBER = "line_number"
"""Column of a part: which line of its file it was, from 0."""

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
    """A SELECT list that reads the columns of a category from a column of valid JSON texts.

    Args:
        category: the folder.
        line: name of the column with the lines.

    Raises:
        ValueError: there is no such category.
    """
    kinds = ", ".join(f'"{key}": "{_escaped(kind)}"' for key, kind in columns(category).items())
    # TRY: a map with a key twice would end the query.
    return f"unnest(TRY(json_transform({line}, '{{{kinds}}}')))"


def _escaped(kind: str) -> str:
    return kind.replace('"', '\\"')


@cache
def line_of_columns(category: str) -> str:
    """An SQL expression that gives the line of a row, without its newline.

    Raises:
        ValueError: there is no such category.
    """
    record = record_of(category)
    hints = all_keys_of(record)
    kinds = columns(category)
    sections = [key for key in hints if key in record.__required_keys__ and key not in _FIRST]
    rest = [key for key in hints if key not in _FIRST and key not in sections]
    parts = []
    dropped = []
    # TRY_CAST: where JSON belongs, a line that leadlog did not write may have any text.
    for key in (*_FIRST, *sections, *rest):
        if key not in record.__required_keys__:
            dropped.append(key)
        if key == "timestamp":
            value = f"strftime(timestamp, '{_STAMP}')"
        elif is_typeddict(hints[key]) and kinds[key].startswith("STRUCT"):
            value = _object(f'"{key}"', hints[key], kinds[key], dropped)
        elif _is_json_text(hints[key], kinds[key]):
            value = f'TRY_CAST("{key}" AS JSON)'
        else:
            value = f'"{key}"'
        parts.append(f"{_named(key)}: {value}")
    text = f"CAST(to_json({{{', '.join(parts)}}}) AS VARCHAR)"
    for key in dropped:
        # A text inside the record cannot hold this: its quotation marks have a backslash.
        text = f"replace({text}, ',\"{key}\":null', '')"
    return text


def _object(path: str, hint: Any, kind: str, dropped: list[str]) -> str:
    inner = []
    # What a record may have or not have stands behind what it always has.
    hints = all_keys_of(hint)
    for name, of in sorted(hints.items(), key=lambda one: one[0] not in hint.__required_keys__):
        if name not in hint.__required_keys__:
            dropped.append(name)
        value = f'{path}."{name}"'
        if f'"{name}" VARCHAR' in kind and of is not str and _is_json_text(of, "VARCHAR"):
            value = f"TRY_CAST({value} AS JSON)"
        inner.append(f"{_named(name)}: {value}")
    return f"CASE WHEN {path} IS NOT NULL THEN {{{', '.join(inner)}}} END"


def _is_json_text(hint: Any, kind: str) -> bool:
    """Whether a column of texts holds JSON: that of an object without fixed keys."""
    return kind == "VARCHAR" and (get_origin(hint) is dict or is_typeddict(hint))


def _named(key: str) -> str:
    return f"'{key}'"

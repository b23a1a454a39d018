"""The keys of the record types, with their annotations stripped of qualifiers."""

import types
from typing import Any, NotRequired, Union, get_args, get_origin

from typing_extensions import ReadOnly, get_type_hints

__all__ = ["all_keys_of", "bare", "keys_of"]


def bare(hint: Any) -> Any:
    """Return an annotation without its qualifiers and without None."""
    origin = get_origin(hint)
    if origin in (ReadOnly, NotRequired):
        return bare(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return bare(next(arg for arg in get_args(hint) if arg is not type(None)))
    return hint


def all_keys_of(record: Any) -> dict[str, Any]:
    """Return all keys of a TypedDict with their bare annotations."""
    hints = get_type_hints(record, include_extras=True)
    return {key: bare(hint) for key, hint in hints.items()}


def keys_of(record: Any) -> dict[str, Any]:
    """Return the keys of a TypedDict that are always present, with their bare annotations."""
    return {
        key: hint for key, hint in all_keys_of(record).items() if key in record.__required_keys__
    }

"""JSON Schemas derived from the record types of other packages."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

from leadlog.core.records.hints import bare, keys_of

__all__ = ["schema_of"]

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(record: Any) -> dict[str, Any]:
    """Return the JSON Schema of a TypedDict; numbers, texts and booleans may also be null."""
    hints = get_type_hints(record, include_extras=True)
    return {
        "title": record.__name__,
        "type": "object",
        "properties": {key: _schema(hint) for key, hint in hints.items()},
        "required": list(keys_of(record)),
    }


def _schema(hint: Any) -> dict[str, Any]:
    plain = bare(hint)
    if is_typeddict(plain):
        return schema_of(plain)
    origin, arguments = get_origin(plain), get_args(plain)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0])}
    if plain is dict or origin in (dict, Mapping):
        return {"type": "object"}
    kind = _TYPES.get(plain)
    return {} if kind is None else {"anyOf": [{"type": kind}, {"type": "null"}]}

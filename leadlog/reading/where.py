"""The filter language of `--where`.

    operation_details.success=false      equal; also !=
    operation_details.execution_time_ms>=200     also < <= > (numbers, or text by its order)
    lead_identifier.company~gmbh         contains, in any case
    operation_details.error_message!=null        null also matches a missing key
    trace_id exists                      the key exists, with any value

A path descends through objects; through a list it means any of its elements, or one by its number
(`alerts.severity=critical`, `alerts.0.name=disk`). A value is parsed as JSON (`true`, `4.5`,
`null`, `"42"`), else as text. An unquoted value also equals a text in the same notation, so
`lead_identifier.lead_id=42` finds the id "42".

    >>> event = {"operation_details": {"success": False, "execution_time_ms": 250.0}}
    >>> parse("operation_details.success=false")(event)
    True
    >>> all_of(["operation_details.success=false", "operation_details.execution_time_ms<200"])(
    ...     event
    ... )
    False
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from leadlog.core.errors import LeadlogError

__all__ = ["Condition", "WhereError", "all_of", "known_paths", "parse", "suggestion"]

_EXPRESSION = re.compile(
    r"\s*(?P<path>[^\s=<>!~]+)(?:\s+(?P<exists>exists)|\s*(?P<operator>[!<>]=|[=<>~])(?P<value>.*))\s*",
    re.DOTALL,
)
_HELP = (
    "write field=value, with = != < <= > >= or ~ (contains), or 'field exists'; "
    "for example operation_details.success=false"
)


class WhereError(LeadlogError, ValueError):
    """A `--where` expression that cannot be parsed; the message shows how to write it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One parsed expression; call it with an event.

    Attributes:
        path: keys, from the top level of the event downwards.
        operator: `=`, `!=`, `<`, `<=`, `>`, `>=`, `~` or `exists`.
        value: the value to compare with: a string, number, boolean or None.
        text: the value as text; None if it was quoted and is `value` itself.
    """

    path: tuple[str, ...]
    operator: str
    value: str | int | float | bool | None = None
    text: str | None = None

    def __call__(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event matches; never raises, whatever it contains."""
        found = list(_values(event, self.path))
        match self.operator:
            case "exists":
                return bool(found)
            case "=":
                return self._equal(found)
            case "!=":
                return not self._equal(found)
            case "~":
                part = str(self.value if self.text is None else self.text).casefold()
                return any(part in _text(value).casefold() for value in _elements(found))
            case _:
                return any(self._ordered(value) for value in _elements(found))

    def _equal(self, found: list[Any]) -> bool:
        if self.value is None:
            return not found or any(value is None for value in found)
        return any(self._same(value) for value in _elements(found))

    def _same(self, value: Any) -> bool:
        if type(value) is str:
            return value == (self.value if self.text is None else self.text)
        if type(value) is bool or type(self.value) is bool:
            return value is self.value
        return _number(value) and _number(self.value) and bool(value == self.value)

    def _ordered(self, value: Any) -> bool:
        limit: Any = self.value
        if type(value) is str:
            limit = limit if self.text is None else self.text
        elif not (_number(value) and _number(limit)):
            return False
        if self.operator == "<":
            return bool(value < limit)
        if self.operator == "<=":
            return bool(value <= limit)
        if self.operator == ">":
            return bool(value > limit)
        return bool(value >= limit)


def parse(expression: str) -> Condition:
    """Parse one expression.

    Raises:
        WhereError: it cannot be parsed; the message shows how to write it.
    """
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise WhereError(f"cannot understand {expression!r}; {_HELP}")
    path = tuple(match["path"].split("."))
    if not all(path):
        raise WhereError(f"{match['path']!r} has an empty part between its dots; {_HELP}")
    if match["exists"]:
        return Condition(path, "exists")
    operator, text = match["operator"], match["value"].strip()
    if not text:
        raise WhereError(
            f"{expression!r} has no value; write {match['path']}=null for what is not known, "
            f'{match["path"]}="" for an empty text'
        )
    if text[0] in "=<>!~":
        raise WhereError(
            f"cannot understand {operator + text[0]!r} in {expression!r}; "
            f'{_HELP}; quote a value that begins with such a sign: field="{text}"'
        )
    value = _literal(text, expression)
    if operator not in ("=", "!=", "~") and (value is None or isinstance(value, bool)):
        raise WhereError(
            f"{expression!r}: {operator} compares numbers or text, and {text} is neither; "
            f'use = or !=, or quote it: "{text}"'
        )
    quoted = text[0] == '"'
    return Condition(path, operator, value, None if quoted else text)


def all_of(expressions: Iterable[str]) -> Callable[[Mapping[str, Any]], bool]:
    """Return one condition that requires all of the expressions; without any it is always true.

    Raises:
        WhereError: an expression cannot be parsed.
    """
    conditions = [parse(expression) for expression in expressions]
    if len(conditions) == 1:
        return conditions[0]
    return lambda event: all(condition(event) for condition in conditions)


def known_paths(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield every path, with dots, that an expression could name in this event."""
    for key, value in event.items():
        yield str(key)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Mapping):
                yield from (f"{key}.{path}" for path in known_paths(inner))


def suggestion(condition: Condition, known: Iterable[str]) -> str | None:
    """Return the known path that was probably meant.

    None if the path is known, or no known path is similar.
    """
    path = ".".join(part for part in condition.path if not part.isdecimal())
    known = set(known)
    if path in known:
        return None
    # Users tend to type a column's bare name: success for operation_details.success.
    last = [name for name in sorted(known) if name.rpartition(".")[2] == path]
    near = last or get_close_matches(path, sorted(known), n=1, cutoff=0.6)
    return near[0] if near else None


def _literal(text: str, expression: str) -> str | int | float | bool | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        if text[0] == '"':
            raise WhereError(
                f"the quotes around {text} in {expression!r} do not end as they should; put the "
                "whole expression into single quotes for the shell"
            ) from None
        return text
    return text if isinstance(value, list | dict) else value


def _values(data: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield the values at a path: none, one, or several if it passes through a list."""
    if not path:
        yield data
    elif isinstance(data, Mapping):
        if path[0] in data:
            yield from _values(data[path[0]], path[1:])
    elif isinstance(data, list):
        if path[0].isdecimal():
            if int(path[0]) < len(data):
                yield from _values(data[int(path[0])], path[1:])
        else:
            for element in data:
                yield from _values(element, path)


def _elements(found: list[Any]) -> Iterator[Any]:
    for value in found:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if _number(value) else ""

"""The part of Airtable's formula language needed for filters by equality.

Fields in braces, texts, numbers, comparisons, `&`, and the functions in `FUNCTIONS`: the syntax
that `pyairtable.formulas.match` and its AND, OR and NOT generate. Anything else is refused as
Airtable refuses an invalid formula, never taken for true.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from leadlog.testing.airtable.refusals import Refusal
from leadlog.testing.airtable.values import is_blank

__all__ = ["FUNCTIONS", "Formula", "as_text", "broken", "is_true", "parse"]

_Cell = Callable[[str], Any]
_Step = Callable[[str, _Cell], Any]


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.

    Attributes:
        value: Returns the formula's value, given a record's id and a function from a field's name
            or id to the field's value.
        fields: The names and ids of fields used in it.
    """

    value: _Step
    fields: frozenset[str]


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d*)?|\.\d+)
    |'(?P<single>(?:[^'\\]|\\.)*)'
    |"(?P<double>(?:[^"\\]|\\.)*)"
    |\{(?P<field>(?:[^}\\]|\\.)*)\}
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign><=|>=|!=|[=<>&(),+-])
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DEEPEST = 100


def broken(detail: str = "Invalid formula. Please check your formula text.") -> Refusal:
    """Return the refusal of an invalid formula."""
    return Refusal(
        422,
        "INVALID_FILTER_BY_FORMULA",
        f"The formula for filtering records is invalid: {detail}",
    )


def is_true(value: Any) -> bool:
    """Return whether a filter keeps a record for which its formula has a given value."""
    return not is_blank(value) and value != 0


def as_text(value: Any) -> str:
    """Return a value in the form in which `&` joins it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ", ".join(value) if isinstance(value, list) else str(value)


def _date(text: Any) -> str:
    try:
        moment = datetime.fromisoformat(as_text(text))
    except ValueError:
        raise broken("DATETIME_PARSE takes an ISO 8601 date.") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Minimum and maximum number of arguments of each function, and its implementation.
FUNCTIONS: dict[str, tuple[int, float, Callable[..., Any]]] = {
    "AND": (1, math.inf, lambda *parts: all(map(is_true, parts))),
    "OR": (1, math.inf, lambda *parts: any(map(is_true, parts))),
    "XOR": (1, math.inf, lambda *parts: sum(map(is_true, parts)) % 2 == 1),
    "NOT": (1, 1, lambda part: not is_true(part)),
    "IF": (2, 3, lambda part, yes, no=None: yes if is_true(part) else no),
    "TRUE": (0, 0, lambda: True),
    "FALSE": (0, 0, lambda: False),
    "BLANK": (0, 0, lambda: None),
    "LOWER": (1, 1, lambda text: as_text(text).lower()),
    "UPPER": (1, 1, lambda text: as_text(text).upper()),
    "TRIM": (1, 1, lambda text: as_text(text).strip()),
    "LEN": (1, 1, lambda text: len(as_text(text))),
    "FIND": (2, 2, lambda needle, text: as_text(text).find(as_text(needle)) + 1),
    "CONCATENATE": (1, math.inf, lambda *parts: "".join(map(as_text, parts))),
    "DATETIME_PARSE": (1, 1, _date),
}


def _filled(value: Any, beside: Any) -> Any:
    # Blank equals an empty text and zero; otherwise a text and a number are never equal.
    if value is not None:
        return value
    return 0 if isinstance(beside, (int, float)) else ""


def _compare(sign: str, left: Any, right: Any) -> bool:
    left, right = _filled(left, right), _filled(right, left)
    left, right = (
        as_text(one) if isinstance(one, list) else int(one) if isinstance(one, bool) else one
        for one in (left, right)
    )
    if isinstance(left, str) is not isinstance(right, str):
        return sign == "!="
    if isinstance(left, str):
        left, right = _same_precision(left, right)
    return _COMPARE[sign](left, right)


def _same_precision(left: str, right: str) -> tuple[str, str]:
    # A date cell compared with DATETIME_PARSE, which has a time.
    day = re.compile(r"\d{4}-\d\d-\d\d")
    stamp = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
    for one, other in ((left, right), (right, left)):
        if day.fullmatch(one) and stamp.fullmatch(other):
            return _date(left), _date(right)
    return left, right


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text))
        self._at = 0
        self._fields: set[str] = set()

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise broken()
            kind = str(found.lastgroup)
            value = found[kind]
            if kind in {"single", "double", "field"}:
                value = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
                kind = "text" if kind != "field" else kind
            yield kind, value
            at = found.end()

    def whole(self) -> Formula:
        step = self._comparison(0)
        if self._at < len(self._tokens):
            raise broken()
        return Formula(step, frozenset(self._fields))

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise broken()
        self._at += 1
        return self._tokens[self._at - 1]

    def _sign(self, wanted: str) -> str | None:
        if self._at < len(self._tokens):
            kind, value = self._tokens[self._at]
            if kind == "sign" and value in wanted.split():
                self._at += 1
                return value
        return None

    def _comparison(self, depth: int) -> _Step:
        if depth > _DEEPEST:
            raise broken()
        left = self._joined(depth)
        while sign := self._sign("= != < <= > >="):
            left = _comparing(sign, left, self._joined(depth))
        return left

    def _joined(self, depth: int) -> _Step:
        left = self._operand(depth)
        while self._sign("&"):
            left = _joining(left, self._operand(depth))
        return left

    def _operand(self, depth: int) -> _Step:
        if self._sign("-"):
            kind, value = self._next()
            if kind != "number":
                raise broken()
            return _constant(-float(value))
        if self._sign("("):
            inner = self._comparison(depth + 1)
            if not self._sign(")"):
                raise broken()
            return inner
        kind, value = self._next()
        if kind == "text":
            return _constant(value)
        if kind == "number":
            return _constant(float(value))
        if kind == "field":
            return self._field(value)
        if kind == "name":
            return self._call(value, depth)
        raise broken()

    def _field(self, name: str) -> _Step:
        self._fields.add(name)
        return lambda _, cell: cell(name)

    def _call(self, name: str, depth: int) -> _Step:
        if not self._sign("("):
            return self._field(name)  # a single word needs no braces
        arguments: list[_Step] = []
        if not self._sign(")"):
            arguments.append(self._comparison(depth + 1))
            while self._sign(","):
                arguments.append(self._comparison(depth + 1))
            if not self._sign(")"):
                raise broken()
        if name.upper() == "RECORD_ID" and not arguments:
            return lambda record_id, _: record_id
        least, most, function = FUNCTIONS.get(name.upper(), (1, 0, str))
        if not least <= len(arguments) <= most:
            raise broken()
        return lambda record_id, cell: function(*(one(record_id, cell) for one in arguments))


def _constant(value: Any) -> _Step:
    return lambda *_: value


def _comparing(sign: str, left: _Step, right: _Step) -> _Step:
    return lambda record_id, cell: _compare(sign, left(record_id, cell), right(record_id, cell))


def _joining(left: _Step, right: _Step) -> _Step:
    return lambda record_id, cell: as_text(left(record_id, cell)) + as_text(right(record_id, cell))


@lru_cache(maxsize=256)
def parse(text: str) -> Formula:
    """Parse a formula.

    Raises:
        Refusal: It is invalid, or uses a function that the fake does not have.
    """
    return _Parser(text).whole()

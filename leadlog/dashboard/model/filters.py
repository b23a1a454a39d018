"""Event filters, written as terms in a page's address: `operation:add_lead ms>100`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from leadlog.core.errors import LeadlogError
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Figures

__all__ = ["FACETS", "EventFilter", "FilterError", "filter_of", "value_of"]

FACETS: Final[Mapping[str, str]] = {
    "category": "category",
    "operation": "operation",
    "outcome": "outcome",
    "failed": "failed",
    "tier": "tier",
    "level": "level",
    "entity": "entity",
    "quality": "quality",
    "event": "event_name",
    "error": "error_type",
    "fingerprint": "fingerprint",
    "monitoring": "monitoring",
}
"""Name of a facet in a filter to the attribute of a kind."""

_TERM: Final = re.compile(r'(-?)([a-z]+)(:|>=|<=|>|<)("(?:[^"\\]|\\.)*"|\S+)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_OWN: Final = ("user", "session", "key")


class FilterError(LeadlogError, ValueError):
    """The filter is malformed; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter of events.

    Attributes:
        text: the filter as written.
        values: facet to its accepted values.
        without: facet to its excluded values.
        users: accepted users; empty for all.
        session: accepted session, if limited to one.
        key: key of the affected row, if limited to one.
        least_us: minimum duration in microseconds.
        most_us: maximum duration in microseconds.
    """

    text: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    session: str | None = None
    key: str | None = None
    least_us: int | None = None
    most_us: int | None = None

    @property
    def by_kind(self) -> bool:
        """Whether the filter depends on kinds alone, so that roll-ups can be read."""
        return not self.users and not any(
            value is not None for value in (self.session, self.key, self.least_us, self.most_us)
        )

    def kinds(self, kinds: Mapping[int, Kind]) -> list[int] | None:
        """Return the numbers of the matching kinds; None for all."""
        if not self.values and not self.without:
            return None
        return [number for number, kind in kinds.items() if self.takes(kind)]

    def takes(self, kind: Kind, but: str = "") -> bool:
        """Return True if events of a kind match; the facet `but` is ignored."""
        return all(
            name == but or value_of(kind, name) in wanted for name, wanted in self.values.items()
        ) and not any(
            name != but and value_of(kind, name) in unwanted
            for name, unwanted in self.without.items()
        )

    def conditions(self, figures: Figures) -> dict[str, Any]:
        """Return the arguments of `Figures.newest` and `grouped` other than the kinds."""
        return {
            "users": figures.users(self.users) if self.users else None,
            "session": self.session,
            "key": self.key,
            "least_us": self.least_us,
            "most_us": self.most_us,
        }


def value_of(kind: Kind, facet: str) -> str:
    """Return a kind's value of a facet; "" if it has none."""
    value = getattr(kind, FACETS[facet])
    if facet == "failed":
        return "" if value is None else "yes" if value else "no"
    return "" if value is None else str(value)


def filter_of(text: str) -> EventFilter:
    """Parse a filter.

        operation:add_lead outcome:failed user:ana ms>=100 -tier:excellent

    Terms of the same facet are alternatives; different facets must all match. A value with spaces
    is written in double quotes, in which a quote or a backslash is escaped with a backslash.

    Raises:
        FilterError: a term is malformed.
    """
    values: dict[str, tuple[str, ...]] = {}
    without: dict[str, tuple[str, ...]] = {}
    users: tuple[str, ...] = ()
    own: dict[str, str] = {}
    limits: dict[str, int] = {}
    rest = _TERM.sub(" ", text).split()
    if rest:
        raise FilterError(
            f"{rest[0]!r} is not a filter; write word:value, such as operation:add_lead, "
            f"user:ana or ms>=100. The words are {', '.join((*FACETS, *_OWN, 'ms'))}"
        )
    for minus, name, sign, quoted in _TERM.findall(text):
        value = quoted
        if len(quoted) > 1 and quoted[0] == quoted[-1] == '"':
            value = _ESCAPED.sub(r"\1", quoted[1:-1])
        if name == "ms" and not minus and sign != ":":
            try:
                us = round(float(value) * 1000)
            except (ValueError, OverflowError):
                raise FilterError(
                    f"ms{sign}{value}: {value!r} is not a number of milliseconds"
                ) from None
            if ">" in sign:
                limits["least_us"] = us + (sign == ">")
            else:
                limits["most_us"] = us - (sign == "<")
        elif name == "user" and sign == ":" and not minus:
            users = (*users, value)
        elif name in _OWN and sign == ":" and not minus:
            own[name] = value
        elif name in FACETS and sign == ":":
            place = without if minus else values
            place[name] = (*place.get(name, ()), value)
        else:
            raise FilterError(
                f"{minus}{name}{sign}{value} is not a filter; the words are "
                f"{', '.join((*FACETS, *_OWN))} with `:`, and ms with < or >"
            )
    return EventFilter(
        text.strip(),
        values,
        without,
        users,
        session=own.get("session"),
        key=own.get("key"),
        least_us=limits.get("least_us"),
        most_us=limits.get("most_us"),
    )

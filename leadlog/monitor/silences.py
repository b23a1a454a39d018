"""Silences, created by users, and inhibitions, by which an alert suppresses its consequences."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from leadlog.monitor.states import AlertState, Key

__all__ = ["Inhibition", "Silence", "inhibited", "matches", "silenced"]


def matches(text: str, pattern: str) -> bool:
    """Return whether a pattern matches a whole text.

    The wildcards are `*` (any characters) and `?` (any one character); brackets are literal, since
    they are common in labels.
    """
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.compile("".join(_WILD.get(part, part) for part in parts), re.DOTALL)


_WILD: Final = {re.escape("*"): ".*", re.escape("?"): "."}


@attrs.frozen
class Silence:
    """A silence: some alerts cause no notices for a while.

    Attributes:
        number: number of the silence.
        rule: which rules; `*` and `?` stand for any characters.
        label: which labels, with the same wildcards.
        comment: the reason.
        by: its creator.
        created_us: time of creation, microseconds since 1970.
        ends_us: end, microseconds since 1970.
    """

    number: int
    rule: str
    label: str
    comment: str
    by: str
    created_us: int
    ends_us: int

    def covers(self, key: Key) -> bool:
        """Return whether the silence applies to an alert."""
        return matches(key[0], self.rule) and matches(key[1], self.label)

    def is_active(self, now_us: int) -> bool:
        """Return whether the silence is in effect at a time."""
        return self.created_us <= now_us < self.ends_us


def _patterns(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ValueError(f'{value!r} is not a list of rules; write ["burn_rate", "latency"]')
    return tuple(given)


@attrs.frozen(kw_only=True)
class Inhibition:
    """An inhibition: alerts that are consequences of another firing alert cause no notices.

    Attributes:
        rule: the rule of the cause.
        label: the cause's label; `*` and `?` stand for any characters.
        inhibits: rules of the consequences, with wildcards; `rule:label` for some labels only.
    """

    rule: str = attrs.field(validator=attrs.validators.instance_of(str))
    label: str = attrs.field(default="*", validator=attrs.validators.instance_of(str))
    inhibits: tuple[str, ...] = attrs.field(converter=_patterns)

    def is_cause(self, alert: AlertState) -> bool:
        """Return whether an alert is a cause."""
        return (
            alert.state == "firing"
            and matches(alert.rule, self.rule)
            and matches(alert.label, self.label)
        )

    def suppresses(self, key: Key) -> bool:
        """Return whether an alert is a consequence."""
        for pattern in self.inhibits:
            rule, colon, label = pattern.partition(":")
            if matches(key[0], rule) and (not colon or matches(key[1], label)):
                return True
        return False


def silenced(keys: Iterable[Key], silences: Iterable[Silence], now_us: int) -> set[Key]:
    """Return the alerts that a silence covers now."""
    active = [one for one in silences if one.is_active(now_us)]
    return {key for key in keys if any(one.covers(key) for one in active)}


def inhibited(
    keys: Iterable[Key], alerts: Mapping[Key, AlertState], inhibitions: Iterable[Inhibition]
) -> set[Key]:
    """Return the alerts that are consequences of a firing alert."""
    found: set[Key] = set()
    keys = list(keys)
    for inhibition in inhibitions:
        causes = {key for key, alert in alerts.items() if inhibition.is_cause(alert)}
        if causes:
            found |= {key for key in keys if inhibition.suppresses(key) and key not in causes}
    return found

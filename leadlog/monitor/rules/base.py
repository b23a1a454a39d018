"""Rules: frozen records of settings that evaluate the figures and return findings.

A rule reports only the current state. `states` decides whether it has lasted long enough, `groups`
whether and how often a notice is sent.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import attrs

from leadlog.monitor.durations import seconds
from leadlog.monitor.figures.rolling import Gauge, Rolling

__all__ = [
    "SEVERITIES",
    "CheckResult",
    "Rule",
    "RuleFinding",
    "RuleView",
    "duration",
    "is_called",
    "number",
    "operation",
    "percent",
    "severity",
]

SEVERITIES: Final = ("info", "warning", "critical")
"""All severities, from lowest to highest."""


class CheckResult(Protocol):
    """The result of a health check, as in `leadlog.monitor.health.Check`."""

    @property
    def name(self) -> str:
        """The name of the check."""
        ...

    @property
    def state(self) -> str:
        """`ok`, `warning`, `critical` or `unknown`."""
        ...

    @property
    def value(self) -> Any:
        """The measured value."""
        ...

    @property
    def threshold(self) -> Any:
        """The limit that the value is compared with."""
        ...

    @property
    def unit(self) -> Any:
        """The unit of value and threshold."""
        ...

    @property
    def message(self) -> str:
        """The finding as text."""
        ...

    @property
    def remedy(self) -> Any:
        """The remedy, if any."""
        ...


@attrs.frozen
class RuleView:
    """The data that rules evaluate.

    Attributes:
        figures: the rolling figures, with the current time set.
        checks: the newest result of every health check.
    """

    figures: Rolling
    checks: Sequence[CheckResult] = ()

    @property
    def minute(self) -> int:
        """The current time in minutes since 1970."""
        return self.figures.now_minute

    def gauge(self, name: str, within_minutes: int) -> Gauge | None:
        """Return the newest value of a name, unless it is older than `within_minutes`."""
        found = self.figures.gauges.get(name)
        if found is None or self.minute - found.minute > within_minutes:
            return None
        return found


@attrs.frozen
class RuleFinding:
    """A problem that a rule found.

    Attributes:
        rule: name of the rule that found it.
        label: distinguishes several findings of one rule; else "".
        severity: info, warning or critical.
        message: the problem in one sentence.
        value: the measured value.
        threshold: the limit that the value is compared with.
        remedy: what to do, or "".
    """

    rule: str
    label: str
    severity: str
    message: str
    value: float | None = None
    threshold: float | None = None
    remedy: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Rule and label, which name an alert."""
        return self.rule, self.label


def duration(default: str, help: str, *, key: str = "") -> Any:  # noqa: A002 - the word that settings use
    """Return a field for a duration in seconds."""
    metadata = {"help": help, "key": key, "unit": "s"}
    return attrs.field(default=default, converter=seconds, metadata=metadata)


def number(default: float, help: str, *, least: float = 0.0, unit: str = "") -> Any:  # noqa: A002 - settings use it
    """Return a field for a number, `least` or more."""
    return attrs.field(
        default=default,
        converter=_number,
        validator=attrs.validators.ge(least),
        metadata={"help": help, "key": "", "unit": unit},
    )


def percent(default: float, help: str) -> Any:  # noqa: A002 - settings use it
    """Return a field for a percentage from 0 to 100."""
    return attrs.field(
        default=default,
        converter=_number,
        validator=[attrs.validators.ge(0), attrs.validators.le(100)],
        metadata={"help": help, "key": "", "unit": "%"},
    )


def operation() -> Any:
    """Return a field for the name of an operation, of one class or of all."""
    return attrs.field(
        default="",
        validator=attrs.validators.instance_of(str),
        metadata={
            "help": "Only this operation: `Class.operation`, or `operation` for every class.",
            "key": "",
            "unit": "",
        },
    )


def is_called(series: str, operation: str) -> bool:
    """Return whether a series matches the name in such a field; an empty name matches any."""
    return operation in ("", series, series.rpartition(".")[2])


def severity(default: str) -> Any:
    """Return a field for a severity."""
    metadata = {"help": "How bad it is: info, warning or critical.", "key": "", "unit": ""}
    check = attrs.validators.in_(SEVERITIES)
    return attrs.field(default=default, validator=check, metadata=metadata)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


@attrs.frozen(kw_only=True)
class Rule(ABC):
    """Base class of all rules.

    Attributes:
        name: name of the rule; by default that of its kind.
    """

    kind = ""
    about = ""

    name: str = ""
    enabled: bool = attrs.field(
        default=True,
        validator=attrs.validators.instance_of(bool),
        metadata={"help": "Whether the rule is enabled.", "key": "", "unit": ""},
    )
    hold: float = duration("2m", "How long it must hold before the alert fires.", key="for")
    keep: float = duration(
        "10m", "How long it must be clear before the alert is resolved.", key="keep_firing_for"
    )

    @abstractmethod
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        """Yield the current findings of this rule."""

    def found(self, severity: str, message: str, **more: Any) -> RuleFinding:
        """Return a finding of this rule."""
        return RuleFinding(
            rule=self.name or self.kind,
            label=more.pop("label", ""),
            severity=severity,
            message=message,
            **more,
        )

"""What a rule is: a frozen record of its settings that looks at the figures and says what it found.

A rule says only what is so at this moment. Whether that has lasted long enough, whether anybody
is notified, and how often, is decided by `states` and `groups`.
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
"""From the mildest to the worst."""


class CheckResult(Protocol):
    """What a health check found, as `leadlog.monitor.health.Check` has it."""

    @property
    def name(self) -> str:
        """Of the check."""
        ...

    @property
    def state(self) -> str:
        """`ok`, `warning`, `critical` or `unknown`."""
        ...

    @property
    def value(self) -> Any:
        """What was measured."""
        ...

    @property
    def threshold(self) -> Any:
        """What it is held against."""
        ...

    @property
    def unit(self) -> Any:
        """Of both."""
        ...

    @property
    def message(self) -> str:
        """What is so."""
        ...

    @property
    def remedy(self) -> Any:
        """What to do."""
        ...


@attrs.frozen
class RuleView:
    """What rules look at.

    Attributes:
        figures: the rolling figures, with the clock set.
        checks: the newest result of every health check.
    """

    figures: Rolling
    checks: Sequence[CheckResult] = ()

    @property
    def minute(self) -> int:
        """The present, in minutes since 1970."""
        return self.figures.now_minute

    def gauge(self, name: str, within_minutes: int) -> Gauge | None:
        """Return the newest value of that name, if it is not older than that."""
        found = self.figures.gauges.get(name)
        if found is None or self.minute - found.minute > within_minutes:
            return None
        return found


@attrs.frozen
class RuleFinding:
    """Something that is wrong now.

    Attributes:
        rule: name of the rule that found it.
        label: what it is about, where one rule may find several things; else "".
        severity: info, warning or critical.
        message: what is wrong, in one sentence.
        value: the measured value.
        threshold: what it is held against.
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
    """Return a field that holds seconds."""
    metadata = {"help": help, "key": key, "unit": "s"}
    return attrs.field(default=default, converter=seconds, metadata=metadata)


def number(default: float, help: str, *, least: float = 0.0, unit: str = "") -> Any:  # noqa: A002 - settings use it
    """Return a field that holds a number, `least` or more."""
    return attrs.field(
        default=default,
        converter=_number,
        validator=attrs.validators.ge(least),
        metadata={"help": help, "key": "", "unit": unit},
    )


def percent(default: float, help: str) -> Any:  # noqa: A002 - settings use it
    """Return a field that holds a percentage from 0 to 100."""
    return attrs.field(
        default=default,
        converter=_number,
        validator=[attrs.validators.ge(0), attrs.validators.le(100)],
        metadata={"help": help, "key": "", "unit": "%"},
    )


def operation() -> Any:
    """Return a field that holds the name of an operation, of one class or of all of them."""
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
    """Return whether a series is what such a field names; any is, where it names none."""
    return operation in ("", series, series.rpartition(".")[2])


def severity(default: str) -> Any:
    """Return a field that holds a severity."""
    metadata = {"help": "How bad it is: info, warning or critical.", "key": "", "unit": ""}
    check = attrs.validators.in_(SEVERITIES)
    return attrs.field(default=default, validator=check, metadata=metadata)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


@attrs.frozen(kw_only=True)
class Rule(ABC):
    """What all rules have.

    Attributes:
        name: of the rule; that of its kind, unless it was made in the settings.
    """

    kind = ""
    about = ""

    name: str = ""
    enabled: bool = attrs.field(
        default=True,
        validator=attrs.validators.instance_of(bool),
        metadata={"help": "Whether the rule is in force.", "key": "", "unit": ""},
    )
    hold: float = duration("2m", "How long it must be so before the alert fires.", key="for")
    keep: float = duration(
        "10m", "How long it must not be so before the alert is resolved.", key="keep_firing_for"
    )

    @abstractmethod
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        """Return what is wrong now according to this rule."""

    def found(self, severity: str, message: str, **more: Any) -> RuleFinding:
        """Return a finding of this rule."""
        return RuleFinding(
            rule=self.name or self.kind,
            label=more.pop("label", ""),
            severity=severity,
            message=message,
            **more,
        )

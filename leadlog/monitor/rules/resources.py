"""Rules on the machine and the log: space, lost events, silence, data quality, health checks."""

from collections.abc import Iterator
from typing import Final

import attrs
from typing_extensions import override

from leadlog.monitor.durations import describe
from leadlog.monitor.figures.minutes import DAYS
from leadlog.monitor.figures.rolling import OPERATIONS
from leadlog.monitor.rules.absence import Absence
from leadlog.monitor.rules.base import (
    Rule,
    RuleFinding,
    RuleView,
    duration,
    number,
    percent,
    severity,
)

__all__ = [
    "DataQualityDrop",
    "Disk",
    "DroppedEvents",
    "HealthCheck",
    "Memory",
    "NoEvents",
    "ShippingLag",
]

_FRESH_MINUTES: Final = 15  # what was measured longer ago says nothing about now


@attrs.frozen(kw_only=True)
class _Room(Rule):
    """A resource that runs out, by its free percentage and its free amount."""

    gauge = ""
    what = ""
    remedy = ""

    warning_percent: float = percent(10.0, "Free percentage below which it warns.")
    critical_percent: float = percent(5.0, "Free percentage below which it is critical.")
    warning_mb: float = number(20_000, "Free space from which it never warns.", unit="MB")
    critical_mb: float = number(2_000, "Free space from which it is not critical.", unit="MB")

    def __attrs_post_init__(self) -> None:
        """Raise a ValueError if the limits are in the wrong order."""
        if self.critical_percent > self.warning_percent or self.critical_mb > self.warning_mb:
            raise ValueError(
                "critical_percent and critical_mb must not be above warning_percent and "
                f"warning_mb, but are {self.critical_percent:g} > {self.warning_percent:g} or "
                f"{self.critical_mb:g} > {self.warning_mb:g}"
            )

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        share = view.gauge(f"{self.gauge}_free_percent", _FRESH_MINUTES)
        room = view.gauge(f"{self.gauge}_free_mb", _FRESH_MINUTES)
        if share is None or room is None:
            return
        if share.value >= self.warning_percent or room.value >= self.warning_mb:
            return
        critical = share.value < self.critical_percent and room.value < self.critical_mb
        yield self.found(
            "critical" if critical else "warning",
            f"{share.value:.1f} % of {self.what} is free, which is {room.value:.0f} MB",
            value=round(share.value, 2),
            threshold=self.critical_percent if critical else self.warning_percent,
            remedy=self.remedy,
        )


@attrs.frozen(kw_only=True)
class Disk(_Room):
    """The disk of the log directory fills up."""

    kind = "disk"
    about = "The disk that the log lies on is nearly full."
    gauge = "disk"
    what = "the disk that the log lies on"
    remedy = "make room; old log files: leadlog archive --dry-run"

    hold: float = duration("1m", "How long it must hold before the alert fires.", key="for")


@attrs.frozen(kw_only=True)
class Memory(_Room):
    """The machine's memory fills up."""

    kind = "memory"
    about = "The machine is running out of memory."
    gauge = "memory"
    what = "the machine's memory"
    remedy = "see which process takes it"

    hold: float = duration("5m", "How long it must hold before the alert fires.", key="for")
    warning_mb: float = number(2_000, "Free memory from which it never warns.", unit="MB")
    critical_mb: float = number(500, "Free memory from which it is not critical.", unit="MB")


@attrs.frozen(kw_only=True)
class DroppedEvents(Rule):
    """The log lost events."""

    kind = "dropped_events"
    about = "Processes had to drop events, because files could not be written."

    hold: float = duration("0s", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("critical")
    minimum: float = number(1, "Events dropped in fifteen minutes from which it fires.", least=1)

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        tally, now = view.figures.tallies.get("(dropped)"), view.minute
        dropped = tally.sum(tally.total, now - 14, now)
        if dropped >= self.minimum:
            yield self.found(
                self.severity,
                f"{dropped:.0f} events were dropped in the last fifteen minutes",
                value=dropped,
                threshold=self.minimum,
                remedy="leadlog doctor",
            )


@attrs.frozen(kw_only=True)
class DataQualityDrop(Rule):
    """The data quality of written records dropped."""

    kind = "data_quality"
    about = "The data quality of written records dropped compared with the last days."

    hold: float = duration("5m", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("warning")
    window: float = duration("2h", "Time over which the mean score is taken.")
    minimum_events: float = number(30, "Rated records in the window below which it is silent.")
    baseline_minimum_events: float = number(200, "Least number of rated records for a baseline.")
    drop: float = number(0.15, "Largest allowed drop of the mean score (0 to 1).")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        tally, now = view.figures.tallies.get(OPERATIONS), view.minute
        first = now - int(self.window // 60) + 1
        scored = tally.sum(tally.scored, first, now)
        if scored < self.minimum_events:
            return
        oldest = now - DAYS * 1440 + 1
        before = tally.sum(tally.scored, oldest, first - 1)
        if before < self.baseline_minimum_events:
            return
        mean = tally.sum(tally.score, first, now) / scored
        usual = tally.sum(tally.score, oldest, first - 1) / before
        if usual - mean > self.drop:
            yield self.found(
                self.severity,
                f"the mean data-quality score of the last {describe(self.window)} is {mean:.2f}; "
                f"before it was {usual:.2f}",
                value=round(mean, 3),
                threshold=round(usual - self.drop, 3),
                remedy="see what comes in: leadlog tail --where training_labels.data_quality=low",
            )


@attrs.frozen(kw_only=True)
class NoEvents(Absence):
    """No event of any kind."""

    kind = "no_events"
    about = "No event occurred for longer than usual."
    what = "event"

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        yield from self.silence(view.figures.events, view.minute)


@attrs.frozen(kw_only=True)
class ShippingLag(Rule):
    """A destination of `leadlog ship` lags."""

    kind = "shipping_lag"
    about = "A destination of `leadlog ship` lacks events that occurred some time ago."

    hold: float = duration("5m", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("warning")
    maximum: float = duration("10m", "Age of the oldest event that may be missing there.")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        for check in view.checks:
            lag = check.value
            if check.name.startswith("ship_lag:") and lag is not None and lag > self.maximum:
                yield self.found(
                    self.severity,
                    check.message,
                    label=check.name.partition(":")[2],
                    value=lag,
                    threshold=self.maximum,
                    remedy=str(check.remedy or "leadlog ship status"),
                )


@attrs.frozen(kw_only=True)
class HealthCheck(Rule):
    """A health check is critical."""

    kind = "health_check"
    about = "A health check is critical."

    severity: str = severity("critical")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        for check in view.checks:
            if check.state == "critical":
                yield self.found(
                    self.severity,
                    f"{check.name}: {check.message}",
                    label=check.name,
                    value=_number(check.value),
                    threshold=_number(check.threshold),
                    remedy=str(check.remedy or ""),
                )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

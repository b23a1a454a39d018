"""Rules on the duration of operations."""

from collections.abc import Iterator

import attrs
from typing_extensions import override

from leadlog.monitor.durations import describe
from leadlog.monitor.figures.rolling import OPERATIONS
from leadlog.monitor.figures.sketch import Sketch
from leadlog.monitor.rules.base import (
    Rule,
    RuleFinding,
    RuleView,
    duration,
    is_called,
    number,
    operation,
    percent,
    severity,
)

__all__ = ["Latency", "SlowOperations"]


@attrs.frozen(kw_only=True)
class Latency(Rule):
    """The p95 of an operation is above a limit, or far above that of the last week."""

    kind = "latency"
    about = "The p95 of an operation is above a threshold, or above its trailing baseline."

    hold: float = duration("5m", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("warning")
    operation: str = operation()
    window: float = duration(
        "10m", "Time over which the p95 is taken; up to six times that with few operations."
    )
    minimum_events: float = number(20, "Operations in the window below which it is silent.")
    minimum_slow: float = number(5, "Operations above the limit below which it is silent.")
    threshold_ms: float = number(
        2000.0, "Highest p95 of an operation that is not usually above it; 0: none.", unit="ms"
    )
    baseline_factor: float = number(
        3.0, "Largest allowed multiple of the last week's p95; 0: any.", unit=""
    )
    baseline_minimum_events: float = number(500, "Least number of operations for a baseline.")
    floor_ms: float = number(100.0, "A p95 below this never fires.", unit="ms")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        for name in view.figures.latencies.names():
            if not is_called(name, self.operation):
                continue
            minutes, window = self._window(view, name)
            p95 = window.percentile(95)
            if p95 is None or p95 < self.floor_ms or window.n < self.minimum_events:
                continue
            past = view.figures.latencies.baseline(name, view.minute)
            usual = past.percentile(95) if past.n >= self.baseline_minimum_events else None
            limit = self._limit(usual)
            # A p95 of few values rests on two of them, which is chance; five are not.
            if limit is not None and p95 > limit and window.above(limit) >= self.minimum_slow:
                known = "" if usual is None else f"; in the last week it was {usual:.0f} ms"
                yield self.found(
                    self.severity,
                    f"the p95 of {name} in the last {describe(minutes * 60)} is {p95:.0f} ms, "
                    f"above {limit:.0f} ms{known}",
                    label=name,
                    value=round(p95, 1),
                    threshold=round(limit, 1),
                    remedy="see the slow ones: leadlog slow",
                )

    def _window(self, view: RuleView, name: str) -> tuple[int, Sketch]:
        """Return the shortest window with enough operations, in minutes, and its durations."""
        window, minutes = Sketch(), 0
        for factor in (1, 3, 6):
            minutes = max(int(self.window * factor // 60), 1)
            first = view.minute - minutes + 1
            window = view.figures.latencies.window(name, first, view.minute)
            if window.n >= self.minimum_events:
                break
        return minutes, window

    def _limit(self, usual: float | None) -> float | None:
        limits = []
        # An operation that always takes long, such as a batch, is compared with itself only.
        if self.threshold_ms and (usual is None or usual <= self.threshold_ms):
            limits.append(self.threshold_ms)
        if self.baseline_factor and usual is not None:
            limits.append(max(self.baseline_factor * usual, self.floor_ms))
        return min(limits) if limits else None


@attrs.frozen(kw_only=True)
class SlowOperations(Rule):
    """Several operations of the tiers slow or very_slow within a short time."""

    kind = "slow_operations"
    about = "Several operations were slow or very_slow within a short time."

    severity: str = severity("warning")
    window: float = duration("15m", "Time over which slow operations are counted.")
    minimum_slow: float = number(5, "Slow operations from which it fires.", least=1)
    minimum_percent: float = percent(5.0, "Least percentage of all operations.")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        tally, now = view.figures.tallies.get(OPERATIONS), view.minute
        first = now - int(self.window // 60) + 1
        slow, total = (tally.sum(column, first, now) for column in (tally.slow, tally.total))
        if slow >= self.minimum_slow and slow >= self.minimum_percent / 100 * total:
            yield self.found(
                self.severity,
                f"{slow:.0f} of the {total:.0f} operations of the last {describe(self.window)} "
                "were slow",
                value=slow,
                threshold=self.minimum_slow,
                remedy="see them: leadlog slow",
            )

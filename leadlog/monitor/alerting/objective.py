"""The success objective: how fast its error budget is being used up, over several windows.

A budget of 1 % that is used 14.4 times as fast as it may be is gone in two days. Each pair of
windows fires only while both the long one and the short one burn that fast: the long one makes
sure that it matters, the short one that it still goes on. (Google's SRE workbook, chapter 5.)
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import attrs
from typing_extensions import override

from leadlog.monitor.alerting.durations import describe
from leadlog.monitor.alerting.rules import Finding, Rule, View, duration, number, percent
from leadlog.monitor.figures.rolling import OPERATIONS

__all__ = ["BurnRate"]


class _Pair(NamedTuple):
    long: int  # minutes
    short: int
    factor: float


_PAIRS: Final = {
    "fast": ("critical", (_Pair(60, 5, 14.4), _Pair(360, 30, 6.0))),
    "slow": ("warning", (_Pair(1440, 120, 3.0), _Pair(4320, 360, 1.0))),
}
"""Label to severity and pairs, of which the first that burns is told of."""


@attrs.frozen(kw_only=True)
class BurnRate(Rule):
    """Too many operations fail, held against the objective over four pairs of windows."""

    kind = "burn_rate"
    about = "More operations fail than the objective allows (1 h/5 min … 3 d/6 h)."

    hold: float = duration("1m", "How long it must be so before the alert fires.", key="for")
    objective_percent: float = percent(99.0, "Share of operations that is to succeed.")
    minimum_events: float = number(50, "Operations in the long window below which it is silent.")
    minimum_failures: float = number(5, "Failures in the long window below which it is silent.")

    def __attrs_post_init__(self) -> None:
        """Checks that there is a budget."""
        if self.objective_percent >= 100:
            raise ValueError("objective_percent = 100 leaves no budget; write at most 99.99")

    @override
    def look(self, view: View) -> Iterator[Finding]:
        for label, (severity, pairs) in _PAIRS.items():
            for pair in pairs:
                burning = self._burning(view, pair)
                if burning is not None:
                    message, rate = burning
                    yield self.found(
                        severity,
                        message,
                        label=label,
                        value=round(rate, 2),
                        threshold=pair.factor,
                        remedy="see what fails: "
                        "leadlog tail --where operation_details.success=false",
                    )
                    break

    def _burning(self, view: View, pair: _Pair) -> tuple[str, float] | None:
        """What to say where both windows burn too fast, and how fast the long one does."""
        budget = 1 - self.objective_percent / 100
        limit = pair.factor * budget
        tally, now = view.figures.tallies.get(OPERATIONS), view.minute
        bad, total = (
            tally.sum(column, now - pair.long + 1, now) for column in (tally.bad, tally.total)
        )
        if bad < max(self.minimum_failures, limit * total) or total < self.minimum_events:
            return None
        bad_lately, lately = (
            tally.sum(column, now - pair.short + 1, now) for column in (tally.bad, tally.total)
        )
        if bad_lately <= 0 or bad_lately < limit * lately:
            return None
        rate = bad / total / budget
        message = (
            f"{100 * bad / total:.1f} % of the operations of the last {describe(pair.long * 60)} "
            f"failed ({bad:.0f} of {total:.0f}), {rate:.1f} times what the objective of "
            f"{self.objective_percent:g} % allows"
        )
        return message, rate

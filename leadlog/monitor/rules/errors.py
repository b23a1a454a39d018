"""Rules on errors: the success objective, and errors by fingerprint.

The objective is held against how fast its error budget is being used up, over several windows. A
budget of 1 % that is used 14.4 times as fast as it may be is gone in two days. Each pair of windows
fires only while both the long one and the short one burn that fast: the long one makes sure that it
matters, the short one that it still goes on. (Google's SRE workbook, chapter 5.)
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import attrs
from typing_extensions import override

from leadlog.monitor.durations import describe
from leadlog.monitor.figures.fingerprints import Fingerprint
from leadlog.monitor.figures.rolling import OPERATIONS
from leadlog.monitor.rules.base import Finding, Rule, View, duration, number, percent, severity

__all__ = ["BurnRate", "FingerprintNew", "FingerprintReturned", "FingerprintSurging"]

_LEARNT_MINUTES: Final = 1440  # before that, every error is new to us


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
        for label, (level, pairs) in _PAIRS.items():
            for pair in pairs:
                burning = self._burning(view, pair)
                if burning is not None:
                    message, rate = burning
                    yield self.found(
                        level,
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


@attrs.frozen(kw_only=True)
class _OfFingerprints(Rule):
    hold: float = duration("0s", "How long it must be so before the alert fires.", key="for")
    severity: str = severity("warning")
    minimum: float = number(3, "Occurrences in an hour from which it fires.", least=1)

    def _of(self, one: Fingerprint, what: str, times: float, threshold: float) -> Finding:
        said = f": {one.message}" if one.message else ""
        return self.found(
            self.severity,
            f"{what} {one.error_type or 'error'} ({times:.0f} in the last hour){said}",
            label=one.fingerprint,
            value=round(times, 2),
            threshold=round(threshold, 2),
            remedy="see it: leadlog tail --category error_logs --where "
            f"error_details.fingerprint={one.fingerprint}",
        )

    def _seen(self, view: View) -> Iterator[tuple[Fingerprint, float]]:
        """The errors of the last hour."""
        now = view.minute
        for one in view.figures.fingerprints.known.values():
            if one.last > now - 60:
                times = one.lately(now)
                if times > 0:
                    yield one, times


@attrs.frozen(kw_only=True)
class FingerprintNew(_OfFingerprints):
    """An error that was never seen before; a critical one at its first occurrence."""

    kind = "fingerprint_new"
    about = "A kind of error that was never seen before."

    @override
    def look(self, view: View) -> Iterator[Finding]:
        now, known = view.minute, view.figures.known_since
        if not known or now - known < _LEARNT_MINUTES:
            return
        for one, times in self._seen(view):
            critical = one.critical > now - 60
            if one.first > max(now - 60, known + _LEARNT_MINUTES) and (
                times >= self.minimum or critical
            ):
                yield self._of(one, "new", times, 1.0 if critical else self.minimum)


@attrs.frozen(kw_only=True)
class FingerprintReturned(_OfFingerprints):
    """An error that had been gone."""

    kind = "fingerprint_returned"
    about = "A kind of error that had not been seen for days."

    gone_for: float = duration("7d", "How long it must have been gone; at least 1 d.")

    @override
    def look(self, view: View) -> Iterator[Finding]:
        for one, times in self._seen(view):
            gone = one.spell - one.before
            if (
                one.before
                and one.spell > view.minute - 60
                and gone * 60 >= self.gone_for
                and times >= self.minimum
            ):
                what = f"after {gone // 1440} days again"
                yield self._of(one, what, times, self.minimum)


@attrs.frozen(kw_only=True)
class FingerprintSurging(_OfFingerprints):
    """An error that comes much more often than it did."""

    kind = "fingerprint_surging"
    about = "A kind of error that comes far more often than in the last week."

    minimum: float = number(20, "Occurrences in an hour from which it fires.", least=1)
    factor: float = number(5.0, "How many times the hourly mean of the last week.", least=1)

    @override
    def look(self, view: View) -> Iterator[Finding]:
        for one, times in self._seen(view):
            if times < self.minimum or one.first > view.minute - _LEARNT_MINUTES:
                continue
            usual = one.hourly(view.minute, view.figures.known_since)
            if usual is not None and times >= self.factor * usual:
                threshold = max(self.minimum, self.factor * usual)
                yield self._of(one, f"{usual:.1f} in an hour is usual:", times, threshold)

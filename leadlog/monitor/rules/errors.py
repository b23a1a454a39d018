"""Rules on errors: the success objective, and errors by fingerprint.

Errors are compared with the objective by the rate at which they use up its error budget, over
several windows. A budget of 1 % that is used 14.4 times as fast as allowed is spent in two days. A
pair of windows fires only while both burn that fast: the long one shows that it matters, the short
one that it continues. (Google's SRE workbook, chapter 5.)
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import attrs
from typing_extensions import override

from leadlog.monitor.durations import describe
from leadlog.monitor.figures.fingerprints import MOST_SESSIONS, Fingerprint
from leadlog.monitor.figures.rolling import OPERATIONS
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

__all__ = ["BurnRate", "FingerprintNew", "FingerprintReturned", "FingerprintSurging"]

_LEARNT_MINUTES: Final = 1440  # before that, every error is new to us
_SURE: Final = 3.0  # standard deviations by which one of many operations must be over its budget
_NAMED: Final = 3  # operations that a message names


class _WindowPair(NamedTuple):
    long: int  # minutes
    short: int
    factor: float


_PAIRS: Final = {
    "fast": ("critical", (_WindowPair(60, 5, 14.4), _WindowPair(360, 30, 6.0))),
    "slow": ("warning", (_WindowPair(1440, 120, 3.0), _WindowPair(4320, 360, 1.0))),
}
"""Severity and window pairs by label; the first pair that burns too fast is reported."""


@attrs.frozen(kw_only=True)
class BurnRate(Rule):
    """Too many operations fail, measured against the objective over four pairs of windows."""

    kind = "burn_rate"
    about = (
        "More operations fail than the objective allows (1 h/5 min … 3 d/6 h): in total, and by "
        "`Class.operation` where all together meet it."
    )

    hold: float = duration("1m", "How long it must hold before the alert fires.", key="for")
    objective_percent: float = percent(99.0, "Percentage of operations that must succeed.")
    operation: str = operation()
    by_operation: bool = attrs.field(
        default=True,
        validator=attrs.validators.instance_of(bool),
        metadata={
            "help": "Whether the objective applies to each `Class.operation` as well.",
            "key": "",
            "unit": "",
        },
    )
    minimum_events: float = number(50, "Operations in the long window below which it is silent.")
    minimum_failures: float = number(5, "Failures in the long window below which it is silent.")

    def __attrs_post_init__(self) -> None:
        """Raise a ValueError if the objective leaves no budget."""
        if self.objective_percent >= 100:
            raise ValueError("objective_percent = 100 leaves no budget; write at most 99.99")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        over_all = [] if self.operation else list(self._burns(view, OPERATIONS))
        for burn in over_all:
            yield self._found(view, burn)
        known = {burn.label for burn in over_all}
        if not self.by_operation:
            return
        for name in sorted(view.figures.tallies.operations()):
            if not is_called(name, self.operation):
                continue
            # The worst label of an operation suffices; the burn of all is reported above.
            for burn in self._burns(view, name):
                if burn.label not in known:
                    yield self._found(view, burn)
                break

    def _burns(self, view: RuleView, series: str) -> Iterator["_Burn"]:
        """Yield the first pair of windows that burns too fast for each label."""
        for label, (_, pairs) in _PAIRS.items():
            for pair in pairs:
                burn = self._burn(view, series, label, pair)
                if burn is not None:
                    yield burn
                    break

    def _burn(self, view: RuleView, series: str, label: str, pair: _WindowPair) -> "_Burn | None":
        """Return the burn rate of the long window if both windows burn too fast, else None."""
        budget = (100 - self.objective_percent) / 100
        limit = pair.factor * budget * (1 - 1e-12)  # 14.4 * 0.01 is a little above 0.144
        tally, now = view.figures.tallies.get(series), view.minute
        bad, total = (
            tally.sum(column, now - pair.long + 1, now) for column in (tally.bad, tally.total)
        )
        allowed = limit * total
        if series != OPERATIONS:
            # With many series, one of them burns by chance sooner or later.
            allowed += _SURE * math.sqrt(allowed)
        if bad < max(self.minimum_failures, allowed) or total < self.minimum_events:
            return None
        bad_lately, lately = (
            tally.sum(column, now - pair.short + 1, now) for column in (tally.bad, tally.total)
        )
        if bad_lately <= 0 or bad_lately < limit * lately:
            return None
        return _Burn(series, label, pair, bad, total, bad / total / budget)

    def _found(self, view: RuleView, burn: "_Burn") -> RuleFinding:
        is_all = burn.series == OPERATIONS
        what = "operations" if is_all else f"calls of {burn.series}"
        message = (
            f"{100 * burn.bad / burn.total:.1f} % of the {what} of the last "
            f"{describe(burn.pair.long * 60)} failed ({burn.bad:.0f} of {burn.total:.0f}), "
            f"{burn.rate:.1f} times what the objective of {self.objective_percent:g} % allows"
        )
        if is_all:
            message += _most_of_them(view, burn)
        error = _worst_error(view, "" if is_all else burn.series)
        return self.found(
            _PAIRS[burn.label][0],
            message + ("" if error is None else f"; most often {_told(error, view.minute)}"),
            label=burn.label if is_all else f"{burn.label}:{burn.series}",
            value=round(burn.rate, 2),
            threshold=burn.pair.factor,
            remedy="see what fails: leadlog errors"
            if error is None
            else f"see what fails: leadlog errors {error.fingerprint}",
        )


class _Burn(NamedTuple):
    series: str
    label: str
    pair: _WindowPair
    bad: float
    total: float
    rate: float


def _most_of_them(view: RuleView, burn: _Burn) -> str:
    """Return text that names the operations that failed most."""
    first = view.minute - burn.pair.long + 1
    failed = [
        (tally.sum(tally.bad, first, view.minute), name)
        for name, tally in view.figures.tallies.operations().items()
    ]
    named = [f"{name} {bad:.0f}" for bad, name in sorted(failed, reverse=True)[:_NAMED] if bad >= 1]
    return f": {', '.join(named)}" if named else ""


def _worst_error(view: RuleView, series: str) -> Fingerprint | None:
    """Return the most frequent error of the last hour, of one series or of all."""
    now = view.minute
    counted = [
        (one.lately(now), one.fingerprint)
        for one in view.figures.fingerprints.known.values()
        if one.last > now - 60 and series in ("", one.operation)
    ]
    worst = max(counted, default=(0.0, ""))
    return view.figures.fingerprints.known[worst[1]] if worst[0] > 0 else None


def _told(one: Fingerprint, now: int) -> str:
    """Return text that describes an error, its origin, and the number of affected sessions."""
    said = f"{one.error_type or 'error'}" + (f" of {one.operation}" if one.operation else "")
    if one.message:
        said += f": {one.message}"
    details = []
    sessions = one.sessions_lately(now)
    if sessions:
        many = " or more" if sessions == MOST_SESSIONS else ""
        details.append(f"{sessions}{many} session{'' if sessions == 1 else 's'}")
    if one.frames:
        details.append("at " + ", called by ".join(one.frames))
    return f"{said} ({'; '.join(details)})" if details else said


@attrs.frozen(kw_only=True)
class _OfFingerprints(Rule):
    hold: float = duration("0s", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("warning")
    minimum: float = number(3, "Occurrences in an hour from which it fires.", least=1)

    def _of(
        self, view: RuleView, one: Fingerprint, what: str, times: float, threshold: float
    ) -> RuleFinding:
        return self.found(
            self.severity,
            f"{what} {_told(one, view.minute)}; {times:.0f} in the last hour",
            label=one.fingerprint,
            value=round(times, 2),
            threshold=round(threshold, 2),
            remedy=f"see it: leadlog errors {one.fingerprint}",
        )

    def _seen(self, view: RuleView) -> Iterator[tuple[Fingerprint, float]]:
        """Yield the errors of the last hour, each with its number of occurrences."""
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
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        now, known = view.minute, view.figures.known_since
        if not known or now - known < _LEARNT_MINUTES:
            return
        for one, times in self._seen(view):
            critical = one.critical > now - 60
            if one.first > max(now - 60, known + _LEARNT_MINUTES) and (
                times >= self.minimum or critical
            ):
                yield self._of(view, one, "new", times, 1.0 if critical else self.minimum)


@attrs.frozen(kw_only=True)
class FingerprintReturned(_OfFingerprints):
    """An error that had not occurred for days."""

    kind = "fingerprint_returned"
    about = "A kind of error that had not been seen for days."

    gone_for: float = duration("7d", "How long it must have been gone; at least 1 d.")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        for one, times in self._seen(view):
            gone = one.spell - one.before
            if (
                one.before
                and one.spell > view.minute - 60
                and gone * 60 >= self.gone_for
                and times >= self.minimum
            ):
                what = f"after {gone // 1440} days again"
                yield self._of(view, one, what, times, self.minimum)


@attrs.frozen(kw_only=True)
class FingerprintSurging(_OfFingerprints):
    """An error that has become much more frequent."""

    kind = "fingerprint_surging"
    about = "A kind of error that is far more frequent than in the last week."

    minimum: float = number(20, "Occurrences in an hour from which it fires.", least=1)
    factor: float = number(5.0, "Least multiple of the last week's hourly mean.", least=1)

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        for one, times in self._seen(view):
            if times < self.minimum or one.first > view.minute - _LEARNT_MINUTES:
                continue
            usual = one.hourly(view.minute, view.figures.known_since)
            if usual is not None and times >= self.factor * usual:
                threshold = max(self.minimum, self.factor * usual)
                yield self._of(view, one, f"{usual:.1f} in an hour is usual:", times, threshold)

"""Rules on errors by fingerprint, and on syncs."""

from collections.abc import Iterator

import attrs
from typing_extensions import override

from leadlog.monitor.alerting.rules import Finding, Rule, View, duration, number, severity
from leadlog.monitor.figures.fingerprints import Fingerprint

__all__ = [
    "FingerprintNew",
    "FingerprintReturned",
    "FingerprintSurging",
    "RateLimited",
    "SyncFailures",
]

_LEARNT_MINUTES = 1440  # before that, every error is new to us


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


@attrs.frozen(kw_only=True)
class SyncFailures(Rule):
    """The last syncs failed, one after the other."""

    kind = "sync_failures"
    about = "The last syncs failed, one after the other."

    hold: float = duration("0s", "How long it must be so before the alert fires.", key="for")
    keep: float = duration(
        "0s", "How long it must not be so before the alert is resolved.", key="keep_firing_for"
    )
    severity: str = severity("critical")
    minimum: float = number(3, "Failed runs in a row from which it fires.", least=1)

    @override
    def look(self, view: View) -> Iterator[Finding]:
        failed = view.figures.syncs.failed_in_a_row(view.minute)
        if len(failed) >= self.minimum:
            why = f": {failed[-1].message}" if failed[-1].message else ""
            yield self.found(
                self.severity,
                f"the last {len(failed)} syncs failed{why}",
                value=len(failed),
                threshold=self.minimum,
                remedy="see them: leadlog tail --category sync_operations",
            )


@attrs.frozen(kw_only=True)
class RateLimited(Rule):
    """Airtable holds the syncs up."""

    kind = "rate_limited"
    about = "Airtable's rate limit or quota held several syncs up."

    hold: float = duration("0s", "How long it must be so before the alert fires.", key="for")
    severity: str = severity("warning")
    of_last: float = number(5, "How many of the last runs are looked at; those of a day.", least=1)
    minimum: float = number(4, "How many of them were held up when it fires.", least=1)

    def __attrs_post_init__(self) -> None:
        """Checks that it can fire."""
        if self.minimum > self.of_last:
            raise ValueError(f"minimum = {self.minimum:g} is above of_last = {self.of_last:g}")

    @override
    def look(self, view: View) -> Iterator[Finding]:
        runs = view.figures.syncs.since(view.minute - 1440, view.minute)[-int(self.of_last) :]
        limited = sum(run.limited for run in runs)
        if limited >= self.minimum:
            yield self.found(
                self.severity,
                f"Airtable held up {limited} of the last {len(runs)} syncs",
                value=limited,
                threshold=self.minimum,
                remedy="sync less often or in larger batches, and look at the base's API quota",
            )

"""Rules on syncs: failures, rate limits, backlog, and absence."""

from collections.abc import Iterator

import attrs
from typing_extensions import override

from leadlog.monitor.rules.absence import Absence
from leadlog.monitor.rules.base import Rule, RuleFinding, RuleView, duration, number, severity

__all__ = ["Backlog", "NoSyncs", "RateLimited", "SyncFailures"]


@attrs.frozen(kw_only=True)
class SyncFailures(Rule):
    """Several syncs in a row failed."""

    kind = "sync_failures"
    about = "Several syncs in a row failed."

    hold: float = duration("0s", "How long it must hold before the alert fires.", key="for")
    keep: float = duration(
        "0s", "How long it must be clear before the alert is resolved.", key="keep_firing_for"
    )
    severity: str = severity("critical")
    minimum: float = number(3, "Failed runs in a row from which it fires.", least=1)

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
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
    """Airtable throttles the syncs."""

    kind = "rate_limited"
    about = "Airtable's rate limit or quota delayed several syncs."

    hold: float = duration("0s", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("warning")
    of_last: float = number(5, "Number of last runs considered, within a day.", least=1)
    minimum: float = number(4, "Throttled runs among them from which it fires.", least=1)

    def __attrs_post_init__(self) -> None:
        """Raise a ValueError if the rule can never fire."""
        if self.minimum > self.of_last:
            raise ValueError(f"minimum = {self.minimum:g} is above of_last = {self.of_last:g}")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
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


@attrs.frozen(kw_only=True)
class Backlog(Rule):
    """Too many leads wait for a sync."""

    kind = "sync_backlog"
    about = "Too many leads wait for a sync."

    hold: float = duration("15m", "How long it must hold before the alert fires.", key="for")
    severity: str = severity("warning")
    maximum: float = number(1000, "Largest allowed number of waiting leads.")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        found = view.gauge("pending_syncs", 60)
        if found is not None and found.value > self.maximum:
            yield self.found(
                self.severity,
                f"{found.value:.0f} leads wait for a sync",
                value=found.value,
                threshold=self.maximum,
                remedy="see whether syncs run: leadlog tail --category sync_operations",
            )


@attrs.frozen(kw_only=True)
class NoSyncs(Absence):
    """No sync ran."""

    kind = "no_syncs"
    about = "No sync ran for longer than usual."
    what = "sync"

    severity: str = severity("warning")

    @override
    def look(self, view: RuleView) -> Iterator[RuleFinding]:
        yield from self.silence(view.figures.sync_minutes, view.minute)

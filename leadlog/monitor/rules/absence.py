"""Rules about silence: no events for longer than usual."""

from collections.abc import Iterator

import attrs

from leadlog.monitor.figures.activity import Activity
from leadlog.monitor.rules.base import Rule, RuleFinding, duration, number, severity

__all__ = ["Absence"]


@attrs.frozen(kw_only=True)
class Absence(Rule):
    """No events for longer than usual."""

    what = ""

    hold: float = duration("0s", "How long it must hold before the alert fires.", key="for")
    keep: float = duration(
        "0s", "How long it must be clear before the alert is resolved.", key="keep_firing_for"
    )
    severity: str = severity("critical")
    after: float = duration("1h", "Least silence.")
    usual_factor: float = number(
        2.0, "Least multiple of the longest usual pause; 0: not compared with it."
    )

    def silence(self, activity: Activity, now: int) -> Iterator[RuleFinding]:
        """Yield a finding if nothing has occurred for longer than usual.

        Args:
            activity: the minutes with events.
            now: the current time in minutes since 1970.
        """
        if not activity.last:
            return  # nothing ever occurred, so silence means nothing
        limit = self.after / 60
        if self.usual_factor:
            if activity.known_minutes(now) < 7 * 1440:
                return  # a week must be known: closed nights and weekends are usual
            limit = max(limit, self.usual_factor * activity.usual_gap(now))
        silent = now - activity.last
        if silent >= limit:
            yield self.found(
                self.severity,
                f"no {self.what} for {silent} minutes",
                value=silent,
                threshold=limit,
                remedy="see whether the application runs, and whether it logs here: leadlog doctor",
            )

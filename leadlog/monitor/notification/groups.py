"""Grouping: when a notice is sent, and about which alerts; a pure function.

The alerts of one rule are one group. Its first notice waits a little, so that alerts that occur
together share it. Later changes are sent at intervals, and an unchanged group is repeated after
hours. Each alert of a notice is reported as resolved once. A suppressed alert causes no notice,
neither when it fires nor when it is resolved, until it is no longer suppressed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from leadlog.monitor.rules.base import SEVERITIES
from leadlog.monitor.states import AlertState, Key

__all__ = ["Group", "Notice", "NotificationPace", "plan"]


@attrs.frozen(kw_only=True)
class NotificationPace:
    """Intervals of a group's notices.

    Attributes:
        wait: seconds from a group's first alert to its first message.
        interval: seconds between two messages about changes.
        repeat: seconds after which a notice about alerts that still fire is repeated; 0: never.
    """

    wait: float = 30.0
    interval: float = 300.0
    repeat: float = 4 * 3600.0

    def at_once(self) -> "NotificationPace":
        """Return the same pace without waits, for an evaluation that is not repeated soon."""
        return NotificationPace(wait=0.0, interval=0.0, repeat=self.repeat)


@attrs.frozen
class Group:
    """The notices sent about the alerts of one rule.

    Attributes:
        told: alerts by label, as of the last notice.
        waited: seconds since the first alert without a notice; None if there is none.
        since: seconds since the last message; None before the first.
    """

    told: Mapping[str, AlertState] = attrs.field(factory=dict)
    waited: float | None = None
    since: float | None = None


@attrs.frozen
class Notice:
    """A notice to send.

    Attributes:
        kind: `firing` (an alert is new, worse or over), `again`, or `resolved` (none fires).
        rule: the group.
        firing: all alerts that fire and are not suppressed.
        resolved: alerts that an earlier notice named and that have been resolved since.
    """

    kind: str
    rule: str
    firing: tuple[AlertState, ...] = ()
    resolved: tuple[AlertState, ...] = ()

    @property
    def severity(self) -> str:
        """The highest severity of the firing alerts; `info` without any."""
        return max((one.severity for one in self.firing), key=SEVERITIES.index, default="info")


def plan(
    groups: Mapping[str, Group],
    alerts: Iterable[AlertState],
    suppressed: Collection[Key],
    pace: NotificationPace,
    elapsed: float,
) -> tuple[dict[str, Group], list[Notice]]:
    """Decide which notices to send now.

    Args:
        groups: by rule, as of the last evaluation.
        alerts: all pending and firing alerts.
        suppressed: keys of suppressed alerts, whether they exist or not.
        pace: intervals of notices.
        elapsed: seconds since the last evaluation; less than 0 counts as 0.
    """
    elapsed = max(elapsed, 0.0)
    firing: dict[str, dict[str, AlertState]] = {}
    for alert in alerts:
        if alert.state == "firing":
            firing.setdefault(alert.rule, {})[alert.label] = alert
    after: dict[str, Group] = {}
    notices: list[Notice] = []
    for rule in sorted({*groups, *firing}):
        quiet = {key[1] for key in suppressed if key[0] == rule}
        before = _aged(groups.get(rule, Group()), elapsed)
        change = _Change.between(before, firing.get(rule, {}), quiet)
        kind = change.kind(pace)
        if kind is not None:
            notices.append(change.notice(rule, kind))
            told = change.told_now()
            if told:
                after[rule] = Group(told, None, 0.0)
        elif change.told or change.waited is not None:
            after[rule] = attrs.evolve(before, waited=change.waited)
    return after, notices


def _aged(group: Group, elapsed: float) -> Group:
    waited = None if group.waited is None else group.waited + elapsed
    return attrs.evolve(
        group, waited=waited, since=None if group.since is None else group.since + elapsed
    )


@attrs.frozen
class _Change:
    """The difference between the last notice of a group and its current state.

    Attributes:
        told: alerts by label, as of the last notice.
        loud: alerts by label that fire and are not suppressed.
        news: whether one of them had no notice, fires again, or became worse.
        over: labels of alerts that had a notice, no longer fire, and are not suppressed.
        waited: seconds since the first change without a notice; None if there is none.
        since: seconds since the last message; None before the first.
    """

    told: Mapping[str, AlertState]
    loud: Mapping[str, AlertState]
    news: bool
    over: Sequence[str]
    waited: float | None
    since: float | None

    @classmethod
    def between(
        cls, group: Group, firing: Mapping[str, AlertState], quiet: Collection[str]
    ) -> "_Change":
        loud = {label: alert for label, alert in sorted(firing.items()) if label not in quiet}
        news = any(_is_news(alert, group.told.get(label)) for label, alert in loud.items())
        over = sorted(group.told.keys() - firing.keys() - set(quiet))
        waited = (group.waited or 0.0) if news or over else None
        return cls(group.told, loud, news, over, waited, group.since)

    def kind(self, pace: NotificationPace) -> str | None:
        """Return the kind of the notice that is due; None if none is."""
        if self.told and self.over and not self.loud:
            return "resolved"
        if self.waited is not None:
            rested = self.since is None or self.since >= pace.interval
            return "firing" if rested and self.waited >= pace.wait else None
        is_old = self.since is not None and self.since >= pace.repeat > 0
        return "again" if self.loud and is_old else None

    def notice(self, rule: str, kind: str) -> Notice:
        """Return the notice to send."""
        return Notice(
            kind, rule, tuple(self.loud.values()), tuple(self.told[label] for label in self.over)
        )

    def told_now(self) -> dict[str, AlertState]:
        """Return the alerts by label as of this notice."""
        kept = {label: alert for label, alert in self.told.items() if label not in self.over}
        return kept | dict(self.loud)


def _is_news(alert: AlertState, told: AlertState | None) -> bool:
    if told is None or alert.fired_us != told.fired_us:
        return True
    return SEVERITIES.index(alert.severity) > SEVERITIES.index(told.severity)

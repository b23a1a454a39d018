"""When somebody is told, and of what together. A pure function of what was told and what is.

The alerts of one rule are one group. Its first message waits a little, so that what comes
together is told together; what changes after that is told at intervals; what stays is told again
after hours; and each alert that was told is told to be resolved once. A hushed alert is not
told of, neither that it fires nor that it is resolved, until it is hushed no more.
"""

from collections.abc import Collection, Iterable, Mapping

import attrs

from leadlog.monitor.alerting.rules import SEVERITIES
from leadlog.monitor.alerting.states import Alert, Key

__all__ = ["Group", "Notice", "Pace", "plan"]


@attrs.frozen(kw_only=True)
class Pace:
    """How often a group is told of.

    Attributes:
        wait: seconds from a group's first alert to its first message.
        interval: seconds between two messages about changes.
        repeat: seconds after which what still fires is told again; 0: never.
    """

    wait: float = 30.0
    interval: float = 300.0
    repeat: float = 4 * 3600.0

    def at_once(self) -> "Pace":
        """The same without the waiting, for one look that nothing follows soon."""
        return Pace(wait=0.0, interval=0.0, repeat=self.repeat)


@attrs.frozen
class Group:
    """What was told of the alerts of one rule.

    Attributes:
        told: label to the alert as it was last told of.
        waited: seconds since the first alert that was not told of; None without one.
        since: seconds since the last message; None before the first.
    """

    told: Mapping[str, Alert] = attrs.field(factory=dict)
    waited: float | None = None
    since: float | None = None


@attrs.frozen
class Notice:
    """Something to tell.

    Attributes:
        kind: `firing` (something is new, worse or over), `again`, or `resolved` (none fires).
        rule: the group.
        firing: all that fire now and are not hushed.
        resolved: those that were told of and have been resolved since.
    """

    kind: str
    rule: str
    firing: tuple[Alert, ...] = ()
    resolved: tuple[Alert, ...] = ()

    @property
    def severity(self) -> str:
        """The worst of those that fire; `info` where none does."""
        return max((one.severity for one in self.firing), key=SEVERITIES.index, default="info")


def plan(
    groups: Mapping[str, Group],
    alerts: Iterable[Alert],
    hushed: Collection[Key],
    pace: Pace,
    elapsed: float,
) -> tuple[dict[str, Group], list[Notice]]:
    """What is to be told now.

    Args:
        groups: by rule, as they were after the last look.
        alerts: all that there are.
        hushed: keys of those that nobody wants to hear of, whether they exist or not.
        pace: how often.
        elapsed: seconds since the last look; less than 0 counts as 0.
    """
    elapsed = max(elapsed, 0.0)
    firing: dict[str, dict[str, Alert]] = {}
    for alert in alerts:
        if alert.state == "firing":
            firing.setdefault(alert.rule, {})[alert.label] = alert
    after: dict[str, Group] = {}
    notices: list[Notice] = []
    for rule in sorted({*groups, *firing}):
        quiet = {key[1] for key in hushed if key[0] == rule}
        before = _aged(groups.get(rule, Group()), elapsed)
        group, notice = _plan(rule, before, firing.get(rule, {}), quiet, pace)
        if group is not None:
            after[rule] = group
        if notice is not None:
            notices.append(notice)
    return after, notices


def _aged(group: Group, elapsed: float) -> Group:
    waited = None if group.waited is None else group.waited + elapsed
    return attrs.evolve(
        group, waited=waited, since=None if group.since is None else group.since + elapsed
    )


def _plan(
    rule: str, group: Group, firing: Mapping[str, Alert], quiet: Collection[str], pace: Pace
) -> tuple[Group | None, Notice | None]:
    loud = {label: alert for label, alert in firing.items() if label not in quiet}
    told, since = group.told, group.since
    fresh = [label for label, alert in loud.items() if _is_news(alert, told.get(label))]
    over = [label for label in told if label not in firing and label not in quiet]
    waited = (group.waited or 0.0) if fresh or over else None
    if not told and not fresh:
        return None, None
    if not told:
        kind = "firing" if waited is not None and waited >= pace.wait else ""
    elif over and not loud:
        kind = "resolved"
    elif fresh or over:
        # Bad news of a group of which something was told a while ago waits as the first did.
        rested = since is None or since >= pace.interval
        kind = "firing" if rested and (waited or 0.0) >= pace.wait else ""
    else:
        again = loud and pace.repeat and since is not None and since >= pace.repeat
        kind = "again" if again else ""
    if not kind:
        return attrs.evolve(group, waited=waited), None
    notice = Notice(
        kind,
        rule,
        tuple(alert for _, alert in sorted(loud.items())),
        tuple(told[label] for label in sorted(over)),
    )
    kept = {label: alert for label, alert in told.items() if label not in over} | loud
    return (Group(kept, None, 0.0) if kept else None), notice


def _is_news(alert: Alert, told: Alert | None) -> bool:
    """Whether it was not told of, fires anew, or became worse."""
    if told is None or alert.fired_us != told.fired_us:
        return True
    return SEVERITIES.index(alert.severity) > SEVERITIES.index(told.severity)

"""One evaluation after another: rules, states, silences, groups, messages."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from leadlog.monitor import storage
from leadlog.monitor.configuration import Configuration
from leadlog.monitor.notification import messages
from leadlog.monitor.notification.groups import Group, plan
from leadlog.monitor.notification.outbox import Outbox
from leadlog.monitor.rules.base import RuleFinding, RuleView
from leadlog.monitor.silences import inhibited, silenced
from leadlog.monitor.states import AlertState, Key, RuleTiming, Transition, step
from leadlog.monitor.storage import RecordedTransition

__all__ = ["Alarms"]


class Alarms:
    """The alerts of one log directory, and the notices sent about them.

    Args:
        directory: the log directory, named in the messages.
        configuration: rules and notification intervals.
        outbox: receives the messages.
        notice: called with one line of text when a rule fails.

    Attributes:
        alerts: those that are pending or firing.
        suppressed: keys of alerts that are silenced or inhibited, as of the last evaluation.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Configuration,
        outbox: Outbox,
        notice: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._outbox = outbox
        self._notice = notice
        self.alerts: dict[Key, AlertState] = {}
        self.suppressed: set[Key] = set()
        self._groups: dict[str, Group] = {}
        self._changes: list[Transition] = []
        self._kept: list[RecordedTransition] = []
        self._changed = False

    def load(self, connection: sqlite3.Connection) -> list[RecordedTransition]:
        """Load the state of an earlier monitor; return the transitions that have no record yet."""
        self.alerts = storage.load_alerts(connection)
        self._groups = storage.load_groups(connection)
        return storage.history(connection, unrecorded=True)[::-1]

    def evaluate(
        self,
        connection: sqlite3.Connection,
        view: RuleView,
        elapsed: float,
        now_us: int,
        *,
        at_once: bool = False,
    ) -> None:
        """Evaluate all rules, and queue the resulting messages.

        Args:
            connection: to the state, from which silences are read.
            view: the data that rules evaluate.
            elapsed: seconds since the last evaluation.
            now_us: the current time in microseconds since 1970.
            at_once: skip the time that a condition must last and the wait before the first message.
        """
        configuration = self._configuration
        timing = _at_once if at_once else configuration.timing
        self.alerts, changes = step(self.alerts, self._look(view), timing, elapsed, now_us)
        self._changes += changes
        keys = {(rule, label) for rule, group in self._groups.items() for label in group.told}
        keys |= self.alerts.keys()
        self.suppressed = silenced(keys, storage.load_silences(connection), now_us)
        self.suppressed |= inhibited(keys, self.alerts, configuration.inhibitions)
        if self._outbox.channels:
            pace = configuration.pace.at_once() if at_once else configuration.pace
            alerts = self.alerts.values()
            self._groups, notices = plan(self._groups, alerts, self.suppressed, pace, elapsed)
            for one in notices:
                body = messages.body(one, str(self._directory))
                self._outbox.stage(messages.title(one), body, one.severity)
        self._changed = True

    def _look(self, view: RuleView) -> Sequence[RuleFinding]:
        found: list[RuleFinding] = []
        for rule in self._configuration.rules.values():
            try:
                found += rule.look(view)
            except Exception as error:  # noqa: BLE001 - a failing rule must not stop the others
                self._notice(f"the rule {rule.name} failed: {error!r}")
        return found

    def save(self, connection: sqlite3.Connection) -> None:
        """Write pending changes into the open transaction; call `saved` once it is committed."""
        if self._changed:
            storage.save_alerts(connection, self.alerts, self._groups)
            self._kept = storage.save_transitions(connection, self._changes)

    def saved(self) -> list[RecordedTransition]:
        """Discard the pending changes after the commit; return transitions that need a record."""
        kept, self._kept = self._kept, []
        self._changes.clear()
        self._changed = False
        return kept


def _at_once(_: str) -> RuleTiming:
    return RuleTiming(0.0, 0.0)

"""One evaluation after the other: rules, states, silences, groups, messages."""

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
    """The alerts of one log, and the notices that were sent of them.

    Args:
        directory: the log directory, for the messages.
        configuration: rules and pace.
        outbox: takes the messages.
        notice: is called with one line when a rule fails.

    Attributes:
        alerts: those that are pending or firing.
        suppressed: keys of those of them that are silenced or consequences, as last evaluated.
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
        """Take up what an earlier monitor left; returns changes that have no record yet."""
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
        """Look with all rules, and stages what is to be told.

        Args:
            connection: of the state; silences are read from it.
            view: what rules look at.
            elapsed: seconds since the last evaluation.
            now_us: the clock.
            at_once: whether nothing has to last, and the first message does not wait.
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
            except Exception as error:  # noqa: BLE001 - one rule must not take the others with it
                self._notice(f"the rule {rule.name} failed: {error!r}")
        return found

    def save(self, connection: sqlite3.Connection) -> None:
        """Write what changed into the open transaction; `saved` says that it was committed."""
        if self._changed:
            storage.save_alerts(connection, self.alerts, self._groups)
            self._kept = storage.save_transitions(connection, self._changes)

    def saved(self) -> list[RecordedTransition]:
        """Forget what was to be written; returns the changes, whose records are to be made."""
        kept, self._kept = self._kept, []
        self._changes.clear()
        self._changed = False
        return kept


def _at_once(_: str) -> RuleTiming:
    return RuleTiming(0.0, 0.0)

"""Health checks when they are due, in a separate thread that does not delay the monitor."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from leadlog.monitor.health import Check, ProbeContext, check, registered
from leadlog.monitor.health import default_context as make_context

__all__ = ["Checker"]


class Checker:
    """The newest result of each health check.

    Args:
        directory: the log directory.
        database: the lead store; the one of the settings by default.
        clock: returns microseconds since 1970.
    """

    def __init__(
        self,
        directory: Path,
        database: Any,
        clock: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._database = database
        self._clock = clock
        self._context: ProbeContext | None = None
        self._made: dict[str, tuple[int, tuple[Check, ...]]] = {}
        self._thread: threading.Thread | None = None

    def poll(self, *, wait: bool) -> list[Check]:
        """Run the checks that are due; return the newest result of each check run so far.

        Args:
            wait: wait for the checks; otherwise a thread runs them.
        """
        if self._thread is None or not self._thread.is_alive():
            due = self._due()
            if due and not wait:
                self._thread = threading.Thread(
                    target=self._make, args=(due,), name="leadlog-checks", daemon=True
                )
                self._thread.start()
            elif due:
                self._make(due)
        known = {one.name for one in registered()}
        made = [checks for name, (_, checks) in list(self._made.items()) if name in known]
        return [one for checks in made for one in checks]

    def _due(self) -> list[str]:
        now = self._clock()
        due = []
        for one in registered():
            made = self._made.get(one.name)
            # Also if the clock was set back: the old time may be days ahead.
            if made is None or not 0 <= now - made[0] < one.interval_seconds * 1e6:
                due.append(one.name)
        return due

    def _make(self, names: Iterable[str]) -> None:
        if self._context is None:
            self._context = make_context(
                directory=self._directory, database=self._database, clock=self._clock
            )
        now = self._clock()
        for name in names:
            self._made[name] = now, check([name], context=self._context).checks

"""Makes each health check when it is due, beside the monitor, so that none holds it up."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from leadlog.monitor.health import Check, ProbeContext, check, registered
from leadlog.monitor.health import default_context as make_context

__all__ = ["Checker"]


class Checker:
    """The newest result of every health check.

    Args:
        directory: the log directory.
        database: the lead store; that of the settings by default.
        clock: microseconds since 1970.
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
        """Make the checks that are due; returns the newest result of each that was made.

        Args:
            wait: whether to wait for them; else a thread makes them.
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
            # Also when the clock was set back: it may take days to get there again.
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

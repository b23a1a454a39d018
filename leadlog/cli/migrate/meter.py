"""The progress bar of a migration: share of the bytes, rate, time left."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import click

from leadlog.cli.terminal import shows_progress

if TYPE_CHECKING:
    from leadlog.leads.migration import Progress

__all__ = ["ProgressMeter"]


class ProgressMeter:
    """Progress bar of a migration, drawn only on a terminal.

    Args:
        check: Called at each step; may raise to stop the migration.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._shown = shows_progress()
        self._step = "", 0
        self._bar: Any = None
        self._began = 0.0
        self._first = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the bar."""
        self._stack.close()

    def take(self, progress: "Progress") -> None:
        """Show the progress of a migration.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._check()
        if not self._shown or progress.step == "copying":
            return
        if (progress.step, progress.bytes_total) != self._step:
            self._begin(progress)
        seconds = time.perf_counter() - self._began
        done = progress.records - self._first
        rate = f"{done / seconds:.0f} records/s" if seconds > 0 else ""
        self._bar.update(max(0, progress.bytes_done - self._bar.pos), rate)

    def _begin(self, progress: "Progress") -> None:
        self.close()
        self._step = progress.step, progress.bytes_total
        self._began, self._first = time.perf_counter(), progress.records
        self._bar = self._stack.enter_context(
            click.progressbar(
                length=progress.bytes_total,
                label=progress.step,
                file=sys.stderr,
                show_eta=True,
                item_show_func=lambda rate: None if rate is None else str(rate),
            )
        )

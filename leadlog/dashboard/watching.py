"""Waiting for changes of log files: notified at once on Linux, polled elsewhere."""

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from leadlog.core.layout import CATEGORIES

__all__ = ["LogWatcher"]

_LOOK_SECONDS: Final = 0.04
"""Poll interval without change notifications."""
_TOLD_SECONDS: Final = 0.5
"""Poll interval with inotify, which does not report writes of other machines to a shared folder."""


class LogWatcher:
    """Waits for changes of a log's files; used by one thread, woken by any.

    Args:
        directory: the log directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)
        self._inotify: Any = None
        self._untold = False

    def close(self) -> None:
        """Release the system's watches and descriptors."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        os.close(self._read)
        os.close(self._write)

    def wake(self) -> None:
        """Wake the thread that is waiting."""
        with suppress(OSError):  # full: it will wake, or closed: it has ended
            os.write(self._write, b"x")

    def wait(self, seconds: float | None = None) -> None:
        """Return when a file has changed, or may have changed, or when woken.

        Args:
            seconds: wait this long regardless of changes; None to watch the files.
        """
        wanted: list[Any] = [self._read]
        if seconds is None:
            self._watch()
            seconds = _LOOK_SECONDS if self._untold else _TOLD_SECONDS
            if self._inotify is not None:
                wanted.append(self._inotify)
        ready, _, _ = select.select(wanted, (), (), seconds)
        if self._read in ready:
            with suppress(BlockingIOError):
                os.read(self._read, 4096)
        if self._inotify is not None and self._inotify in ready:
            self._inotify.read(timeout=0)

    def _watch(self) -> None:
        """Watch every folder that exists."""
        if self._untold:
            return
        try:
            from inotify_simple import INotify, flags

            if self._inotify is None:
                self._inotify = INotify(nonblocking=True)
            moved = flags.CREATE | flags.MOVED_TO
            changed = moved | flags.MODIFY | flags.DELETE | flags.MOVED_FROM
            # A folder that is watched already keeps its watch.
            self._inotify.add_watch(self._directory, moved | flags.ONLYDIR)
            for category in CATEGORIES:
                with suppress(FileNotFoundError):
                    self._inotify.add_watch(self._directory / category, changed | flags.ONLYDIR)
        except (ImportError, OSError):  # another system, or no more watches are allowed
            self._untold = True

"""Waiting for changes of log files: notified at once on Linux, polled elsewhere."""

import os
import select
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from leadlog.core.layout import CATEGORIES

__all__ = ["LogWatcher"]

_LOOK_SECONDS: Final = 0.04
"""Poll interval without change notifications."""
_TOLD_SECONDS: Final = 0.5
"""Poll interval with inotify, which does not report writes of other machines to a shared folder."""
_CLOSED: Final = -1


class LogWatcher:
    """Waits for changes of a log's files; used by one thread, woken by any.

    Args:
        directory: the log directory.

    Raises:
        OSError: the process has too many open files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)
        self._inotify: Any = None
        self._untold = False

    def close(self) -> None:
        """Release the system's watches and descriptors; idempotent."""
        with self._lock:
            if self._read == _CLOSED:
                return
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None
            os.close(self._read)
            os.close(self._write)
            # Forgotten here: the system gives the same numbers to the next files that are opened.
            self._read = self._write = _CLOSED

    def wake(self) -> None:
        """Wake the thread that is waiting; does nothing once closed."""
        with self._lock:
            if self._write != _CLOSED:
                with suppress(BlockingIOError):  # the pipe is full: the thread will wake
                    os.write(self._write, b"x")

    def wait(self, seconds: float | None = None) -> None:
        """Return when a file has changed, or may have changed, or when woken.

        Args:
            seconds: wait this long regardless of changes; None to watch the files.
        """
        # Unlike select(), poll() accepts descriptors above 1023.
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        if seconds is None:
            self._watch()
            seconds = _LOOK_SECONDS if self._untold else _TOLD_SECONDS
            if self._inotify is not None:
                poll.register(self._inotify, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if self._read in ready:
            with suppress(BlockingIOError):
                os.read(self._read, 4096)
        if self._inotify is not None and self._inotify.fileno() in ready:
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

"""The file sink: one folder per category, one file per UTC day, one `write` per line.

Every line is appended by a single system call, so lines of several threads and processes
never mix. A category that cannot be written drops its lines, counts them, tries again after
a second, and leaves the others alone.
"""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from leadlog.clock import now_us, utc_date
from leadlog.forks import renew_after_fork
from leadlog.layout import CATEGORIES, LogFile, category_directory
from leadlog.sinks.contract import SinkStats
from leadlog.sinks.drops import DropLedger

_DAY_US = 86_400_000_000
_RETRY_SECONDS = 1.0


class _CategoryFile:
    """The open file of one category."""

    __slots__ = (
        "accepted",
        "begins",
        "directory",
        "dropped",
        "ends",
        "fd",
        "lock",
        "retry_at",
        "torn",
    )

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fd = -1
        self.begins = self.ends = 0
        self.retry_at = 0.0
        self.torn = False
        self.accepted = 0
        self.dropped: Counter[str] = Counter()
        # Re-entrant: a signal handler may log while its own thread is inside `write`.
        self.lock = threading.RLock()

    def open(self, day: int) -> None:
        self.close()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / LogFile(utc_date(day * _DAY_US)).name
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.begins, self.ends = day * _DAY_US, (day + 1) * _DAY_US

    def close(self) -> None:
        self.begins = self.ends = 0
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


class FileSink:
    """Writes each line to its category's file of the day.

    Args:
        directory: the log directory; made where it does not exist.
        clock: gives microseconds since 1970; decides the day.
        warn: told once, in one line, that lines are being dropped.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], int] = now_us,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._clock = clock
        self._warn = warn or _warn_on_stderr
        self._warned = False
        self._closed = False
        self._directory = directory
        self._ledger = DropLedger(directory)
        self._files = {
            category: _CategoryFile(category_directory(directory, category))
            for category in CATEGORIES
        }
        renew_after_fork(self)
        for file in self._files.values():
            try:
                file.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                self._complain(error)

    def after_fork(self) -> None:
        """Gives the child locks that no thread of the parent holds, and counts of its own."""
        for file in self._files.values():
            file.lock = threading.RLock()
            file.accepted = 0
            file.dropped = Counter()

    def write(self, category: str, line: bytes) -> bool:
        """See `Sink.write`."""
        file = self._files[category]
        with file.lock:
            if self._closed:
                return False
            file.accepted += 1
            try:
                now = self._clock()
                if not file.begins <= now < file.ends:
                    if file.retry_at and time.monotonic() < file.retry_at:
                        self._drop(file, "io_error")
                        return True
                    file.open(now // _DAY_US)
                if file.torn:
                    line = b"\n" + line
                written = os.write(file.fd, line)
                file.torn = written < len(line)
                if file.torn:
                    self._drop(file, "io_error")
            except OSError as error:
                self._drop(file, "io_error")
                file.retry_at = time.monotonic() + _RETRY_SECONDS
                file.close()
                self._complain(error)
        return True

    def _drop(self, file: _CategoryFile, cause: str) -> None:
        file.dropped[cause] += 1
        self._ledger.note(self._dropped())

    def _dropped(self) -> dict[str, dict[str, int]]:
        return {name: dict(file.dropped) for name, file in self._files.items() if file.dropped}

    def _complain(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"leadlog: cannot write to {self._directory}: {error.strerror or error}; events "
                "are dropped and counted until it can be written (see `leadlog doctor`)"
            )

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - every line is written at once
        """See `Sink.flush`; nothing is ever held back."""
        return True

    def close(self, timeout: float) -> None:  # noqa: ARG002 - every line is written at once
        """See `Sink.close`."""
        self._closed = True
        for file in self._files.values():
            with file.lock:
                file.close()
        self._ledger.note(self._dropped(), final=True)

    def stats(self) -> SinkStats:
        """See `Sink.stats`."""
        accepted = {name: file.accepted for name, file in self._files.items() if file.accepted}
        dropped = self._dropped()
        return SinkStats(
            accepted=accepted,
            written={
                name: count - sum(dropped.get(name, {}).values())
                for name, count in accepted.items()
            },
            dropped=dropped,
        )


def _warn_on_stderr(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201 - the log itself cannot take it

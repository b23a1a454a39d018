"""Live updates of open pages: the position in the index, as server-sent events.

The stream carries no events of the log, only the position in the index. A page then requests
everything indexed after the position it has, so no event is lost or repeated, whatever happens to
the connection or the server.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import orjson

from leadlog.core.clock import format_us
from leadlog.core.errors import LeadlogError
from leadlog.core.layout import CATEGORIES
from leadlog.dashboard.log import Log
from leadlog.dashboard.watching import LogWatcher

__all__ = ["IndexFollower", "stream"]

_IDLE_SECONDS: Final = 2.0
"""Time between two checks while no page is open."""
_LISTING_SECONDS: Final = 2.0
"""Time between two listings of all files; in between, only the newest days are checked."""
_LONGEST_PAUSE_SECONDS: Final = 0.1
_STATUS_SECONDS: Final = 0.5
"""Time between two checks of the index by a stream that was not notified."""
_HEARTBEAT_SECONDS: Final = 10.0
_logger = logging.getLogger("leadlog.dashboard")


class IndexFollower:
    """A thread that keeps the index up to date.

    Args:
        log: the log.

    Attributes:
        progress: share of the log indexed during the first run, 0 to 1; 1 afterwards.
        trouble: why the index cannot be updated; None if it can.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.progress = 0.0
        self.trouble: str | None = None
        self._listeners: set[Callable[[], object]] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._running: tuple[threading.Thread, LogWatcher] | None = None
        self._sizes: list[tuple[int, int]] | None = None
        self._listed = 0.0

    def start(self) -> None:
        """Start the thread; idempotent, and does nothing once stopped.

        Raises:
            OSError: the process has too many open files.
        """
        with self._lock:
            if self._stop.is_set() or self._running is not None:
                return
            # Created here, after any fork of a preloading server: workers must not share its pipe.
            watcher = LogWatcher(self._log.directory)
            thread = threading.Thread(
                target=self._run, args=(watcher,), name="leadlog-dashboard", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                watcher.close()
                raise
            self._running = thread, watcher

    def stop(self) -> None:
        """Stop the thread and wait for it; idempotent."""
        self._stop.set()
        with self._lock:
            running = self._running
        if running is None:
            return
        thread, watcher = running
        watcher.wake()
        thread.join(30)
        if not thread.is_alive():
            watcher.close()

    @contextmanager
    def listening(self, tell: Callable[[], object]) -> Iterator[None]:
        """Follow the log closely during the block.

        Args:
            tell: called in another thread whenever there may be new events.
        """
        with self._lock:
            self._listeners.add(tell)
            running = self._running
        if running is not None:
            running[1].wake()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(tell)

    def status(self) -> dict[str, Any]:
        """Return the position, and the state of the index that pages show."""
        with self._log.figures() as figures:
            generation, number = figures.position()
            extent = figures.extent()
        return {
            "generation": generation,
            "number": number,
            "last": None if extent is None else format_us(extent[1]),
            "progress": self.progress,
            "trouble": self.trouble,
        }

    def _run(self, watcher: LogWatcher) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._follow(watcher)
                except Exception as error:
                    trouble = f"{type(error).__name__}: {error}"
                    if trouble != self.trouble:
                        _logger.exception("the dashboard cannot follow the log")
                    self.trouble = trouble
                    self._stop.wait(_IDLE_SECONDS)
        finally:
            watcher.close()

    def _follow(self, watcher: LogWatcher) -> None:
        """Update the index if the log has changed, then wait for the next change."""
        began = time.monotonic()
        try:
            found = self._changed_sizes()
            if found != self._sizes or began - self._listed > _LISTING_SECONDS:
                self._log.catch_up(self._told)
                self._sizes, self._listed = found, began
            self.progress, self.trouble = 1.0, None
        except (LeadlogError, OSError) as error:
            self.trouble = str(error)
            self._listed = time.monotonic()
        self._tell()
        if not self._listeners:
            watcher.wait(_IDLE_SECONDS)
            return
        # A log that grows all the time takes a third of a processor at most.
        pause = min(2 * (time.monotonic() - began), _LONGEST_PAUSE_SECONDS)
        if not self._stop.wait(pause):
            watcher.wait()

    def _tell(self) -> None:
        with self._lock:
            told = [*self._listeners]
        for one in told:
            one()

    def _told(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise LeadlogError("stopped")
        if self.progress < 1:
            self.progress = min(done / total if total else 1.0, 0.999)
            self._tell()

    def _changed_sizes(self) -> list[tuple[int, int]]:
        """Return sizes of the newest files and times of folders: they change with new events."""
        found = []
        for category in CATEGORIES:
            folder = self._log.directory / category
            with suppress(OSError):
                state = folder.stat()
                found.append((state.st_mtime_ns, 0))
                names = sorted(entry.name for entry in folder.iterdir())
                newest = names[-1][:10] if names else ""
                for name in names:
                    if name.startswith(newest):
                        file = (folder / name).stat()
                        found.append((file.st_size, file.st_ino))
        return found


async def stream(follower: IndexFollower, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield a server-sent event whenever the position changes, and heartbeats.

    Args:
        follower: the follower of the log.
        stopping: set when the server stops.
    """
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(news.set)

    with follower.listening(tell):
        before: dict[str, Any] | None = None
        told = 0.0
        while not stopping.is_set():
            news.clear()
            try:
                status = await asyncio.to_thread(follower.status)
            except LeadlogError as error:
                status = {"trouble": str(error)}
            now = time.monotonic()
            if status != before:
                yield b"data: " + orjson.dumps(status) + b"\n\n"
                before, told = status, now
            elif now - told > _HEARTBEAT_SECONDS:
                yield b": still here\n\n"
                told = now
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), _STATUS_SECONDS)

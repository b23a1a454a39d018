"""Live updates of open pages: the position in the index, as server-sent events.

The stream carries no events of the log, only the position in the index. A page then requests
everything indexed after the position it has, so no event is lost or repeated, whatever happens to
the connection or the server.
"""

import asyncio
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
        self._watcher = LogWatcher(log.directory)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; idempotent."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="leadlog-dashboard", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stop.set()
        self._watcher.wake()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(30)

    @contextmanager
    def listening(self, tell: Callable[[], object]) -> Iterator[None]:
        """Follow the log closely during the block.

        Args:
            tell: called in another thread whenever there may be new events.
        """
        with self._lock:
            self._listeners.add(tell)
        self._watcher.wake()
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

    def _run(self) -> None:
        try:
            self._follow()
        finally:
            self._watcher.close()

    def _follow(self) -> None:
        listed, seen = 0.0, None
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                found = self._changed_sizes()
                if found != seen or began - listed > _LISTING_SECONDS:
                    self._log.catch_up(self._told)
                    seen, listed = found, began
                self.progress, self.trouble = 1.0, None
            except (LeadlogError, OSError) as error:
                self.trouble = str(error)
                listed = time.monotonic()
            self._tell()
            if not self._listeners:
                self._watcher.wait(_IDLE_SECONDS)
                continue
            # A log that grows all the time takes a third of a processor at most.
            pause = min(2 * (time.monotonic() - began), _LONGEST_PAUSE_SECONDS)
            if not self._stop.wait(pause):
                self._watcher.wait()

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

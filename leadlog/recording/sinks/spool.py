"""The crash-proof sink: a line is safe from the moment that `write` returns.

`write` copies the line into a ring of its category, in memory that outlives the process; a
separate thread writes it to `<category>/<UTC date>[.w<slot>][.<segment>].jsonl`. If a process is
killed, the next process, or one running at the same time, writes its rings to the same files,
continuing at the exact byte.

Causes of lost lines, each counted:

- `ring_full`: ring and overflow are full, since files could not be written for too long;
- `oversize`: the line is larger than a whole ring;
- `io_error`: the sink was closed while lines were in the process's own memory and the files could
  not be written;
- `lost`: the process was killed while lines were in its own memory (in reports only, since that
  process can no longer count).

A line is in the process's own memory if its ring is full (the overflow), or if there is no memory
file system or no room in it; such lines are counted as `degraded`. A power failure, and a
container that is destroyed together with its /dev/shm, lose the lines that were not yet in files.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from leadlog.core.clock import now_us
from leadlog.core.forks import renew_after_fork, renew_if_forked
from leadlog.core.layout import CATEGORIES
from leadlog.core.native import RLock
from leadlog.recording.sinks.belonging import make_mark
from leadlog.recording.sinks.board import Board
from leadlog.recording.sinks.contract import Finish, FinisherOf, SinkStats
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.drain import Drain
from leadlog.recording.sinks.health import Notify, SinkHealth
from leadlog.recording.sinks.intents import Frames, Intents, Token
from leadlog.recording.sinks.outlets import Outlets
from leadlog.recording.sinks.rings import Rings, RingSizes
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.slots import SlotHolder
from leadlog.recording.sinks.storage import MEMORY, Spool

__all__ = ["DURABILITIES", "SpoolSink"]

DURABILITIES = ("process", "fsync")
"""What a line in its file survives: the death of the process, or also a power failure."""


class SpoolSink:
    """Sink that writes lines to the category files through rings.

    Args:
        directory: the log directory; created if it does not exist.
        ring_bytes: size of each ring, or sizes by category; rounded up to 4 KiB.
        overflow_bytes: maximum bytes of further rings when one is full, over all categories; and,
            without room for these, of lines waiting in the heap.
        poll_seconds: interval of the drain's passes while lines arrive.
        recover_seconds: interval of the search for what dead processes left.
        segment_bytes: size at which the next segment of a day's file is begun.
        durability: `process`, or `fsync` to sync files every second.
        file_mode: mode of files.
        directory_mode: mode of folders.
        host: name of this host, if several hosts share the directory.
        clock: returns microseconds since 1970; decides the day of each batch.
        warn: called with one line, at most once a minute, when lines wait or are lost; standard
            error by default.
        notify: called with changes of the sink's health, see `leadlog.recording.sinks.health`, by
            the drain's thread while it holds no lock.
        memory: the memory file system.
        write: `os.write`, or a replacement for tests.
        finish: turns facts into lines; None if everything that is written is a line.
        finisher_of: returns the function that finishes a dead process's facts.
        policy: stored next to the rings, for the process that may have to finish this one's facts.
        outlets: the additional sinks, which receive the lines in files; closed with this one.
        key: check value of the key that a sidecar needs to finish the facts, `ANY_KEY` if it needs
            none; None if no sidecar may empty the rings.
        intent_bytes: maximum memory for intents that do not fit into the usual slots.
        stage_bytes: maximum size of a finished line; at least 64 KiB are reserved.

    Raises:
        ValueError: `durability` is none of `DURABILITIES`.
    """

    __slots__ = ("__dict__", "__weakref__", "_lock")  # see leadlog.core.native

    def __init__(
        self,
        directory: Path,
        *,
        ring_bytes: Mapping[str, int] | int = 1024 * 1024,
        overflow_bytes: int = 64 * 1024 * 1024,
        poll_seconds: float = 0.05,
        recover_seconds: float = 5.0,
        segment_bytes: int = 256 * 1024 * 1024,
        durability: str = "process",
        file_mode: int = 0o600,
        directory_mode: int = 0o700,
        host: str = "",
        clock: Callable[[], int] = now_us,
        warn: Callable[[str], None] | None = None,
        notify: Notify | None = None,
        memory: Path = MEMORY,
        write: Callable[[int, bytes], int] = os.write,
        finish: Finish | None = None,
        finisher_of: FinisherOf | None = None,
        policy: bytes = b"",
        stage_bytes: int = 64 * 1024,
        intent_bytes: int = 16 * 1024 * 1024,
        outlets: Outlets | None = None,
        key: str | None = None,
    ) -> None:
        if durability not in DURABILITIES:
            raise ValueError(f"durability {durability!r} is none of {', '.join(DURABILITIES)}")
        self._directory = directory.absolute()
        self._poll_seconds = poll_seconds
        self._recover_seconds = recover_seconds
        self._segment_bytes = segment_bytes
        self._durable = durability == "fsync"
        self._file_mode = file_mode
        self._directory_mode = directory_mode
        self._host = host
        self._clock = clock
        self._warn = warn
        self._notify = notify
        self._write = write
        self._finish = finish
        self._finisher_of = finisher_of
        self._policy = policy
        self._intent_bytes = intent_bytes
        self._outlets = outlets or Outlets()
        self._key = None if self._outlets or self._durable else key
        stage = 0 if finish is None else max(stage_bytes, 64 * 1024)
        self._sizes = RingSizes(ring_bytes, overflow_bytes, stage)
        self._spool = Spool(self._directory, memory)
        self._closed = False
        # Before the first ring, so that each ring knows its directory from the first line on.
        with suppress(OSError):  # the drain reports it
            make_mark(self._directory, file_mode=file_mode, directory_mode=directory_mode)
        self._begin()
        renew_after_fork(self)
        for category in CATEGORIES:
            self._rings.open(category)
        self._drain.start()

    def _begin(self) -> None:
        """Set up the state that each process has of its own."""
        self._lock = RLock()
        self._opening = False
        self._early: deque[tuple[str, bytes]] = deque()
        self._descriptors = Descriptors()
        self._rings = Rings(self._spool, self._descriptors, self._sizes, self._policy, self._clock)
        self._current = self._rings.current
        self._intents = Intents(self._spool, self._descriptors, self._policy, self._intent_bytes)
        slot = SlotHolder(
            self._directory,
            self._descriptors,
            host=self._host,
            file_mode=self._file_mode,
            directory_mode=self._directory_mode,
        )
        files = Files(
            directory=self._directory,
            spool=self._spool,
            descriptors=self._descriptors,
            slot=slot.number,
            host=self._host,
            segment_bytes=self._segment_bytes,
            file_mode=self._file_mode,
            directory_mode=self._directory_mode,
            durable=self._durable,
            write=self._write,
        )
        self._board = Board(self._spool, self._descriptors)
        health = SinkHealth(self._directory, self._notify, self._warn)
        self._drain = Drain(
            self._rings,
            files,
            slot=slot,
            health=health,
            clock=self._clock,
            poll_seconds=self._poll_seconds,
            recover_seconds=self._recover_seconds,
            finish=self._finish,
            finisher_of=self._finisher_of,
            outlets=self._outlets,
            board=self._board,
            key=self._key,
        )
        self._drain.belong = self._intents.belong
        self._rings.wake = self._drain.wake
        self._rings.account = self._drain.account

    def after_fork(self) -> None:
        """Begin anew in a forked child, which opens its own rings at its first lines."""
        self._intents.abandon()
        self._begin()

    def write(self, category: str, line: bytes) -> bool:
        """See `Sink.write`.

        Raises:
            ValueError: the category does not exist.
        """
        renew_if_forked()
        ring = self._current.get(category)
        if ring is not None and ring.put(line):
            return True
        return self._write_slowly(category, line)

    def _write_slowly(self, category: str, line: bytes) -> bool:
        """Accept a category's first line, one that found its ring full, or one after closing."""
        with self._lock:
            if self._closed:
                return False
            if self._opening:
                # A nested call, by a signal handler or a finaliser.
                self._early.append((category, line))
                return True
            self._opening = True
            try:
                ring = self._rings.open(category)
                runs = self._drain.start()
            finally:
                self._opening = False
        while not (taken := ring.put(line)) and ring is not self._current[category]:
            ring = self._current[category]
        while self._early:
            self.write(*self._early.popleft())
        if taken and not runs:
            self._drain.look()
        return taken

    @property
    def takes_facts(self) -> bool:
        """Whether it finishes frames of facts; otherwise it accepts lines only."""
        return self._finish is not None

    def crowded(self, category: str) -> bool:
        """Return whether the ring of a category is more than half full.

        If so, a caller with facts should finish them itself, since the drain lags.
        """
        return self._rings.crowded(category)

    def intend(self, frames: Frames, brief: Callable[[], Frames] | None = None) -> Token | None:
        """Note frames before the COMMIT that makes them true is sent; see `Intents.intend`.

        If this process is killed before it calls `settle`, recovery writes those frames that are
        not in the log. Does not raise.

        Args:
            frames: the frames, each with its category.
            brief: returns shorter frames to note if the others are too large.
        """
        renew_if_forked()
        return self._intents.intend(frames, brief)

    def settle(self, token: Token | None) -> None:
        """Withdraw a note of `intend`, after its frames were written. Does not raise."""
        renew_if_forked()
        self._intents.settle(token)

    def flush(self, timeout: float) -> bool:
        """See `Sink.flush`."""
        renew_if_forked()
        return self._drain.flush(timeout)

    def close(self, timeout: float) -> None:
        """See `Sink.close`.

        Lines that cannot be written in time stay in the rings; another process running now, or the
        next one that starts, writes them to the files.
        """
        renew_if_forked()
        with self._lock:
            self._closed = True
        self._rings.seal()
        deadline = time.monotonic() + timeout
        self._drain.stop(timeout)
        self._outlets.close(max(deadline - time.monotonic(), 0.0))
        self._board.show(self._outlets.counts(), last=True)
        self._intents.close()
        self._spool.leave()

    def stats(self) -> SinkStats:
        """See `Sink.stats`; counts of this process, also after the sink is closed."""
        renew_if_forked()
        counts = {category: self._rings.counts(category) for category in list(self._current)}
        return SinkStats(
            accepted={name: one.accepted for name, one in counts.items() if one.accepted},
            written={name: one.written for name, one in counts.items() if one.accepted},
            dropped={name: one.dropped for name, one in counts.items() if one.dropped},
            in_ring={name: one.waiting for name, one in counts.items() if one.waiting},
            degraded={name: one.degraded for name, one in counts.items() if one.degraded},
            omitted={name: one.omitted for name, one in counts.items() if one.omitted},
        )

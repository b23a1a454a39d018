"""The transfer of one category's lines from its ring to files, resumable at the exact byte.

The file's length and the ring's `RingProgress` together always show how much of the output is in
the file. A line of which only a part was written, because the disk was full or the process was
killed, is completed there; none is written twice.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from leadlog.core.layout import parse_name
from leadlog.recording.sinks.body import Body
from leadlog.recording.sinks.contract import Finish, Offer
from leadlog.recording.sinks.finishing import Finishing
from leadlog.recording.sinks.segments import DAY_US, Files, Segment, day_of

__all__ = ["Channel"]

_BATCH_BYTES = 4 * 1024 * 1024
_LARGE_BYTES = 128 * 1024
_CHECK_SECONDS = 0.02
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


class Channel:
    """Transfer of lines from a ring to files.

    Args:
        category: the lines' category.
        ring: the ring to empty, of this or of a dead process.
        files: opens the files to write to.
        clock: returns microseconds since 1970; decides the day of each batch.
        finish: turns facts into lines; None if every frame is a line.
        offer: receives lines that are in their file, with their category; neither waits nor
            raises.
        inherited: whether another process emptied this ring before.

    Attributes:
        error: the exception of the last attempt, or None.
        unsynced: whether there are lines to `sync`.
        synced: position in the ring up to which the lines were synced.
    """

    def __init__(
        self,
        category: str,
        ring: Body,
        files: Files,
        clock: Callable[[], int],
        finish: Finish | None = None,
        *,
        offer: Offer | None = None,
        inherited: bool = False,
    ) -> None:
        self._category = category
        self._inherited = inherited
        self._offer = offer
        self._finishing = None if finish is None else Finishing(category, ring, finish)
        self.ring = ring
        self._files = files
        self._clock = clock
        self._segment: Segment | None = None
        self._partial = 0
        self._day = -1
        self._full = False
        self._check_at = 0.0
        self._pause = _FIRST_PAUSE_SECONDS
        self._retry_at = 0.0
        self.error: Exception | None = None
        self.synced = ring.filed

    @property
    def unsynced(self) -> bool:
        """Whether lines were written since the last `sync`."""
        return self.synced < self.ring.filed

    def drain(self) -> bool:
        """Write the lines in the ring now, unless paused after a failure.

        An error is kept in `error`; further attempts follow after pauses of up to a second.

        Returns:
            Whether anything was written.
        """
        now = time.monotonic()
        if self._retry_at > now:
            self.ring.settle()
            return False
        before = self.ring.progress.done
        try:
            self.transfer()
            self._rest()
        except Exception as error:  # noqa: BLE001 - a failure affects only its category
            self.error = error
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        else:
            if self.ring.progress.done > before:
                self.error = None
                self._pause = _FIRST_PAUSE_SECONDS
        return self.ring.progress.done > before

    def retry_now(self) -> None:
        """End the pause after a failure."""
        self._retry_at = 0.0

    def transfer(self) -> None:
        """Write the lines that are in the ring, or waiting for room in it, when this is called.

        Raises:
            OSError: not all of them could be written.
        """
        ring = self.ring
        ring.settle()
        if self._inherited and not ring.empty:
            if not self.pick_up():
                raise BlockingIOError("another process uses the file that must be completed")
            self._inherited = False
        goal = ring.goal
        while ring.progress.head < min(goal, ring.tail) or ring.progress.ahead:
            self._step()
            ring.settle()

    def _rest(self) -> None:
        """Close the file of a past day even if no further line has arrived."""
        if self._segment and not self._partial and self._day != self._clock() // DAY_US:
            self._leave()
            self.ring.advance(replace(self.ring.progress, name="", position=0, offset=0))

    def _step(self) -> None:
        """Write one batch, in a single call."""
        ring = self.ring
        if (
            self._finishing
            and not (self._partial or ring.progress.ahead)
            and self._finishing.load()
            and not ring.progress.ahead
        ):
            return  # every frame was dropped deliberately
        segment = self._usable()
        start = ring.progress.out + self._partial
        data = ring.read(start, _BATCH_BYTES)
        end = self._cut(data, segment)
        if end == 0:
            self._full = True
            self._leave()
            return
        count = segment.append(data[:end] if end < len(data) else data)
        if count < _LARGE_BYTES and not segment.exists():
            # Removed while it was written to: the ring still has these lines. Not checked after
            # large batches: each system call releases the interpreter lock, and busy callers do not
            # release it again for a while.
            self._leave()
            return
        whole = data.rfind(b"\n", 0, count) + 1
        if whole:
            begun = ring.read(start - self._partial, self._partial) if self._partial else b""
            ring.wrote(self._partial + whole, data.count(b"\n", 0, whole))
            self._partial = count - whole
            if self._offer is not None:
                self._offer(self._category, begun + data[:whole])
        else:
            self._partial += count

    def _cut(self, data: bytes, segment: Segment) -> int:
        """Return how much of a batch to write now; 0 when the segment is full."""
        if self._partial:
            return data.find(b"\n") + 1 or len(data)
        room = self._files.segment_bytes - segment.size
        end = data.rfind(b"\n") + 1 or len(data)
        if end > room:
            end = data.rfind(b"\n", 0, max(room, 0)) + 1
            if not end and segment.size == 0:
                end = data.find(b"\n") + 1 or len(data)
        return end

    def _usable(self) -> Segment:
        """Return today's file for the next batch, noted in the ring."""
        day = self._clock() // DAY_US
        segment = self._segment
        if segment is not None and not self._partial:
            now = time.monotonic()
            if now >= self._check_at:
                self._check_at = now + _CHECK_SECONDS
                if not segment.is_current():
                    self._leave()
            if self._day != day:
                self._leave()
        if self._segment is None:
            ring = self.ring.storage.path
            segment = self._files.open(self._category, day, ring, fresh=self._full)
            self._day = day
            self._full = False
            self._adopt(segment)
        assert self._segment is not None  # noqa: S101 - for the type checkers
        return self._segment

    def _adopt(self, segment: Segment) -> None:
        """Note in the ring that the following output is appended to this file."""
        old = self.ring.progress
        self.ring.belong(self._files.directory)
        try:
            self.ring.advance(
                replace(old, name=segment.name, position=old.out, offset=segment.size)
            )
        except ValueError:
            segment.close()
            raise
        self._segment = segment
        self._partial = 0

    def pick_up(self) -> bool:
        """Continue the file that the ring names, at the byte where another process stopped.

        Returns:
            False if a line must be completed there and another process is using the file.

        Raises:
            OSError: the file cannot be opened.
        """
        progress = self.ring.progress
        path = self._files.directory / progress.name
        position = self._reached(path)
        if position is None:
            return True
        segment = self._files.lock(path)
        if segment is not None:
            self._resume(segment, position)
            return True
        return not (position > progress.out and path.exists())

    def _reached(self, path: Path) -> int | None:
        """Return how far the ring's output is written to the file that it names.

        The file is trusted only if it ends as the ring says: it may have been removed and created
        again by another process, or truncated.

        Returns:
            A position in the output; None if the file is not the one the ring was written to.
        """
        ring = self.ring
        progress = ring.progress
        if path.parent.name != self._category or parse_name(path.name) is None:
            return None
        try:
            with path.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                position = progress.position + size - progress.offset
                beyond = position - progress.out
                if not 0 <= beyond <= ring.capacity + ring.stage:
                    return None
                stream.seek(max(size - beyond - 1, 0))
                end = stream.read()
        except OSError:
            return None
        expected = ring.read(progress.out, beyond)
        return position if end in (expected, b"\n" + expected) else None

    def _resume(self, segment: Segment, position: int) -> None:
        """Continue a file that has everything up to `position` in the output already."""
        out = self.ring.progress.out
        done = self.ring.read(out, position - out)
        whole = done.rfind(b"\n") + 1
        self._segment = segment
        self._day = day_of(segment.name)
        self._partial = len(done) - whole
        if whole:
            self.ring.wrote(whole, done.count(b"\n"))

    def sync(self) -> None:
        """Wait until the written lines are on the disk; an error is kept in `error`."""
        filed = self.ring.filed
        try:
            if self._segment is not None:
                self._segment.sync()
            self.synced = filed
        except OSError as error:
            self.error = error

    def _leave(self) -> None:
        """Close the current file."""
        if self._segment is not None:
            segment, self._segment = self._segment, None
            self._partial = 0
            try:
                if self._files.durable:
                    segment.sync()
            finally:
                segment.close()

    def close(self) -> None:
        """Close the file; the next batch opens one again.

        An error at the last sync is kept in `error`.
        """
        try:
            self._leave()
        except OSError as error:
            self.error = error

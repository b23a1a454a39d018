"""Finishing: takes facts out of a ring in slices, and puts the finished lines into its stage.

This work holds the interpreter lock, which the application's threads wait for. So it is done in
slices, and other threads may run between them, unless the ring is full and callers are waiting:
then it continues at once.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from leadlog.core.native import sleep
from leadlog.recording.sinks.body import FACTS, Body
from leadlog.recording.sinks.contract import Finish

__all__ = ["Finishing"]

_SLICE_SECONDS = 0.0002
_MOST_FRAMES = 64
_CONTENDED_SECONDS = 0.001
"""A pause that takes longer than this was spent waiting for the interpreter."""


class Finishing:
    """Fills the stage of one ring.

    Args:
        category: whose frames they are.
        ring: the ring.
        finish: makes lines of facts, see `leadlog.recording.sinks.contract.Finish`.
        pause: lets other threads go on.

    Attributes:
        contended: whether other threads kept the interpreter for long since the last `load`.
    """

    def __init__(
        self,
        category: str,
        ring: Body,
        finish: Finish,
        pause: Callable[[], None] = lambda: sleep(0),
    ) -> None:
        self._category = category
        self._ring = ring
        self._finish = finish
        self._pause = pause
        self._position = 0
        self._frames: deque[tuple[int, bytes]] = deque()
        self._lines: deque[tuple[int, bytes]] = deque()
        self._slice = 8
        self.contended = False

    def load(self) -> bool:
        """Fill the stage, which must be empty, from the frames that are in the ring now.

        Returns:
            False when there is no need, since the next frames are finished lines.
        """
        ring = self._ring
        head = ring.progress.head
        if not (self._frames or self._lines):
            if not ring.holds_facts():
                return False
            self._position = head
        self.contended = False
        tail = ring.tail
        lines: list[bytes] = []
        room = ring.stage
        omitted = oversize = 0
        while self._lines or self._frames or self._fetch(tail):
            if not self._lines:
                self._finish_slice()
            end, line = self._lines[0]
            if len(line) > ring.stage:
                oversize += 1
            elif len(line) > room:
                break
            elif line:
                lines.append(line)
                room -= len(line)
            else:
                omitted += 1
            head = end
            self._lines.popleft()
        ring.put_on_stage(b"".join(lines), head, omitted=omitted, oversize=oversize)
        return True

    def _fetch(self, tail: int) -> bool:
        """Read frames from the ring, as many bytes as the stage holds, and one at least."""
        if self._position >= tail:
            return False
        data = self._ring.frames(self._position, self._ring.stage)
        if b"\n" not in data:
            data = self._ring.frames(self._position, self._ring.capacity)
        end = self._position
        for frame in data[: data.rfind(b"\n")].split(b"\n"):
            end += len(frame) + 1
            self._frames.append((end, frame + b"\n"))
        self._position = end
        return True

    def _finish_slice(self) -> None:
        """Finish the next few frames, and give others their turn."""
        frames = [self._frames[at] for at in range(min(self._slice, len(self._frames)))]
        facts = [frame for _, frame in frames if frame.startswith(FACTS)]
        if facts:
            begin = time.perf_counter()
            lines = self._finished(facts)
            spent = time.perf_counter() - begin
            fitting = int(len(facts) * _SLICE_SECONDS / max(spent, 1e-7))
            self._slice = min(max(fitting, 1), 2 * self._slice, _MOST_FRAMES)
            finished = iter(lines)
            frames = [
                (end, next(finished) if frame.startswith(FACTS) else frame) for end, frame in frames
            ]
        self._lines.extend(frames)
        for _ in frames:
            self._frames.popleft()
        if facts and not self._ring.crowded:
            begin = time.perf_counter()
            self._pause()
            if time.perf_counter() - begin > _CONTENDED_SECONDS:
                self.contended = True

    def _finished(self, facts: list[bytes]) -> Sequence[bytes]:
        lines = self._finish(self._category, facts)
        if len(lines) != len(facts):
            raise RuntimeError(f"{len(facts)} events became {len(lines)} lines")
        return lines

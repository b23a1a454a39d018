"""Finishing: turns the facts in a ring into lines, in slices, and puts them into its stage.

This work holds the interpreter lock, for which the application's threads wait. It is therefore
done in slices, between which other threads may run, unless the ring is full and callers are
waiting: then it continues at once.
"""

import os
import time
from collections.abc import Sequence

from leadlog.core.native import sleep
from leadlog.recording.sinks.body import FACTS, Body
from leadlog.recording.sinks.contract import Finish

__all__ = ["Finishing", "Turns"]

_SLICE_SECONDS = 0.0002
_MOST_FRAMES = 64
_RAN_NS = 1000


class Turns:
    """Yields the interpreter to other threads of the process.

    Only a thread that sleeps is certain to release it. That costs 20 µs of CPU time and as much
    again in cold caches, so it is done only if the clocks show that other threads ran since the
    last time. A thread waiting for this thread's processor has not run; `sched_yield` lets it run,
    so that the clocks show it.
    """

    def __init__(self) -> None:
        self._others_ns = 0
        self._yield = getattr(os, "sched_yield", None)  # macOS and Windows have none

    def __call__(self) -> None:
        """Let other threads run, if there are any."""
        if self._yield is None:
            sleep(0)
            return
        self._yield()
        others_ns = _others_ns()
        if abs(others_ns - self._others_ns) > _RAN_NS:
            sleep(0)
            others_ns = _others_ns()
        self._others_ns = others_ns


def _others_ns() -> int:
    """Return the CPU time of the process's other threads."""
    return time.process_time_ns() - time.thread_time_ns()


class Finishing:
    """Filler of the stage of one ring.

    Args:
        category: the category of the frames.
        ring: the ring.
        finish: turns facts into lines, see `leadlog.recording.sinks.contract.Finish`.
    """

    def __init__(self, category: str, ring: Body, finish: Finish) -> None:
        self._category = category
        self._ring = ring
        self._finish = finish
        self._take_turns = Turns()
        self._position = 0
        self._frames: list[bytes] = []
        self._lines: list[tuple[int, bytes]] = []  # with the size of each line's frame in bytes
        self._slice = 8
        self._frame_seconds = _SLICE_SECONDS / self._slice

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
        try:
            lines, head, omitted, oversize = self._stageful(head)
        except BaseException:
            # Begin anew at the ring's head: of what was taken here, nothing is on the stage.
            self._frames, self._lines = [], []
            raise
        ring.put_on_stage(b"".join(lines), head, omitted=omitted, oversize=oversize)
        return True

    def _stageful(self, head: int) -> tuple[list[bytes], int, int, int]:
        """Finish what fits onto the stage.

        Args:
            head: position of the first frame.

        Returns:
            The lines, the position behind their frames, and how many frames were left out, and
            were too large.
        """
        tail = self._ring.tail
        room = stage = self._ring.stage
        found: list[bytes] = []
        omitted = oversize = 0
        while self._lines or self._frames or self._fetch(tail):
            if not self._lines:
                self._finish_slice()
            taken = 0
            for frame_bytes, line in self._lines:
                size = len(line)
                if size > stage:
                    oversize += 1
                elif size > room:
                    break
                elif line:
                    found.append(line)
                    room -= size
                else:
                    omitted += 1
                head += frame_bytes
                taken += 1
            del self._lines[:taken]
            if self._lines:
                break
        return found, head, omitted, oversize

    def _fetch(self, tail: int) -> bool:
        """Read frames from the ring, as many bytes as the stage holds, and one at least."""
        if self._position >= tail:
            return False
        data = self._ring.frames(self._position, self._ring.stage)
        if b"\n" not in data:
            data = self._ring.frames(self._position, self._ring.capacity)
        end = data.rfind(b"\n") + 1
        self._frames = data[:end].splitlines(keepends=True)
        self._position += end
        return True

    def _finish_slice(self) -> None:
        """Finish the next few frames, and let other threads run."""
        frames = self._frames[: self._slice]
        facts = [frame for frame in frames if frame.startswith(FACTS)]
        lines: Sequence[bytes] = frames
        if facts:
            begin = time.perf_counter()
            lines = self._finished(facts)
            spent = max(time.perf_counter() - begin, 1e-7) / len(facts)
            # A slice interrupted by another process says nothing about the next.
            self._frame_seconds = min(spent, 2 * self._frame_seconds)
            fitting = int(_SLICE_SECONDS / self._frame_seconds)
            self._slice = min(max(fitting, 1), 2 * self._slice, _MOST_FRAMES)
        if facts and len(facts) < len(frames):
            finished = iter(lines)
            lines = [next(finished) if frame.startswith(FACTS) else frame for frame in frames]
        self._lines = list(zip(map(len, frames), lines, strict=True))
        del self._frames[: len(frames)]
        if facts and not self._ring.crowded:
            self._take_turns()

    def _finished(self, facts: list[bytes]) -> Sequence[bytes]:
        lines = self._finish(self._category, facts)
        if len(lines) != len(facts):
            raise RuntimeError(f"{len(facts)} events became {len(lines)} lines")
        return lines

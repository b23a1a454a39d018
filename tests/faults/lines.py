"""Recognisable lines, and a note of the number acknowledged that survives a kill."""

import json
import mmap
from pathlib import Path

from leadlog.recording.sinks.contract import Finish, Sink


def line(writer: str, number: int, length: int) -> bytes:
    """Return a unique line, slightly longer than `length` bytes, that shows whether it is whole."""
    pad = (f"{number}." * (length // 2 + 1))[:length]
    record = {"writer": writer, "number": number, "length": length, "pad": pad}
    return json.dumps(record).encode() + b"\n"


def finish(category: str, frames: list[bytes]) -> list[bytes]:
    """Return lines for facts, marked as finished."""
    return [frame[1:] for frame in frames]


def finisher_of(policy: bytes | None) -> Finish:
    """Return `finish`, for the facts of dead processes."""
    assert policy == b"{}"
    return finish


def commit_facts(key: str) -> bytes:
    """Return the facts of one row's commit."""
    return b'\x01{"event_id":"' + key.encode() + b'"}\n'


class Writer:
    """The lines of one thread; their number is noted in a file that outlives the process.

    Args:
        notes: folder of the notes.
        name: name of the writer.
        sink: the sink for the lines.
        facts: whether they are finished in the drain, unless the ring is crowded.
    """

    def __init__(self, notes: Path, name: str, sink: Sink, *, facts: bool = False) -> None:
        notes.mkdir(parents=True, exist_ok=True)
        with (notes / name).open("w+b") as stream:
            stream.truncate(8)
            self._count = memoryview(mmap.mmap(stream.fileno(), 8)).cast("Q")
        self._name = name
        self.sink = sink
        self.number = 0
        self._facts = facts

    def write(self, category: str = "database_operations", length: int = 600) -> bool:
        """Log the next line, and note it once it was taken."""
        frame = line(self._name, self.number, length)
        if self._facts and not self.sink.crowded(category):  # type: ignore[attr-defined]
            frame = b"\x01" + frame
        taken = self.sink.write(category, frame)
        if taken:
            self.number += 1
            self._count[0] = self.number
        return taken

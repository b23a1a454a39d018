"""Lines that can be recognised, and a note of how many were taken that a kill cannot undo."""

import json
import mmap
from pathlib import Path

from leadlog.recording.sinks.contract import Sink


def line(writer: str, number: int, length: int) -> bytes:
    """A line of its own, a little longer than `length` bytes, which shows whether it is whole."""
    pad = (f"{number}." * (length // 2 + 1))[:length]
    record = {"writer": writer, "number": number, "length": length, "pad": pad}
    return json.dumps(record).encode() + b"\n"


class Writer:
    """One thread's lines; their number is noted in a file that outlives the process."""

    def __init__(self, notes: Path, name: str, sink: Sink) -> None:
        notes.mkdir(parents=True, exist_ok=True)
        with (notes / name).open("w+b") as stream:
            stream.truncate(8)
            self._count = memoryview(mmap.mmap(stream.fileno(), 8)).cast("Q")
        self._name = name
        self.sink = sink
        self.number = 0

    def write(self, category: str = "database_operations", length: int = 600) -> bool:
        """Logs the next line, and notes it once it was taken."""
        taken = self.sink.write(category, line(self._name, self.number, length))
        if taken:
            self.number += 1
            self._count[0] = self.number
        return taken

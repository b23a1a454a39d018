"""Snapshots of the ring's memory and the files: the state a kill would leave at each moment.

The code is traced instruction by instruction, so that no store is missed, even in new code.
"""

import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from leadlog.recording.sinks.belonging import belonging
from leadlog.recording.sinks.header import BELONGING, HEADER_BYTES

SINKS = str(Path("leadlog") / "recording" / "sinks")


@dataclass(frozen=True)
class Snapshot:
    """The state at one moment.

    Attributes:
        memory: name of each file in shared memory to its bytes.
        files: name of each log file, relative to the log directory, to its bytes.
    """

    memory: tuple[tuple[str, bytes], ...]
    files: tuple[tuple[str, bytes], ...]

    def restore(self, spool: Path, directory: Path) -> None:
        """Write the state to other places."""
        for folder, contents in ((spool, self.memory), (directory, self.files)):
            for name, content in contents:
                path = folder / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.write_bytes(content)
        if directory.exists():
            # A ring identifies its directory by device, inode and mark; here it is a different one.
            words = belonging(directory)
            for ring in spool.glob("*.ring"):
                content = bytearray(ring.read_bytes())
                if len(content) >= HEADER_BYTES:
                    struct.pack_into("=3Q", content, BELONGING * 8, *words)
                    ring.write_bytes(content)


def _contents(folder: Path, pattern: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        (str(path.relative_to(folder)), path.read_bytes())
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    )


@contextmanager
def every_moment(spool: Path, directory: Path) -> Iterator[list[Snapshot]]:
    """Yield a list that collects the distinct snapshots of the code run in this thread."""
    found: dict[Snapshot, None] = {}

    def look() -> None:
        found[Snapshot(_contents(spool, "*"), _contents(directory, "*/*.jsonl"))] = None

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if SINKS not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event in {"opcode", "return"}:
            look()
        return trace

    before = sys.gettrace()
    snapshots: list[Snapshot] = []
    sys.settrace(trace)
    try:
        yield snapshots
    finally:
        sys.settrace(before)
        look()
        snapshots.extend(found)

"""Workers that are killed, and the counts that must balance afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import log_files
from leadlog.recording.sinks.recover import Recovery, recover
from leadlog.recording.sinks.report import RingReport, ring_reports
from leadlog.recording.sinks.storage import state_directories
from tests.receivers import webhook

__all__ = ["webhook"]

HERE = Path(__file__).parent


@dataclass
class Found:
    """The lines in the files, by writer.

    Attributes:
        numbers: numbers of each writer's lines, in the order of its files.
        torn: lines that no writer wrote.
    """

    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    torn: list[str] = field(default_factory=list)

    def balance(self, acknowledged: dict[str, int]) -> tuple[int, int]:
        """Return the numbers of lost and duplicate lines, given the number acknowledged by writer.

        One more line of a killed writer may have been taken than it could note.
        """
        lost = duplicates = 0
        for writer, count in acknowledged.items():
            there = self.numbers.get(writer, [])
            lost += len(set(range(count)) - set(there))
            duplicates += len(there) - len(set(there))
            assert not there or max(there) <= count, f"{writer} wrote lines it never took"
        return lost, duplicates


@dataclass
class Log:
    """A log directory and its writers.

    Attributes:
        path: the directory.
        memory: the memory file system of the rings.
    """

    path: Path
    memory: Path = Path("/dev/shm")
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, script: str, *arguments: object, prefix: Sequence[str] = (), **options: Any
    ) -> subprocess.Popen[str]:
        """Run `tests/faults/<script>.py` with the log directory and the arguments."""
        environment = {
            **os.environ,
            # Make the child import the package under test, wherever that is installed.
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        process = subprocess.Popen(
            [*prefix, sys.executable, HERE / f"{script}.py", self.path, *map(str, arguments)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            **options,
        )
        self._started.append(process)
        return process

    def run(self, script: str, *arguments: object, timeout: float = 60) -> str:
        """Run a script to its successful end, and return what it printed."""
        process = self.start(script, *arguments)
        out, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0
        return out

    def recover(self, **options: Any) -> Recovery:
        """Recover what dead processes left."""
        return recover(self.path, memory=self.memory, **options)

    @property
    def disk(self) -> Path:
        """Return the log directory on the file system that tests/faults/disk.py mounts."""
        return self.path.parent / "disk" / "logs"

    def reports(self, directory: Path | None = None) -> list[RingReport]:
        """Return the counts of all processes, living and dead."""
        return ring_reports(directory or self.path, self.memory)

    def rings(self) -> list[Path]:
        """Return the existing rings."""
        return sorted(state_directories(self.path, self.memory)[0].glob("*.ring"))

    def found(self, directory: Path | None = None) -> Found:
        """Read every file; lines are those of `line` in tests/faults/lines.py."""
        found = Found()
        for file in log_files(directory or self.path):
            within: dict[str, int] = {}
            for line in file.path.read_bytes().splitlines():
                try:
                    record = json.loads(line)
                    writer, number, pad = record["writer"], record["number"], record["pad"]
                    assert len(pad) == record["length"]
                except (ValueError, KeyError, AssertionError):
                    found.torn.append(f"{file.path.name}: {line[:80]!r}")
                    continue
                assert number > within.get(writer, -1), f"{writer} is out of order"
                within[writer] = number
                found.numbers[writer].append(number)
            if not file.path.read_bytes().endswith(b"\n") and file.path.stat().st_size:
                found.torn.append(f"{file.path.name}: no newline at the end")
        return found

    @property
    def notes(self) -> Path:
        """Folder in which workers note acknowledged lines, see tests/faults/lines.py."""
        return self.path.parent / "notes"

    def acknowledged(self) -> dict[str, int]:
        """Return the number of acknowledged lines by writer."""
        return {
            path.name: int.from_bytes(path.read_bytes(), sys.byteorder)
            for path in self.notes.iterdir()
        }

    def balanced(self, *, dropped: int = 0, logged_to: Path | None = None) -> dict[str, int]:
        """Check the counts once all processes have ended: accepted = on disk + in ring + dropped.

        They are compared with the writers' notes, so that no count confirms itself. One more line
        of a killed writer may have been taken than it noted.

        Args:
            dropped: number of lines that must be missing.
            logged_to: the directory that the writers used, if it was moved here since.

        Returns:
            The number of acknowledged lines by writer.
        """
        found, taken = self.found(), self.acknowledged()
        assert found.torn == []
        lost, duplicates = found.balance(taken)
        assert (lost, duplicates) == (dropped, 0)
        assert set(found.numbers) <= set(taken)
        on_disk = sum(map(len, found.numbers.values()))
        assert on_disk - len(taken) <= sum(taken.values()) - dropped <= on_disk
        accounts = self.reports(logged_to)
        assert on_disk >= sum(one.written for one in accounts)  # who ended well left none
        for one in accounts:
            assert one.accepted == one.written + one.in_ring + sum(one.dropped.values())
        assert sum(sum(one.dropped.values()) for one in accounts) == dropped
        return taken

    def end(self) -> None:
        """End the started processes, and remove the rings."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for directory in (self.path, self.disk):
            for folder in state_directories(directory, self.memory):
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log directory that does not exist yet."""
    log = Log(tmp_path / "logs")
    yield log
    log.end()

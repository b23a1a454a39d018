"""A log with files of past days, and helpers to inspect it."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from leadlog.core.layout import log_files
from leadlog.reading import archive
from leadlog.reading.archive import Policy
from leadlog.reading.events import Skipped, read_events
from leadlog.recording.sinks.storage import state_directories

_SEAL = Policy(0, parquet_after_days=7)

TODAY = "2026-11-23"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Log lines here are written by hand."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("handmade_lines")


def events(date: str, size_bytes: int, seed: int = 0) -> bytes:
    """Return unique lines of about `size_bytes` in total."""
    chance = random.Random(f"{date}{seed}")
    lines = []
    while size_bytes > 0:
        event = {
            "timestamp": f"{date}T10:00:00.{len(lines) % 1_000_000:06d}Z",
            "event_id": f"{chance.getrandbits(64):016x}",
            "what": "lead.add" * chance.randrange(1, 20),
        }
        lines.append(json.dumps(event).encode() + b"\n")
        size_bytes -= len(lines[-1])
    return b"".join(lines)


def add(root: Path, name: str, size_bytes: int = 3_000, content: bytes | None = None) -> Path:
    """Add a file to the log, last modified at noon of its day."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    date = path.name.lstrip(".")[:10]
    path.write_bytes(events(date, size_bytes, hash_of(name)) if content is None else content)
    noon = dt.datetime.fromisoformat(f"{date}T12:00:00+00:00").timestamp()
    os.utime(path, (noon, noon))
    return path


def hash_of(name: str) -> int:
    """Return a seed that is the same in every process."""
    return sum(name.encode())


def read(root: Path) -> Counter[bytes]:
    """Return every line that readers find, with its number of occurrences."""
    skipped = Skipped()
    found = Counter(
        event.raw for file in log_files(root) for event in read_events(file.path, skipped=skipped)
    )
    assert (skipped.lines, skipped.unfinished) == (0, 0)
    return found


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """Return everything below a folder: permissions, time and content."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns if not path.is_dir() else 0,
            str(path.readlink())
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else b"",
        )
        for path in sorted(root.rglob("*"))
    }


def names(root: Path) -> list[str]:
    """Return the files below a folder, without the janitor's lock."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not path.is_dir() and path.name != ".archive.lock"
    )


@pytest.fixture
def tools() -> SimpleNamespace:
    """Return the functions of this file; tests are not a package, so they cannot be imported."""
    return SimpleNamespace(
        add=add, events=events, names=names, read=read, snapshot=snapshot, today=TODAY
    )


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Yield an empty log directory; its shared memory is removed afterwards."""
    directory = tmp_path / "database_logs"
    directory.mkdir()
    yield directory
    for folder in state_directories(directory):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment that a child process needs to import the code under test."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def run(root, tools):
    """Run the janitor on `root`, on the day of these tests."""

    def janitor(policy=_SEAL, dry_run=False, **more):
        return archive.run(root, policy, dry_run, today=tools.today, **more)

    return janitor

"""A log directory whose rings are removed after the test."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadlog.recording.sinks.storage import state_directories


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A log directory that does not exist yet."""
    directory = tmp_path / "logs"
    yield directory
    for folder in state_directories(directory):
        shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait for a condition, and return whether it became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())

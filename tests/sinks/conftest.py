"""A log directory whose rings are removed after the test."""

import shutil
from collections.abc import Iterator
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

"""Real processes, and the real servers to which alerts are sent."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receivers import Received, mailbox, webhook

__all__ = ["Received", "mailbox", "webhook"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Child:
    """A process that answers each line with a line."""

    def __init__(self, script: str, directory: Path, urls: str) -> None:
        paths = [str(ROOT), *filter(None, sys.path)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "LEADLOG_ALERTS_URLS": urls,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def say(self, **words: Any) -> str:
        """Write a line and return the answer."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(words) + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, f"ended with {self.process.wait(10)}"
        return answer

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start a script of this folder: child(script, directory, urls)."""
    started: list[Child] = []

    def start(script: str, directory: Path, urls: str = "") -> Child:
        started.append(Child(script, directory, urls))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()

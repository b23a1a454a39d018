"""The command line, as a user runs it and in this process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from leadlog.cli import root
from leadlog.core.clock import format_us


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a command in this process; standard output and error are kept apart."""
    return lambda *arguments: CliRunner().invoke(root, arguments, prog_name="leadlog")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `leadlog` as a separate process."""
    started: list[subprocess.Popen[bytes]] = []

    def popen(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(
            [sys.executable, "-m", "leadlog", *arguments],
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "env": environment | options.pop("env", {}),
            }
            | options,
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Append events to a category of `database_logs`: (microseconds since 1970, more keys)."""

    def append(
        category: str, *events: tuple[int, dict[str, Any]] | bytes, date: str = "2026-11-23"
    ) -> Path:
        path = tmp_path / "database_logs" / category / f"{date}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            for event in events:
                if isinstance(event, bytes):
                    stream.write(event)
                else:
                    record = {"timestamp": format_us(event[0]), **event[1]}
                    stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        return path

    return append

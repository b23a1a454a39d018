"""Log files as written by writers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.clock import format_us


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Make an event `at` microseconds after 1970, with any further keys."""

    def make(at: int, **more: Any) -> dict[str, Any]:
        return {"timestamp": format_us(at), **more}

    return make


@pytest.fixture
def append(tmp_path: Path) -> Callable[..., Path]:
    """Append events (dicts) or raw bytes to `<category>/<name>` of the log in `tmp_path`."""

    def append_to(name: str, *lines: Any) -> Path:
        path = tmp_path / "log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            for line in lines:
                stream.write(line if isinstance(line, bytes) else f"{json.dumps(line)}\n".encode())
        return path

    return append_to

"""Fixtures for the tests of pages: the files shown by a page, and commands run as by a user."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"


@pytest.fixture
def files_of(tmp_path: Path) -> Callable[[str], None]:
    """Writes the files that a page shows: blocks of `py` whose first line names the file."""

    def write(page: str) -> None:
        text = (HOW_TO / page).read_text(encoding="utf-8")
        found = re.findall(r"```py\n# (\S+)\n(.*?)```", text, re.DOTALL)
        assert len(found) == text.count("```py\n")
        for name, content in found:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    return write


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in the folder with the page's files."""

    def execute(
        *command: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return execute

"""Damaged lines: listed, and taken out of files that nobody writes to."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from leadlog.archive.quarantine import quarantine
from leadlog.cli import root as cli
from leadlog.reading.damage import damaged_lines

pytestmark = pytest.mark.handmade_lines

GOOD = b'{"timestamp":"2026-11-20T00:00:00.000000Z","n":%d}\n'
TORN, ODD = b'{"timestamp":"2026', b"\xff\x00[]"


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run `leadlog doctor` over the log in this folder."""
    return lambda *arguments: CliRunner().invoke(cli, ("doctor", *arguments), prog_name="leadlog")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of a past day, three events with damage before, between and behind them."""
    found = tmp_path / "database_logs" / "error_logs" / "2026-11-20.jsonl"
    found.parent.mkdir(parents=True)
    found.write_bytes(
        TORN + b"\n" + GOOD % 1 + ODD + b"\n" + GOOD % 2 + b"\n" + GOOD % 3 + b'{"timestamp"'
    )
    past = 1_795_000_000  # 2026-11-18
    os.utime(found, (past, past))
    return found


def test_damaged_lines_are_moved_to_the_quarantine(path: Path) -> None:
    """The file has its events and nothing else; what was taken out is there byte for byte."""
    root = path.parents[1]
    (taken,) = quarantine(root, today="2026-11-23")
    assert (taken.path, taken.lines, taken.kept) == (path, 4, None)
    assert path.read_bytes() == b"".join(GOOD % n for n in (1, 2, 3))
    aside = root / "quarantine" / "error_logs" / path.name
    lines = [json.loads(line) for line in aside.read_bytes().splitlines()]
    assert [base64.b64decode(one["base64"]) for one in lines] == [TORN, ODD, b"", b'{"timestamp"']
    assert [one["line_number"] for one in lines] == [0, 2, 4, 6]
    assert list(damaged_lines(root)) == []
    assert quarantine(root, today="2026-11-23") == []


def test_a_run_after_a_kill_puts_nothing_aside_twice(path: Path) -> None:
    """A kill after the lines were put aside and before the file was replaced."""
    root, before = path.parents[1], path.read_bytes()
    quarantine(root, today="2026-11-23")
    aside = root / "quarantine" / "error_logs" / path.name
    once = aside.read_bytes()
    path.write_bytes(before)
    os.utime(path, (1_795_000_000, 1_795_000_000))
    (path.parent / f".{path.name}.tmp").write_bytes(b"half")
    quarantine(root, today="2026-11-23")
    assert aside.read_bytes() == once
    assert path.read_bytes().count(b"\n") == 3


def test_a_file_of_today_keeps_its_lines(path: Path) -> None:
    """Somebody may write to it."""
    before = path.read_bytes()
    (taken,) = quarantine(path.parents[1], today="2026-11-20")
    assert taken.kept == "its day is not over, or it was written to today"
    assert path.read_bytes() == before


def test_doctor_lists_damaged_lines(run: Callable[..., Result], path: Path) -> None:
    """Each with its place and harmless content; --json has all bytes; --quarantine moves them."""
    result = run("--lines")
    assert result.exit_code == 1
    first, second, *_, last = result.stdout.splitlines()
    assert first == f"error_logs/2026-11-20.jsonl: line 1 at byte 0, 18 bytes: {TORN.decode()}"
    assert second.endswith(r"4 bytes: \xff\x00[]")
    assert "unfinished" in last
    rows = json.loads(run("--lines", "--json").stdout)
    assert base64.b64decode(rows[1]["base64"]) == ODD
    result = run("--lines", "--quarantine")
    assert (result.exit_code, "quarantine now" in result.stderr) == (0, True)
    result = run("--lines")
    assert (result.exit_code, "every line is an event" in result.stderr) == (0, True)
    assert run("--quarantine").exit_code == 2

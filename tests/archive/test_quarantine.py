"""Damaged lines: listed, and moved out of closed files."""

import base64
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from leadlog.cli import root as cli
from leadlog.reading.archive.quarantine import quarantine
from leadlog.reading.damage import damaged_lines

pytestmark = pytest.mark.handmade_lines

GOOD = b'{"timestamp":"2026-11-20T00:00:00.000000Z","n":%d}\n'
TORN, ODD = b'{"timestamp":"2026', b"\xff\x00[]"
KEPT = GOOD % 1 + GOOD % 2 + b"\n" + GOOD % 3
"""What is no damage: the events, and a line that is empty."""


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run `leadlog doctor` over the log in this folder."""
    return lambda *arguments: CliRunner().invoke(cli, ("doctor", *arguments), prog_name="leadlog")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file of a past day, with three events and damage before, between and after them."""
    found = tmp_path / "database_logs" / "error_logs" / "2026-11-20.jsonl"
    found.parent.mkdir(parents=True)
    found.write_bytes(
        TORN + b"\n" + GOOD % 1 + ODD + b"\n" + GOOD % 2 + b"\n" + GOOD % 3 + b'{"timestamp"'
    )
    past = 1_795_000_000  # 2026-11-18
    os.utime(found, (past, past))
    return found


def test_damaged_lines_are_moved_to_the_quarantine(path: Path) -> None:
    """The file keeps its events and empty lines; the moved lines are stored byte for byte."""
    root = path.parents[1]
    (taken,) = quarantine(root, today="2026-11-23")
    assert (taken.path, taken.lines, taken.kept) == (path, 3, None)
    assert path.read_bytes() == KEPT
    aside = root / "quarantine" / "error_logs" / path.name
    lines = [json.loads(line) for line in aside.read_bytes().splitlines()]
    assert [base64.b64decode(one["base64"]) for one in lines] == [TORN, ODD, b'{"timestamp"']
    assert [one["line_number"] for one in lines] == [0, 2, 6]
    assert list(damaged_lines(root)) == []
    assert quarantine(root, today="2026-11-23") == []


def test_a_run_after_a_kill_puts_nothing_aside_twice(path: Path) -> None:
    """A kill between storing the lines and replacing the file duplicates nothing."""
    root, before = path.parents[1], path.read_bytes()
    quarantine(root, today="2026-11-23")
    aside = root / "quarantine" / "error_logs" / path.name
    once = aside.read_bytes()
    path.write_bytes(before)
    os.utime(path, (1_795_000_000, 1_795_000_000))
    (path.parent / f".{path.name}.0123abcd.tmp").write_bytes(b"half")
    quarantine(root, today="2026-11-23")
    assert aside.read_bytes() == once
    assert path.read_bytes() == KEPT


def test_compressed_files_are_taken_care_of_as_well(path: Path) -> None:
    """The events stay, compressed and with the old time and permissions; the rest is moved."""
    packed = path.with_name(f"{path.name}.zst")
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()
    packed.chmod(0o640)
    os.utime(packed, (1_795_000_000, 1_795_000_000))
    root = path.parents[1]
    (taken,) = quarantine(root, today="2026-11-23")
    assert (taken.path, taken.lines, taken.kept) == (packed, 3, None)
    content = zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes())
    assert content == KEPT
    state = packed.stat()
    assert (state.st_mode & 0o777, state.st_mtime) == (0o640, 1_795_000_000)
    aside = root / "quarantine" / "error_logs" / path.name
    assert len(aside.read_bytes().splitlines()) == 3
    assert quarantine(root, today="2026-11-23") == []


def test_a_file_that_was_cut_off_goes_aside_as_it_was(
    run: Callable[..., Result], path: Path
) -> None:
    """The readable part stays in the log; doctor reports where it ends."""
    chance = random.Random(1)
    good = b"".join(
        b'{"timestamp":"2026-11-20T00:00:00.000000Z","n":"%s"}\n'
        % chance.randbytes(16).hex().encode()
        for _ in range(20_000)
    )
    whole = zstandard.compress(good)
    packed = path.with_name(f"{path.name}.zst")
    packed.write_bytes(whole[: len(whole) // 2])
    path.unlink()
    os.utime(packed, (1_795_000_000, 1_795_000_000))
    root = path.parents[1]
    readable = zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes())
    assert readable.count(b"\n") > 1_000
    said = run("--lines")
    assert said.exit_code == 1
    assert "cannot be read from here on" in said.stdout
    assert "it ends in the middle" in said.stdout
    result = run("--lines", "--quarantine")
    assert (result.exit_code, "quarantine now" in result.stderr) == (0, True)
    content = zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes())
    assert content == readable[: readable.rfind(b"\n") + 1]
    aside = root / "quarantine" / "error_logs" / packed.name
    assert aside.read_bytes() == whole[: len(whole) // 2]
    assert list(damaged_lines(root)) == []


def test_a_file_of_today_keeps_its_lines(path: Path) -> None:
    """A file of today keeps its lines, because it may still be written to."""
    before = path.read_bytes()
    (taken,) = quarantine(path.parents[1], today="2026-11-20")
    assert taken.kept == "its day is not over, or it was written to today"
    assert path.read_bytes() == before


def test_doctor_lists_damaged_lines(run: Callable[..., Result], path: Path) -> None:
    """Each has its place and escaped content; --json has all bytes; --quarantine moves them."""
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

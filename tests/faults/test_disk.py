"""Whatever the disk does, lines wait in the ring and continue at the exact byte."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

SOAK = bool(os.environ.get("SOAK"))

pytestmark = pytest.mark.handmade_lines


def _namespace() -> list[str]:
    """Return the command for a separate mount namespace; empty if that is not permitted."""
    for command in (["unshare", "-m"], ["unshare", "-Urm"]):
        probe = 'd=$(mktemp -d) && mount -t tmpfs none "$d" && umount "$d" && rmdir "$d"'
        try:
            done = subprocess.run(
                [*command, "sh", "-c", probe], capture_output=True, check=False, timeout=20
            )
        except OSError:
            continue
        if done.returncode == 0:
            return command
    return []


NAMESPACE = _namespace()
WAYS = ["plain", *(["mount"] if NAMESPACE else [])]


def _run(log: Any, kind: str, way: str = "plain", cycles: int = 5) -> dict[str, Any]:
    prefix = NAMESPACE if way == "mount" else []
    process = log.start("disk", log.notes, kind, way, cycles, prefix=prefix)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return dict(json.loads(out))


def _place(log: Any, way: str) -> Path:
    return Path(log.disk if way == "mount" else log.path)


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_is_full_again_and_again(log: Any, way: str) -> None:
    """Filled and freed fifty times: short writes are completed, nothing is lost or duplicated."""
    cycles = 50
    told = _run(log, "full", way, cycles)
    assert told["waited"] > cycles // 2
    assert told["dropped"] == {}
    assert "failing began" in told["states"]
    assert len(told["warnings"]) == 1
    assert log.balanced(logged_to=_place(log, way)) == {"main": 100 * cycles}


@pytest.mark.parametrize("way", WAYS)
def test_a_read_only_file_system(log: Any, way: str) -> None:
    """Lines wait until it becomes writable."""
    told = _run(log, "read_only", way)
    assert told["waited"]
    assert told["dropped"] == {}
    assert log.balanced(logged_to=_place(log, way)) == {"main": 100}


def test_no_descriptor_is_left(log: Any) -> None:
    """One sink cannot open files, another not even rings: both write everything later."""
    told = _run(log, "no_descriptors")
    assert told["waited"]
    assert told["dropped"] == {}
    assert told["degraded"] == {"error_logs": 100}
    assert log.balanced() == {"first": 100, "second": 100}


@pytest.mark.parametrize("way", WAYS)
def test_a_full_memory_file_system(log: Any, way: str) -> None:
    """Rings without room are in the heap, are counted, and move as soon as there is room."""
    told = _run(log, "no_memory", way)
    assert told["before"] >= 150
    assert told["after"] == 0
    assert told["dropped"] == {}
    assert {"degraded began", "degraded ended"} <= set(told["states"])
    found = log.found()
    assert found.balance(log.acknowledged()) == (0, 0)
    assert found.torn == []


def test_a_directory_that_is_removed_under_load(log: Any) -> None:
    """New files are begun; only lines in the removed files are lost."""
    told = _run(log, "removed", cycles=25 if SOAK else 8)
    assert told["dropped"] == {}
    here, gone = log.found(), log.found(log.path.parent / "deleted")
    assert here.torn == []
    for writer, count in log.acknowledged().items():
        numbers = here.numbers[writer]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) | set(gone.numbers[writer]) == set(range(count))
        assert len(numbers) < count


def test_a_directory_that_is_moved_away_under_load(log: Any) -> None:
    """Old files are finished where they are, new ones are begun in a new directory."""
    cycles = 25 if SOAK else 8
    told = _run(log, "moved", cycles=cycles)
    assert told["dropped"] == {}
    found = log.found()
    for cycle in range(cycles):
        moved = log.found(log.path.with_name(f"moved-{cycle}"))
        assert moved.torn == []
        for writer, numbers in moved.numbers.items():
            found.numbers[writer] += numbers
    assert found.torn == []
    assert found.balance(log.acknowledged()) == (0, 0)


def test_a_directory_that_may_not_be_entered_for_a_while(log: Any) -> None:
    """Open files are written to; files that must be opened wait."""
    folder = Path(tempfile.mkdtemp(prefix="leadlog-forbidden-"))
    log.path = folder / "logs"
    try:
        assert _run(log, "forbidden")["dropped"] == {}
        found = log.found()
        assert found.torn == []
        assert found.balance(log.acknowledged()) == (0, 0)
    finally:
        log.end()
        shutil.rmtree(folder)


@pytest.mark.skipif(
    not NAMESPACE and os.environ.get("CI") != "true",
    reason="no mount namespace here: unshare needs root, or user namespaces",
)
def test_eight_processes_in_docker_s_64_mb_of_shared_memory_are_safe_from_kills(log: Any) -> None:
    """With rings of the default size none of their lines is lost; lack of room is reported."""
    told = _run(log, "small_memory", "mount")
    assert (told["safe"], told["lost"], told["errors"]) == (8, 0, [])
    assert 8 <= told["room_for"] < 16
    found, taken = log.found(), log.acknowledged()
    assert found.torn == []
    assert found.balance({name: taken[name] for name in (f"n{at}" for at in range(8))}) == (0, 0)

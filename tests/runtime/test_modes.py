"""Permissions of created files: the configured modes, a shared group, another user."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import leadlog
from leadlog.core.places import note_export
from leadlog.monitor import Monitor
from leadlog.reading.analytics.summary import write_daily_summary
from leadlog.reading.index import Index
from leadlog.recording.sinks.storage import MEMORY

GROUP, FIRST, SECOND = 64_100, 64_101, 64_102

PROGRAM = """
import os, sys
import leadlog

directory, user, groups, event = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
leadlog.configure(directory=sys.argv[5])  # so that nothing is imported later
leadlog.get_logger().info("warm")
leadlog.flush()
leadlog.shutdown()
if user:
    os.setgroups([int(group) for group in groups.split()])
    os.setgid(user)
    os.setuid(user)
os.umask(0o077)
modes = {"directory_mode": 0o770, "file_mode": 0o660} if groups else {}
leadlog.configure(directory=directory, **modes)
leadlog.get_logger().info(event)
print(leadlog.flush(1.0 if event == "other" else 30.0), flush=True)
if event == "first":
    input()
leadlog.shutdown()
"""


@pytest.mark.parametrize(
    ("umask", "folders", "files"),
    [(0o022, 0o770, 0o660), (0o000, 0o700, 0o600), (0o077, 0o755, 0o644)],
)
def test_everything_has_the_mode_that_was_asked_for(
    tmp_path: Path, umask: int, folders: int, files: int
) -> None:
    """Log files, slots, parent folders, index, summaries and state have the configured modes."""
    directory = tmp_path / "above" / "logs"
    old = os.umask(umask)
    try:
        leadlog.configure(directory=directory, directory_mode=folders, file_mode=files)
        with leadlog.LeadDatabase(tmp_path / "leads.db") as database:
            database.add_lead({"name": "Ann Field", "company": "Acme"})
        leadlog.flush()
        Index(directory).close()
        write_daily_summary(directory, "2026-11-23")
        note_export(directory, tmp_path / "export.csv")
        monitor = Monitor(directory)
        monitor.once()
        monitor.close()
    finally:
        os.umask(old)
    made = [directory.parent, directory, *directory.rglob("*")]
    assert {path.name for path in made} >= {".index", ".slots", ".exports", ".monitor.sqlite3"}
    for path in made:
        expected = folders if path.is_dir() else files
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == expected, f"{path.relative_to(tmp_path)}: {mode:o}"


@pytest.fixture
def shared() -> Iterator[Path]:
    """Yield a folder writable for a group, outside of pytest's folder, which is private."""
    folder = Path(tempfile.mkdtemp(prefix="leadlog-shared-"))
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(folder)
    for user in (FIRST, SECOND):
        shutil.rmtree(MEMORY / f"leadlog-{user}", ignore_errors=True)


def _start(
    directory: Path, user: int, groups: str, event: str, warm: Path
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, directory, str(user), groups, event, warm],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@as_root
def test_users_of_one_group_write_beside_each_other(shared: Path, tmp_path: Path) -> None:
    """With a strict umask, in parallel or one after the other, all lines are in the files."""
    directory = shared / "logs"
    first = _start(directory, FIRST, str(GROUP), "first", tmp_path / "warm")
    assert first.stdout is not None
    assert first.stdout.readline() == "True\n"
    second = _start(directory, SECOND, str(GROUP), "second", tmp_path / "warm")
    assert second.communicate(timeout=60) == ("True\n", "")
    assert first.communicate("\n", timeout=60) == ("", "")
    third = _start(directory, SECOND, str(GROUP), "third", tmp_path / "warm")
    assert third.communicate(timeout=60) == ("True\n", "")
    files = sorted((directory / "monitoring_data").glob("*.jsonl"))
    lines = {
        path.name[10:]: [json.loads(line)["event_name"] for line in path.read_bytes().splitlines()]
        for path in files
    }
    assert lines == {".jsonl": ["first", "third"], ".w1.jsonl": ["second"]}


@as_root
def test_another_user_after_root_is_told_in_one_line(shared: Path, tmp_path: Path) -> None:
    """The error names the owner of the directory, the current user, and the remedy."""
    directory = shared / "logs"
    root = _start(directory, 0, "", "root", tmp_path / "warm")
    assert root.communicate(timeout=60) == ("True\n", "")
    other = _start(directory, FIRST, "", "other", tmp_path / "warm")
    out, err = other.communicate(timeout=60)
    assert out == "False\n"
    (line,) = err.splitlines()
    assert f"{directory} belongs to root, mode 2700, and this process runs as user {FIRST}" in line
    assert "directory_mode" in line

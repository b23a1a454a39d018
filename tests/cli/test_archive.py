"""`leadlog archive`."""

import datetime as dt
import json
import os
import pty
import re
import subprocess

import pytest
import zstandard

from leadlog.core.clock import now_us, utc_date
from leadlog.core.locks import try_lock

pytestmark = pytest.mark.handmade_lines


@pytest.fixture
def old(tmp_path):
    """Make a log file of so many days ago, last written to on its day."""

    def make(days, category="error_logs", lines=40, suffix=".jsonl"):
        at_us = now_us() - days * 86_400_000_000
        date = utc_date(at_us)
        path = tmp_path / "database_logs" / category / f"{date}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        event = {"timestamp": f"{date}T10:00:00.000000Z", "level": "error"}
        path.write_text(
            "".join(f"{json.dumps({**event, 'event_id': f'{n:016x}'})}\n" for n in range(lines))
        )
        noon = dt.datetime.fromisoformat(f"{date}T12:00:00+00:00").timestamp()
        os.utime(path, (noon, noon))
        return path

    return make


def report(result):
    """The JSON that a command printed."""
    return json.loads(result.stdout)


def test_old_files_are_compressed_and_the_rest_stays(run, old):
    """Without options, files older than a week are compressed, and a table says so."""
    first, young = old(30), old(6)
    size = first.stat().st_size
    result = run("archive")
    assert result.exit_code == 0, result.output
    assert young.exists()
    assert not first.exists()
    packed = first.with_name(f"{first.name}.zst")
    freed = size - packed.stat().st_size
    (line,) = [line for line in result.stdout.splitlines() if first.name in line]
    assert re.search(
        rf"compress +error_logs/{first.name} +{size / 1000:.1f} kB +{freed / 1000:.1f} kB +older "
        "than 7 days",
        line,
    )
    assert f"Freed {freed / 1000:.1f} kB" in result.stdout
    again = run("archive")
    assert again.exit_code == 0
    assert again.stdout.startswith("Nothing to do; ")


def test_compressed_files_are_read_by_the_other_commands(run, old):
    """tail and doctor see the same events before and after."""
    old(30, lines=5)
    old(20, "sync_operations", lines=5)
    tail = run("tail", "-n", "50").stdout
    doctor = report(run("doctor", "--all", "--json"))["categories"]
    assert run("archive").exit_code == 0
    assert run("tail", "-n", "50").stdout == tail
    for before, after in zip(
        doctor, report(run("doctor", "--all", "--json"))["categories"], strict=True
    ):
        assert after["last_event"] == before["last_event"]
        assert (after["files"], after["damaged_lines"]) == (before["files"], 0)


def test_a_dry_run_changes_nothing(run, old, tmp_path):
    """--dry-run shows the planned actions, with sizes that are marked as estimates."""
    path = old(30, lines=2_000)
    before = sorted(tmp_path.rglob("*"))
    result = run("archive", "--dry-run")
    assert result.exit_code == 0
    assert "would free" in result.stdout
    assert "Would free about" in result.stdout
    assert "nothing was changed" in result.stdout
    data = report(run("archive", "--dry-run", "--json"))
    assert sorted(tmp_path.rglob("*")) == before
    (action,) = data["actions"]
    assert (action["action"], action["file"]) == ("compress", path.name)
    assert action["freed_bytes"] is None
    assert 0 < action["freed_bytes_estimate"] < path.stat().st_size
    assert (data["dry_run"], data["freed_bytes"]) == (True, 0)


def test_the_report_as_json(run, old, tmp_path):
    """--json has the policy, every action with its bytes, and the totals."""
    path = old(400, lines=1_000)
    size = path.stat().st_size
    data = report(run("archive", "--json", "--retention-days", "sync_operations=30"))
    packed = path.with_name(f"{path.name}.zst").stat().st_size
    assert data == {
        "directory": str(tmp_path / "database_logs"),
        "today": data["today"],
        "dry_run": False,
        "policy": {
            "compress_after_days": 7,
            "retention_days": {"sync_operations": 30},
            "retention_bytes": {},
            "parquet_after_days": 0,
        },
        "actions": [
            {
                "action": "compress",
                "category": "error_logs",
                "file": path.name,
                "parts": [],
                "bytes": size,
                "freed_bytes": size - packed,
                "freed_bytes_estimate": None,
                "reason": "older than 7 days",
                "error": None,
            }
        ],
        "kept": [],
        "excess": [],
        "buckets_stored": [],
        "buckets_failed": {},
        "bytes_before": size,
        "bytes_after": packed,
        "freed_bytes": size - packed,
        "freed_bytes_estimate": None,
    }


def test_an_option_takes_the_place_of_its_entry_only(run, old, monkeypatch):
    """A number for all categories does not shorten the life that errors have by the settings."""
    error, sync = old(50), old(50, "sync_operations")
    monkeypatch.setenv("LEADLOG_RETENTION_DAYS", '{"*": 30, "error_logs": 365}')
    monkeypatch.setenv("LEADLOG_COMPRESS_AFTER_DAYS", "0")
    data = report(run("archive", "--json", "--dry-run", "--retention-days", "40"))
    assert data["policy"]["retention_days"] == {"*": 40, "error_logs": 365}
    assert run("archive").exit_code == 0
    assert error.exists()
    assert not sync.exists()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("retention_days", "90", {"*": 90}),
        ("retention_bytes", "20GB", {"total": 20 * 10**9}),
        ("retention_bytes", '{"error_logs": "1GiB"}', {"error_logs": 2**30}),
        ("compress_after_days", "3", 3),
    ],
)
def test_the_policy_comes_from_the_settings(run, old, monkeypatch, name, value, expected):  # noqa: PLR0917 - pytest passes by name
    """Limits without an option are taken from the settings, in any form."""
    old(1)
    monkeypatch.setenv(f"LEADLOG_{name.upper()}", value)
    assert report(run("archive", "--json"))["policy"][name] == expected


def test_the_policy_comes_from_a_file(run, old, tmp_path):
    """A table or a number in leadlog.toml is as good."""
    old(1)
    (tmp_path / "leadlog.toml").write_text(
        'retention_days = 90\n[retention_bytes]\ntotal = "20GB"\nerror_logs = 5000000\n'
    )
    policy = report(run("archive", "--json"))["policy"]
    assert policy["retention_days"] == {"*": 90}
    assert policy["retention_bytes"] == {"total": 20 * 10**9, "error_logs": 5_000_000}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compress-after-days", "-1"], "--compress-after-days"),
        (["--retention-days", "soon"], "not a whole number of days; write 90, error_logs=365"),
        (["--retention-days", "errors_log=3"], "did you mean 'error_logs'?"),
        (["--retention-bytes", "20"], "20 bytes would keep hardly anything; write the unit (20GB)"),
        (["--retention-bytes", "all=1GB"], "there are total, database_operations"),
    ],
)
def test_nonsense_is_refused_with_the_remedy(run, old, arguments, message):
    """A bad option exits with 2, names a valid value, and no file is touched."""
    path = old(30)
    result = run("archive", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert path.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LEADLOG_COMPRESS_AFTER_DAYS", "-1"),
        ("LEADLOG_RETENTION_DAYS", "soon"),
        ("LEADLOG_RETENTION_BYTES", '{"errors": 5}'),
    ],
)
def test_a_bad_setting_is_refused_with_its_origin(run, old, monkeypatch, variable, value):
    """A bad setting exits with 2 and names the variable."""
    path = old(30)
    monkeypatch.setenv(variable, value)
    result = run("archive")
    assert result.exit_code == 2
    assert variable in result.stderr
    assert path.exists()


def test_a_missing_directory_is_an_error(run):
    """A mistyped directory is an error, not an empty result."""
    result = run("archive", "--directory", "nowhere")
    assert result.exit_code == 3
    assert "there is no log directory" in result.stderr


def test_a_limit_that_cannot_be_kept_is_a_finding(run, old):
    """A limit that today's files exceed exits with 1 and names the remedy; they are not touched."""
    path = old(0, lines=20_000)
    result = run("archive", "--retention-bytes", "1MB")
    assert result.exit_code == 1
    assert path.exists()
    assert "which is more than 1.0 MB" in result.stderr
    assert "raise retention_bytes" in result.stderr
    assert "its day is not over" in result.stdout


def test_a_file_in_use_is_left_alone_and_named(run, old):
    """A file that a process writes to is left alone, which is not a failure."""
    path = old(30)
    with path.open("ab") as writer:
        assert try_lock(writer.fileno())
        result = run("archive")
    assert result.exit_code == 0
    assert "Left alone" in result.stdout
    assert re.search(rf"error_logs/{path.name} +a process is writing to it", result.stdout)
    assert path.exists()


def test_what_fails_is_told_and_does_not_hold_up_the_rest(run, old):
    """A file that cannot be worked on makes the exit code 3; the others are done."""
    blocked, other = old(30), old(20)
    # A compressed file that ends in its middle cannot be sealed.
    packed = blocked.with_name(f"{blocked.name}.zst")
    packed.write_bytes(zstandard.compress(blocked.read_bytes() * 100)[:-20])
    os.utime(packed, (blocked.stat().st_atime, blocked.stat().st_mtime))
    blocked.unlink()
    result = run("archive", "--parquet-after-days", "1")
    assert result.exit_code == 3
    assert re.search(rf"failed +error_logs/{packed.name} .*", result.stdout)
    assert "1 file could not be worked on" in result.stderr
    assert packed.exists()
    assert not other.exists()


def test_a_second_janitor_says_so_and_ends(start, old, tmp_path):
    """While one is at work another one exits with 3 and a message."""
    old(30)
    lock = tmp_path / "database_logs" / ".archive.lock"
    lock.write_text("4711\n")
    with lock.open("rb") as held:
        assert try_lock(held.fileno())
        process = start("archive")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, b"")
    assert b"another janitor (process 4711) is at work" in err
    assert start("archive").wait(timeout=30) == 0


def test_progress_is_shown_on_a_terminal_only(start, old):
    """A bar appears on a terminal's standard error, and the result stays clean."""
    old(30, lines=3_000)
    ours, theirs = pty.openpty()
    try:
        process = start("archive", "--json", stderr=theirs)
        out = process.communicate(timeout=30)[0]
        assert b"compressing" in os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert json.loads(out)["actions"][0]["action"] == "compress"
    old(31, lines=3_000)
    assert start("archive", "--json", stderr=subprocess.PIPE).communicate(timeout=30)[1] == b""

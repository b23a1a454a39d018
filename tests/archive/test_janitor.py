"""The janitor on real files."""

import datetime as dt
import os
import stat
import subprocess
import sys
import threading

import pytest
import zstandard

from leadlog.core.errors import LogDirectoryError
from leadlog.core.layout import CATEGORIES
from leadlog.core.locks import try_lock
from leadlog.reading import archive
from leadlog.reading.archive import Policy
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.header import Header, RingProgress
from leadlog.recording.sinks.storage import Spool

NAME = "2026-11-01.jsonl"


@pytest.fixture
def run(root, tools):
    """Run the janitor on `root`, on the day of these tests."""

    def janitor(policy=None, dry_run=False, **more):
        return archive.run(root, policy, dry_run, today=tools.today, **more)

    return janitor


def done(report):
    """Return the actions by file."""
    return [(one.action.verb, one.action.found.file.path.name) for one in report.results]


def reasons(report):
    """Return the files that were left alone, with the reasons."""
    return {one.file.path.name: one.hindrance.reason for one in report.kept}


def old_file(path):
    """Create a file with an old modification time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"timestamp": "x"}\n' * 100)
    os.utime(path, (1_700_000_000, 1_700_000_000))


def test_closed_files_are_compressed_and_read_as_before(root, run, tools):
    """After a run the old files are smaller, and readers find the same lines as before."""
    for category in CATEGORIES:
        for name in (NAME, "2026-11-01.w1.2.jsonl", "2026-11-02.h-web.jsonl", "2026-11-20.jsonl"):
            tools.add(root, f"{category}/{name}")
    before = tools.read(root)
    report = run()
    assert tools.read(root) == before
    assert len(report.results) == 18
    assert {one.action.verb for one in report.results} == {"compress"}
    assert [name for name in tools.names(root) if name.startswith("error_logs")] == [
        "error_logs/2026-11-01.jsonl.zst",
        "error_logs/2026-11-01.w1.2.jsonl.zst",
        "error_logs/2026-11-02.h-web.jsonl.zst",
        "error_logs/2026-11-20.jsonl",
    ]
    sizes = sum((root / name).stat().st_size for name in tools.names(root))
    assert report.bytes_after == sizes
    assert report.freed_bytes == report.bytes_before - sizes > 0
    assert (report.errors, report.findings, report.kept) == ((), False, ())
    assert run().results == ()


def test_the_copy_keeps_rights_and_time_and_carries_checksum_and_size(root, run, tools):
    """A compressed file is as private and as old as its original, and can be verified."""
    path = tools.add(root, f"error_logs/{NAME}", 2_500_000)
    content = path.read_bytes()
    path.chmod(0o640)
    old = path.stat()
    run()
    packed = path.with_name(f"{NAME}.zst")
    new = packed.stat()
    assert stat.S_IMODE(new.st_mode) == 0o640
    assert (new.st_mtime_ns, new.st_uid, new.st_gid) == (old.st_mtime_ns, old.st_uid, old.st_gid)
    frame = packed.read_bytes()
    parameters = zstandard.get_frame_parameters(frame)
    assert (parameters.has_checksum, parameters.content_size) == (True, len(content))
    assert zstandard.ZstdDecompressor().decompress(frame) == content


def test_a_last_line_without_its_end_is_kept_as_it_is(root, run, tools):
    """A crash's unfinished line is compressed with the rest, byte for byte."""
    content = tools.events("2026-11-01", 2_000) + b'{"torn": '
    path = tools.add(root, f"error_logs/{NAME}", content=content)
    run()
    frame = path.with_name(f"{NAME}.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompress(frame) == content


def test_whatever_is_not_ours_stays_untouched(root, run, tools, tmp_path):
    """Other names, folders, links and pipes are left unchanged under any policy."""
    outside = tmp_path / "elsewhere" / "2026-01-01.jsonl"
    old_file(outside)
    for name in (
        "2026-01-01.jsonl",
        "sync_operations/2026-01-01.json",
        "sync_operations/2026-01-01.jsonl.gz",
        "sync_operations/2026-01-01.w01.jsonl",
        "sync_operations/2026-02-31.jsonl",
        "sync_operations/2026-01-01 (copy).jsonl",
        "sync_operations/.2026-01-01.jsonl.tmp",
        "sync_operations/old/2026-01-01.jsonl",
        "monitoring_data/daily-summary-2026-01-01.json",
        ".slots/0",
        "notes/2026-01-01.jsonl",
    ):
        old_file(root / name)
    (root / "error_logs").mkdir()
    (root / "error_logs" / "2026-01-01.jsonl").symlink_to(outside)
    (root / "error_logs" / "2026-01-02.jsonl.zst").symlink_to(outside)
    (root / "error_logs" / ".2026-01-01.jsonl.zst.0123abcd.tmp").symlink_to(outside)
    os.mkfifo(root / "error_logs" / "2026-01-03.jsonl")
    (root / "error_logs" / "2026-01-04.jsonl").mkdir()
    (root / "migration_operations").symlink_to(outside.parent)
    before = tools.snapshot(tmp_path)
    report = run(Policy(1, 1, "1MB"))
    after = tools.snapshot(tmp_path)
    after.pop("database_logs/.archive.lock")
    assert after == before
    assert report.results == ()
    assert reasons(report) == {
        "migration_operations": "it is a link or a file, not a folder; nothing behind it is touched"
    }
    assert report.findings


def test_old_files_are_removed_and_summaries_stay(root, run, tools):
    """Retention removes files of any form by age; daily summaries and younger files stay."""
    for name in (
        "sync_operations/2026-10-01.jsonl",
        "sync_operations/2026-10-02.w1.jsonl.zst",
        "sync_operations/2026-11-22.jsonl",
        "error_logs/2026-10-01.jsonl",
    ):
        tools.add(root, name)
    old_file(root / "monitoring_data" / "daily-summary-2026-10-01.json")
    report = run(Policy(0, {"*": 30, "error_logs": 365}))
    assert done(report) == [
        ("remove", "2026-10-01.jsonl"),
        ("remove", "2026-10-02.w1.jsonl.zst"),
    ]
    assert tools.names(root) == [
        "error_logs/2026-10-01.jsonl",
        "monitoring_data/daily-summary-2026-10-01.json",
        "sync_operations/2026-11-22.jsonl",
    ]


def test_room_is_made_only_for_what_does_not_fit_compressed(root, run, tools):
    """Files are compressed first, and the oldest are removed only if that is not enough."""
    for day in range(1, 7):
        tools.add(root, f"error_logs/2026-11-0{day}.jsonl", 600_000)
    tools.add(root, "sync_operations/2026-11-20.jsonl", 900_000)
    report = run(Policy(7, None, "1.5MB"))
    assert [verb for verb, _ in done(report)] == ["compress"] * 6
    assert report.bytes_after <= 1_500_000
    packed = {name: (root / name).stat().st_size for name in tools.names(root)}
    limit = sum(packed.values()) - 1
    assert limit > 1_000_000
    report = run(Policy(7, None, limit))
    assert done(report) == [("remove", "2026-11-01.jsonl.zst")]
    assert report.freed_bytes == packed["error_logs/2026-11-01.jsonl.zst"]
    assert report.excess == ()


def test_a_limit_that_today_s_files_break_is_told(root, run, tools):
    """The size of files that must not be touched yet is reported as an excess."""
    tools.add(root, "error_logs/2026-11-23.jsonl", 1_200_000)
    tools.add(root, "error_logs/2026-11-21.jsonl")
    report = run(Policy(0, None, "error_logs=1MB"))
    assert done(report) == [("remove", "2026-11-21.jsonl")]
    (excess,) = report.excess
    size = (root / "error_logs/2026-11-23.jsonl").stat().st_size
    assert (excess.scope, excess.limit_bytes, excess.bytes) == ("error_logs", 1_000_000, size)
    assert report.findings


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(7, 20),
        Policy(7, None, "1.05MB"),
        Policy(0, None, "error_logs=1MB"),
        Policy(3, {"error_logs": 21}, "1MB"),
    ],
)
def test_a_dry_run_tells_what_a_run_does_and_changes_nothing(root, run, tools, policy):
    """A dry run has the same files, actions and order, and does not even create a lock file."""
    for category in ("error_logs", "sync_operations"):
        for day in (1, 2, 3, 4, 19, 22, 23):
            tools.add(root, f"{category}/2026-11-{day:02}.jsonl", 400_000)
    before = tools.snapshot(root)
    dry = run(policy, dry_run=True)
    assert tools.snapshot(root) == before
    assert (dry.freed_bytes, dry.bytes_after) == (0, dry.bytes_before)
    real = run(policy)
    assert done(dry) == done(real)
    assert reasons(dry) == reasons(real)
    assert {one.freed_bytes for one in dry.results} <= {None}
    assert dry.freed_bytes_estimate == pytest.approx(real.freed_bytes, rel=0.02)
    assert real.freed_bytes_estimate is None


def test_a_read_only_directory_can_be_looked_at_and_is_not_written(root, run, tools, monkeypatch):
    """A dry run works; a real run reports what it cannot write."""
    tools.add(root, f"error_logs/{NAME}")
    user = 65_534 if os.geteuid() == 0 else os.geteuid()
    if os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, user, user)
    for path in (root / "error_logs", root):
        path.chmod(0o500)
    # Other users cannot enter through the parent folders, but can from here on.
    monkeypatch.chdir(root)
    before = os.geteuid()
    os.seteuid(user)
    try:
        dry = archive.run(".", dry_run=True, today=tools.today)
        with pytest.raises(LogDirectoryError, match=r"cannot write .*archive\.lock: Permission"):
            archive.run(".", today=tools.today)
    finally:
        os.seteuid(before)
        for path in (root, root / "error_logs"):
            path.chmod(0o700)
    assert done(dry) == [("compress", NAME)]
    assert tools.names(root) == [f"error_logs/{NAME}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_others_are_left_to_them(root, run, tools):
    """A run as another user, even root, touches nothing and names the owner."""
    path = tools.add(root, f"error_logs/{NAME}")
    os.chown(path, 12_345, -1)
    report = run()
    assert reasons(report) == {
        NAME: "it belongs to the user with the id 12345; run this as that user"
    }
    assert report.findings
    assert path.exists()


def test_a_file_that_is_locked_by_its_writer_is_left_alone(root, run, tools):
    """While a process has a file open for writing it stays; afterwards it is compressed."""
    path = tools.add(root, f"error_logs/{NAME}")
    tools.add(root, "error_logs/2026-11-02.jsonl")
    with path.open("ab") as writer:
        assert try_lock(writer.fileno())
        report = run(Policy(7, 7))
        assert reasons(report) == {NAME: "a process is writing to it"}
        assert not report.findings
        assert tools.names(root) == [f"error_logs/{NAME}"]
    assert done(run()) == [("compress", NAME)]


def test_a_file_that_gets_a_writer_meanwhile_is_left_alone(root, run, tools):
    """A file that is locked before its turn is left alone."""
    tools.add(root, f"error_logs/{NAME}", 2_500_000)
    other = tools.add(root, "error_logs/2026-11-02.jsonl")
    with other.open("ab") as writer:
        report = run(progress=lambda done, total: try_lock(writer.fileno()))
    assert done(report) == [("compress", NAME)]
    assert reasons(report) == {other.name: "a process is writing to it"}
    assert other.exists()


def test_a_copy_that_the_disk_garbled_is_thrown_away(root, run, tools):
    """A copy that does not read back correctly never replaces its original."""
    path = tools.add(root, f"error_logs/{NAME}", 2_500_000)
    before = tools.snapshot(path.parent)

    def garble(done, total):
        (place,) = path.parent.glob(f".{NAME}.zst.*.tmp")
        with place.open("r+b") as draft:
            draft.seek(40)
            draft.write(b"garbled")

    report = run(progress=garble)
    (result,) = report.results
    assert "is damaged" in result.error
    assert tools.snapshot(path.parent) == before
    assert done(run()) == [("compress", NAME)]


def test_a_file_that_a_ring_names_is_left_alone(root, run, tools):
    """As long as a ring may have lines for a file, dead process or not, it stays."""
    tools.add(root, f"error_logs/{NAME}")
    descriptors = Descriptors()
    spool = Spool(root)
    storage = spool.create("error_logs", 4096, descriptors, 0)
    Header(storage.memory).store(RingProgress(name=f"error_logs/{NAME}"))
    path = storage.path
    storage.release()
    (reason,) = reasons(run()).values()
    assert "a process may have lines for it" in reason
    assert "leadlog recover" in reason
    spool.retire(path)
    assert done(run()) == [("compress", NAME)]


def test_a_file_that_a_ring_names_meanwhile_is_left_alone(root, run, tools):
    """The rings are checked again just before a file is touched."""
    tools.add(root, f"error_logs/{NAME}", 2_500_000)
    tools.add(root, "error_logs/2026-11-02.jsonl")
    descriptors = Descriptors()
    storage = Spool(root).create("error_logs", 4096, descriptors, 0)

    def name_it(done, total):
        Header(storage.memory).store(RingProgress(name="error_logs/2026-11-02.jsonl"))

    report = run(progress=name_it)
    storage.release()
    assert done(report) == [("compress", NAME)]
    assert reasons(report).keys() == {"2026-11-02.jsonl"}


def test_a_copy_that_comes_meanwhile_is_not_overwritten(root, run, tools):
    """If another process compresses the same file, its copy stays, and the original too."""
    path = tools.add(root, f"error_logs/{NAME}", 2_500_000)
    packed = path.with_name(f"{NAME}.zst")
    report = run(progress=lambda done, total: packed.write_bytes(b"his"))
    assert "was created meanwhile" in reasons(report)[NAME]
    assert tools.names(root) == [f"error_logs/{NAME}", f"error_logs/{NAME}.zst"]
    assert packed.read_bytes() == b"his"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("user", "group", "mode"), [(0, 12_345, 0o640), (65_534, 0, 0o600)])
def test_no_other_group_may_read_the_copy(root, run, tools, monkeypatch, user, group, mode):  # noqa: PLR0917 - pytest passes by name
    """The copy belongs to the group of its original; where that is refused, to its user alone."""
    path = tools.add(root, f"error_logs/{NAME}")
    path.chmod(0o640)
    for one in (root, path.parent, path):
        os.chown(one, user, 12_345 if one == path else -1)
    monkeypatch.chdir(root)
    os.seteuid(user)
    try:
        report = archive.run(".", today=tools.today)
    finally:
        os.seteuid(0)
    assert done(report) == [("compress", NAME)]
    state = path.with_name(f"{NAME}.zst").stat()
    assert (state.st_gid, stat.S_IMODE(state.st_mode)) == (group, mode)


def test_a_file_written_to_today_waits(root, run, tools):
    """An old file that was written to today is left for a later day."""
    path = tools.add(root, f"error_logs/{NAME}")
    morning = dt.datetime.fromisoformat(f"{tools.today}T00:00:00+00:00").timestamp()
    os.utime(path, (morning, morning))
    assert reasons(run(Policy(7, 7))) == {NAME: "it was written to today"}


def test_a_file_that_grows_meanwhile_keeps_every_line(root, run, tools):
    """Lines that are added during compression are in the log afterwards."""
    path = tools.add(root, f"error_logs/{NAME}", 2_500_000)
    late = tools.events("2026-11-02", 500)

    def grow(done, total):
        with path.open("ab") as stream:
            stream.write(late)

    report = run(progress=grow)
    assert reasons(report).keys() == {NAME}
    assert report.results == ()
    assert tools.names(root) == [f"error_logs/{NAME}"]
    assert path.read_bytes().endswith(late)


def test_a_file_that_vanishes_meanwhile_is_an_error_of_its_own(root, run, tools):
    """A file removed by another process is reported, and the other files are processed."""
    path = tools.add(root, f"error_logs/{NAME}")
    tools.add(root, "sync_operations/2026-11-01.jsonl")

    def remove(done, total):
        path.unlink(missing_ok=True)

    report = run(progress=remove)
    assert [one.error for one in report.results if one.error] == ["No such file or directory"]
    assert tools.names(root) == ["sync_operations/2026-11-01.jsonl.zst"]


def test_an_interruption_leaves_nothing_half_done(root, run, tools):
    """Ctrl-C during a run leaves the log unchanged, and the next run completes it."""
    for day in (1, 2):
        tools.add(root, f"error_logs/2026-11-0{day}.jsonl", 2_500_000)
    before = tools.read(root)

    def interrupt(done, total):
        if done > total * 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=interrupt)
    assert tools.names(root) == ["error_logs/2026-11-01.jsonl.zst", "error_logs/2026-11-02.jsonl"]
    assert tools.read(root) == before
    assert done(run()) == [("compress", "2026-11-02.jsonl")]


def test_progress_ends_at_the_whole(root, run, tools):
    """Progress reports rise to the total number of bytes."""
    for day in (1, 2, 3):
        tools.add(root, f"error_logs/2026-11-0{day}.jsonl", 1_500_000)
    told = []
    report = run(progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (report.bytes_before, report.bytes_before)


def test_what_a_killed_janitor_left_is_tidied_up(root, run, tools):
    """A half-written copy is discarded and made again; readers never see it."""
    tools.add(root, f"error_logs/{NAME}")
    before = tools.read(root)
    for name in (NAME, "2026-10-01.jsonl"):
        (root / "error_logs" / f".{name}.zst.0123abcd.tmp").write_bytes(b"\x28\xb5\x2f\xfd half")
    assert tools.read(root) == before
    run()
    assert tools.names(root) == [f"error_logs/{NAME}.zst"]
    assert tools.read(root) == before


def test_an_original_beside_its_copy_is_removed(root, run, tools):
    """A run that was killed before its last step is completed by the next one."""
    path = tools.add(root, f"error_logs/{NAME}", 50_000)
    content = path.read_bytes()
    before = tools.read(root)
    run()
    tools.add(root, f"error_logs/{NAME}", content=content)
    assert tools.read(root) == before
    report = run()
    assert done(report) == [("finish", NAME)]
    assert report.freed_bytes == len(content)
    assert tools.names(root) == [f"error_logs/{NAME}.zst"]
    assert tools.read(root) == before


@pytest.mark.parametrize("copy", ["other lines", "damaged", "empty"])
def test_an_original_beside_something_else_is_a_finding(root, run, tools, copy):
    """If the copy differs, both stay, the original is read, and a finding is reported."""
    path = tools.add(root, f"error_logs/{NAME}")
    before = tools.read(root)
    packed = zstandard.ZstdCompressor().compress(tools.events("2026-11-01", 3_000, seed=5))
    other = {"other lines": packed, "damaged": packed[:-3], "empty": b""}[copy]
    tools.add(root, f"error_logs/{NAME}.zst", content=other)
    report = run()
    assert report.results == ()
    assert f"{NAME}.zst is not a copy of it" in reasons(report)[NAME]
    assert report.findings
    assert tools.read(root) == before
    assert path.with_name(f"{NAME}.zst").read_bytes() == other


def test_a_second_janitor_is_told_and_changes_nothing(root, run, tools):
    """A second janitor reports the process of the first, and changes nothing."""
    tools.add(root, f"error_logs/{NAME}", 2_000_000)
    tools.add(root, "sync_operations/2026-11-01.jsonl")
    met = []

    def second(done, total):
        if not met:
            before = tools.snapshot(root)
            with pytest.raises(LogDirectoryError) as error:
                run()
            met.append(str(error.value))
            assert tools.snapshot(root) == before
            assert run(dry_run=True).results

    run(progress=second)
    assert f"another janitor (process {os.getpid()}) is at work" in met[0]
    assert len(tools.names(root)) == 2


def test_two_janitors_at_once_do_it_once(root, tools):
    """Of janitors that start at the same time only one works; no line is lost or duplicated."""
    for day in range(1, 9):
        tools.add(root, f"error_logs/2026-11-0{day}.jsonl", 300_000)
    before = tools.read(root)
    start = threading.Barrier(4)
    outcomes, refused = [], []

    def janitor():
        start.wait(timeout=30)
        try:
            outcomes.append(len(archive.run(root, today=tools.today).results))
        except LogDirectoryError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=janitor) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sum(outcomes) == 8
    assert len(outcomes) + len(refused) == 4
    assert all("another janitor" in message for message in refused)
    assert tools.read(root) == before
    assert len(tools.names(root)) == 8


def test_the_lock_of_a_dead_janitor_keeps_nobody_out(root, run, tools, environment):
    """A leftover lock file does not block, even if a child of the dead process still lives."""
    tools.add(root, f"error_logs/{NAME}")
    script = "\n".join(
        [
            "import os, sys",
            "from pathlib import Path",
            "from leadlog.reading.archive.directory import sole_janitor",
            "with sole_janitor(Path(sys.argv[1])):",
            "    child = os.fork()",
            "    if not child:",
            "        sys.stdin.read()",
            "        os._exit(0)",
            "print(child, flush=True)",
            "os.waitpid(child, 0)",
        ]
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(root)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        assert done(run()) == [("compress", NAME)]
        process.stdin.close()
        assert process.wait(timeout=30) == 0


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from leadlog.reading import archive
report = archive.run(sys.argv[1], today=sys.argv[2])
for one in report.results:
    print(one.action.found.file.path.name, one.error)
"""


def test_a_full_disk_costs_nothing_but_the_compression(root, run, tools, environment):
    """A file that cannot be compressed is reported, its original stays, and the others are done."""
    tools.add(root, "error_logs/2026-11-01.jsonl", 4_000_000)
    tools.add(root, "error_logs/2026-11-02.jsonl", 4_000)
    before = tools.read(root)
    completed = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(root), tools.today],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert completed.stdout.splitlines() == [
        "2026-11-01.jsonl File too large",
        "2026-11-02.jsonl None",
    ]
    assert tools.read(root) == before
    assert tools.names(root) == ["error_logs/2026-11-01.jsonl", "error_logs/2026-11-02.jsonl.zst"]
    assert done(run()) == [("compress", "2026-11-01.jsonl")]
    assert tools.read(root) == before


def test_where_there_is_no_log_nothing_is_made(root, run, tmp_path, tools):
    """A directory without a log is left unchanged; a missing one is an error."""
    report = run(Policy(1, 1))
    assert (report.results, report.bytes_before) == ((), 0)
    assert list(root.iterdir()) == []
    with pytest.raises(LogDirectoryError, match=r"no log directory .*`directory=`"):
        archive.run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "place",
    [
        "database_operations/.2026-11-01.jsonl.zst.0123abcd.tmp",
        "archive/category=error_logs/date=2026-11-01/.part-2026-11-01.parquet.0123abcd.tmp",
        "archive/category=error_logs/date=2026-11-01/._damaged-2026-11-01.jsonl.0123abcd.tmp",
        "archive/category=error_logs/date=2026-11-01/_damaged-2026-11-01.jsonl",
        "archive/buckets/.2026-11-01.json.zst.0123abcd.tmp",
        "monitoring_data/.daily-summary-2026-11-01.json.0123abcd.tmp",
        ".error-marks.json.0123abcd.tmp",
        "models/slow/.model.json.0123abcd.tmp",
    ],
)
def test_what_killed_processes_left_half_done_is_removed(root, run, tools, place):
    """Abandoned drafts are removed in all of leadlog's places; drafts in use and others stay."""
    tools.add(root, f"database_operations/{NAME}")
    left, stranger = root / place, root / ".notes.txt.0123abcd.tmp"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"half")
    stranger.write_bytes(b"not leadlog's")
    run(dry_run=True)
    assert left.exists()
    with left.open("rb") as writer:
        assert try_lock(writer.fileno())
        if left.name.startswith(".") and left.parts[-2] in {"buckets", "monitoring_data"}:
            run()
            assert left.exists()
    run()
    assert not left.exists()
    assert stranger.exists()

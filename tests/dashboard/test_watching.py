"""Waiting for changes of a log: the watcher's wake-ups and descriptors, and its thread's end."""

import asyncio
import errno
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from leadlog import dashboard
from leadlog.dashboard.live import IndexFollower
from leadlog.dashboard.log import Log
from leadlog.dashboard.watching import LogWatcher

pytestmark = pytest.mark.handmade_lines

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has inotify and /proc")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log directory with one file."""
    folder = tmp_path / "log" / "database_operations"
    folder.mkdir(parents=True)
    (folder / "2026-11-01.jsonl").write_bytes(b"")
    return tmp_path / "log"


@pytest.fixture
def seldom(monkeypatch):
    """Make the poll next to inotify so slow that only a notification can end a wait in time."""
    monkeypatch.setattr("leadlog.dashboard.watching._TOLD_SECONDS", 20.0)


def watching(root: Path) -> "closing[LogWatcher]":
    """Return a watcher that watches the folders there are now."""
    watcher = LogWatcher(root)
    watcher.wake()
    watcher.wait()
    return closing(watcher)


def seconds_of_wait(watcher: LogWatcher) -> float:
    began = time.monotonic()
    watcher.wait()
    return time.monotonic() - began


def append(root: Path, category: str = "database_operations") -> None:
    with (root / category / "2026-11-01.jsonl").open("ab") as stream:
        stream.write(b"{}\n")


def opened() -> set[str]:
    """Return what the descriptors of this process are open for; a pipe has a unique name."""
    found = set()
    for path in [*Path("/proc/self/fd").iterdir()]:
        with suppress(FileNotFoundError):  # the one of the listing itself
            found.add(str(path.readlink()))
    return found


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def application(root: Path):
    return dashboard.app(root, authorize=lambda scope: True, hosts=["crm.example"])


def get(app, path: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
            return await client.get(path)

    return asyncio.run(asked())


@contextmanager
def others() -> Iterator[None]:
    """Open empty files under the lowest free numbers; at the end they are open and still empty."""
    files = [os.memfd_create(f"other-{n}") for n in range(20)]
    try:
        yield
    finally:
        sizes = []
        for one in files:
            with suppress(OSError):  # closed by somebody else: its size is missing below
                sizes.append(os.fstat(one).st_size)
                os.close(one)
    assert sizes == [0] * len(files)


@LINUX
def test_a_change_is_notified_long_before_the_poll(root, seldom):
    """A line appended to a file, and a new file, end the wait at once."""
    with watching(root) as watcher:
        append(root)
        assert seconds_of_wait(watcher) < 10
        (root / "database_operations" / "2026-11-02.jsonl").write_bytes(b"{}\n")
        assert seconds_of_wait(watcher) < 10


@LINUX
def test_a_folder_that_is_created_later_is_watched(root, seldom):
    """The new folder ends the wait, and so does a later change in it."""
    with watching(root) as watcher:
        (root / "error_logs").mkdir()
        assert seconds_of_wait(watcher) < 10
        watcher.wake()
        watcher.wait()
        append(root, "error_logs")
        assert seconds_of_wait(watcher) < 10


def test_without_inotify_the_files_are_polled(root, seldom, monkeypatch):
    """Where inotify cannot be imported, a wait ends after the short poll interval."""
    monkeypatch.setitem(sys.modules, "inotify_simple", None)
    with watching(root) as watcher:
        assert seconds_of_wait(watcher) < 10


@LINUX
def test_without_watches_left_the_files_are_polled(root, seldom, monkeypatch):
    """Where the system allows no more watches, a wait ends after the short poll interval."""

    def refuse(**options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("inotify_simple.INotify", refuse)
    with watching(root) as watcher:
        assert seconds_of_wait(watcher) < 10


def test_it_can_be_woken_more_often_than_its_pipe_holds(root):
    """No wake blocks, and once all are read a wait lasts its time."""
    with watching(root) as watcher:
        for _ in range(70_000):
            watcher.wake()
        waits = []
        while not waits or (waits[-1] < 0.04 and len(waits) < 100):
            began = time.monotonic()
            watcher.wait(0.05)
            waits.append(time.monotonic() - began)
        assert waits[-1] >= 0.04


@LINUX
def test_a_closed_watcher_touches_no_descriptor(root):
    """Closing it again, and waking it, leave the files with its old numbers alone."""
    with watching(root) as watcher:
        pass
    with others():
        watcher.close()
        watcher.wake()


@LINUX
def test_a_watcher_works_above_1023_descriptors(root, seldom):
    """In a process with more open files than select() can wait for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1_300:
        pytest.skip(f"this process may open {hard} files at most")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1_300), hard))
    files = [os.memfd_create("many")]
    try:
        while files[-1] < 1_024:
            files.append(os.dup(files[0]))
        with watching(root) as watcher:
            append(root)
            assert seconds_of_wait(watcher) < 10
    finally:
        for one in files:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@LINUX
def test_a_closed_application_touches_no_descriptor(root):
    """Neither a second close nor a late request writes to or closes files of the application."""
    app = application(root)
    assert get(app, "/").status_code == 200
    app.close()
    with others():
        app.close()
        assert get(app, "/").status_code == 200
        app.close()


@LINUX
def test_no_descriptor_is_left_behind(root):
    """Neither by watchers nor by applications, whether or not they served a request."""
    counts = []
    for served in (False, True):
        for _ in range(20):
            with watching(root):
                pass
            app = application(root)
            if served:
                assert get(app, "/").status_code == 200
            app.close()
            counts.append(len([*Path("/proc/self/fd").iterdir()]))
    assert counts[19] - counts[1] < 10, counts  # some may be opened by others in this process
    assert counts[-1] - counts[21] < 10, counts


@LINUX
def test_an_application_has_no_pipe_before_its_first_request(root):
    """A preloading server forks after it has created the application; workers share no pipe."""
    before = opened()
    app = application(root)
    assert not {one for one in opened() - before if one.startswith("pipe:")}
    app.close()


def test_an_unexpected_error_is_shown_and_the_thread_goes_on(root, monkeypatch):
    """The status has the error as the trouble until the index can be updated again."""
    monkeypatch.setattr("leadlog.dashboard.live._IDLE_SECONDS", 0.01)
    wrong, update = [ValueError("a broken number")], Log.catch_up

    def catch_up(log, progress=None):
        for error in wrong:
            raise error
        update(log, progress)

    monkeypatch.setattr(Log, "catch_up", catch_up)
    with Log(root) as log:
        follower = IndexFollower(log)
        follower.start()
        try:
            until(lambda: follower.status()["trouble"] == "ValueError: a broken number")
            wrong.clear()
            until(lambda: follower.status()["trouble"] is None)
            assert follower.status()["progress"] == 1.0
        finally:
            follower.stop()

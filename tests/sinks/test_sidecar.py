"""The sidecar empties lent rings, and their owners continue where it stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import leadlog
from leadlog.cli import root
from leadlog.core.locks import try_claim, try_lock
from leadlog.core.settings import load
from leadlog.recording.pipeline.sidecar import make_sidecar
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.sidecar import Sidecar
from leadlog.recording.sinks.storage import Spool, state_directories
from tests.sinks.conftest import until as wait_until

Logged = Callable[..., list[dict[str, Any]]]
LOG = Path("database_logs")
until = partial(wait_until, seconds=30)  # a loaded machine is slow


@pytest.fixture
def sidecar() -> Iterator[Callable[..., Sidecar]]:
    """A factory of sidecars in this process, which work only when called."""
    made: list[Sidecar] = []

    def make(**settings: Any) -> Sidecar:
        one = make_sidecar(load(**settings).settings)
        one.open()
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def log(count: int, start: int = 0) -> None:
    """Log numbered events."""
    for number in range(start, start + count):
        leadlog.get_logger().info("one", number=number, text="password=hunter2 " + "x" * 200)


def numbers() -> list[int]:
    """Return the numbers of the events in the files, in the files' order."""
    files = sorted((LOG / "monitoring_data").glob("*.jsonl"), key=lambda path: path.stat().st_ino)
    lines = [line for path in files for line in path.read_bytes().splitlines()]
    return [json.loads(line)["monitoring_info"]["data_points"]["number"] for line in lines]


def served(one: Sidecar) -> bool:
    """Return whether a process has lent its rings to the sidecar."""
    return until(lambda: (one.look(), one.processes)[1])


def test_a_sidecar_takes_over_and_the_owner_goes_on_in_the_same_file(
    sidecar: Callable[..., Sidecar], logged: Logged
) -> None:
    """Labels and masks equal the owner's; every line is there once, in order, in one file."""
    leadlog.configure()
    log(10)
    assert leadlog.flush()
    one = sidecar()
    assert served(one)
    report = json.loads(CliRunner().invoke(root, ["doctor", "--json"]).stdout)
    assert report["directory"]["sidecar"] is True
    log(10, start=10)
    assert not leadlog.flush(0.3)  # no other process empties them
    assert leadlog.stats().in_ring == {"monitoring_data": 10}
    assert until(lambda: (one.look(), leadlog.flush(0.05))[1])
    log(5, start=20)
    one.close()
    log(5, start=25)
    assert leadlog.flush(20)
    assert numbers() == list(range(30))
    (file,) = (LOG / "monitoring_data").iterdir()
    first, *_, last = logged("monitoring_data")
    assert first.keys() == last.keys()
    assert b"hunter2" not in file.read_bytes()
    assert leadlog.stats().written == {"monitoring_data": 30}


def test_a_ring_that_grows_while_it_is_lent_is_emptied_in_its_order(
    sidecar: Callable[..., Sidecar],
) -> None:
    """A stalled sidecar costs nothing: newer lines are in further rings."""
    leadlog.configure(ring_bytes=65536)
    one = sidecar()
    assert served(one)
    log(1500)
    (folder, _) = state_directories(LOG.absolute())
    assert len(list(folder.glob("monitoring_data.*.ring"))) > 1
    assert leadlog.stats().dropped == {}
    assert leadlog.stats().degraded == {}
    assert until(lambda: (one.look(), leadlog.flush(0.05))[1])
    # The owner frees the further rings; its usual ring is lent again.
    assert until(lambda: (one.look(), len(list(folder.glob("monitoring_data.*.ring"))) == 1)[1])
    log(10, start=1500)
    assert until(lambda: (one.look(), leadlog.flush(0.05))[1])
    assert numbers() == list(range(1510))


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that survives")
def test_a_descriptor_that_the_application_closed_gives_nothing_away(directory: Path) -> None:
    """The mapping keeps lock and claim, so the ring stays its owner's; a lent one returns."""
    spool = Spool(directory)
    descriptors, others = Descriptors(), Descriptors()
    ring = spool.create("error_logs", 4096, descriptors, 1)
    lent = spool.create("error_logs", 4096, descriptors, 1)
    assert ring.path is not None
    assert lent.path is not None
    lent.lend()
    assert ring.lendable
    os.close(ring.fd)
    os.close(lent.fd)
    foreign = os.open(directory.parent, os.O_RDONLY)  # it reuses one of the numbers
    assert not ring.lendable
    for_ring, for_lent = (others.open(path, os.O_RDWR) for path in (ring.path, lent.path))
    assert not try_lock(for_ring)
    assert not try_claim(for_ring)
    assert try_claim(for_lent)  # like a sidecar
    assert not lent.take_back()
    assert lent.lent
    others.close(for_lent)
    assert lent.take_back()
    assert not lent.lent
    assert lent.lendable
    again = others.open(lent.path, os.O_RDWR)
    assert not try_claim(again)
    for storage in (ring, lent):
        storage.release()
    os.fstat(foreign)
    for fd in (for_ring, again):
        others.close(fd)
    os.close(foreign)


def test_half_a_line_that_a_sidecar_left_is_completed_by_the_owner(
    sidecar: Callable[..., Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full in the middle of a line when the sidecar ended."""
    leadlog.configure()
    one = sidecar()
    assert served(one)
    log(3)
    room = [1000]

    def write(fd: int, data: bytes) -> int:
        count = min(len(data), room[0])
        if not count:
            raise OSError(28, "No space left on device")
        room[0] -= count
        return os.write(fd, data[:count])

    object.__setattr__(one._files, "write", write)
    until(lambda: (one.look(), not room[0])[1])
    (file,) = (LOG / "monitoring_data").iterdir()
    assert not file.read_bytes().endswith(b"\n")
    for lent in list(one._lent.values()):
        lent.release()  # like a kill
    one._lent.clear()
    one._seat.release()
    assert leadlog.flush(20)
    assert numbers() == [0, 1, 2]


@pytest.mark.parametrize(
    "own",
    [
        {"processors": [lambda logger, name, event: event]},
        {"durability": "fsync"},
        {"pii": "pseudonymised", "pseudonym_key": "another"},
    ],
    ids=["processors", "fsync", "key"],
)
def test_who_needs_what_a_sidecar_has_not_writes_for_itself(
    sidecar: Callable[..., Sidecar], own: dict[str, Any]
) -> None:
    """Custom processors, `fsync` durability, or another key keep the rings with the owner."""
    one = sidecar(pseudonym_key="the sidecar's")
    leadlog.configure(**own)
    log(3)
    assert leadlog.flush(20)
    time.sleep(0.3)  # enough time to lend them
    one.look()
    assert one.processes == 0
    log(3, start=3)
    assert leadlog.flush(20)
    assert numbers() == list(range(6))


def test_a_sidecar_with_the_key_makes_the_same_pseudonyms(
    sidecar: Callable[..., Sidecar], logged: Logged
) -> None:
    """They equal those that the owner would make."""
    key = "k" * 32

    def mail() -> None:
        leadlog.get_logger().info("mail", email="ana@acme.com")

    leadlog.configure(pii="pseudonymised", pseudonym_key=key)
    mail()
    assert leadlog.flush()
    one = sidecar(pseudonym_key=key)
    assert served(one)
    mail()
    assert until(lambda: (one.look(), leadlog.flush(0.05))[1])
    first, second = logged("monitoring_data")
    assert first["monitoring_info"]["data_points"] == second["monitoring_info"]["data_points"]
    assert "ana@acme.com" not in json.dumps(first)


def test_the_command_serves_one_process_after_another(tmp_path: Path) -> None:
    """One per directory; it recovers the rings of killed processes, and ends cleanly."""
    command = [sys.executable, "-m", "leadlog", "drain"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert first.stderr is not None
        assert "draining" in first.stderr.readline()
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 3
        assert "another `leadlog drain` runs" in second.stderr
        script = (
            "import os, leadlog\n"
            "leadlog.configure(poll_seconds=10)\n"
            "leadlog.get_logger().info('one', number=1)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=False, timeout=30)
        assert until(lambda: LOG.is_dir() and numbers() == [1])
        first.send_signal(signal.SIGTERM)
        _, said = first.communicate(timeout=20)
        assert first.returncode == 0
        assert "ended" in said
    finally:
        first.kill()
        first.communicate()
    assert not any(one.in_ring for one in ring_reports(LOG.absolute()))

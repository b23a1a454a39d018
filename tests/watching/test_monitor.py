"""The monitor: restarts, rotation, standby, summaries, and a full disk."""

import json
import os
import subprocess
import sys
import threading

import pytest
import zstandard

from leadlog.core.clock import format_us
from leadlog.core.errors import ReadError
from leadlog.core.records import shape
from leadlog.monitor import Monitor, StandbyError
from leadlog.monitor.configuration import configure
from leadlog.monitor.figures.rolling import OPERATIONS
from leadlog.monitor.state import database_path

pytestmark = pytest.mark.handmade_lines

NOW = 1_795_428_000_000_000  # 2026-11-23T10:00:00Z
MINUTE = 60_000_000
QUICK = configure({"every": 1, "wait": 0, "rules": {"burn_rate": {"for": 0}}})


class Sink:
    """A channel that keeps titles."""

    name = "sink"

    def __init__(self):
        self.titles = []

    def send(self, title, body, severity):
        self.titles.append(title)


class Scene:
    """A log directory, a clock, a channel, and monitors of them."""

    def __init__(self, directory):
        self.directory, self.now, self.sink = directory, NOW, Sink()
        self.records, self.told, self.gauges = [], [], {}
        self.monitors = []

    def monitor(self, configuration=QUICK, **more):
        monitor = Monitor(
            self.directory,
            configuration=configuration,
            channels={"1": self.sink},
            checks=False,
            emit=lambda level, name, event: self.records.append((name, event)),
            clock=lambda: self.now,
            measure=lambda _: self.gauges,
            background=False,
            notice=self.told.append,
            **more,
        )
        self.monitors.append(monitor)
        return monitor

    def write(self, count, *, failed=False, name="2026-11-23.jsonl", at=None):
        path = self.directory / "database_operations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            for _ in range(count):
                event = shape.blank("database_operation")
                event["timestamp"] = format_us(self.now if at is None else at)
                event["operation_details"].update(
                    operation_type="add_lead", success=not failed, execution_time_ms=5.0
                )
                stream.write(json.dumps(event) + "\n")
        return path

    def counted(self, monitor):
        tally, now = monitor.figures.tallies.get(OPERATIONS), monitor.figures.now_minute
        return tally.sum(tally.total, now - 4000, now)

    def changes(self):
        return [
            (event["alerts"][0]["name"], event["alerts"][0]["state"])
            for name, event in self.records
            if name == "monitoring.alert"
        ]


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path / "database_logs")
    yield scene
    for monitor in scene.monitors:
        monitor.close()


def test_a_restart_goes_on_where_the_last_one_stopped(scene):
    """Nothing is counted twice, reported twice or forgotten."""
    first = scene.monitor()
    scene.write(100, failed=True)
    assert [one.rule for one in first.cycle().firing] == ["burn_rate", "burn_rate"]
    scene.now += MINUTE
    first.cycle()
    first.close()
    scene.write(50, failed=True)
    second = scene.monitor()
    for _ in range(5):
        scene.now += MINUTE
        report = second.cycle()
    assert scene.counted(second) == 150
    assert {one.label for one in report.firing} == {"fast", "slow"}
    assert scene.sink.titles == ["[leadlog] critical: burn_rate"]
    assert scene.changes() == [("burn_rate:fast", "firing"), ("burn_rate:slow", "firing")]


def test_rotation_compression_and_new_days_double_nothing(scene):
    """Segments, sealed files and a clock that is set back by an hour duplicate nothing."""
    monitor = scene.monitor()
    path = scene.write(10)
    monitor.cycle()
    scene.write(10, name="2026-11-23.1.jsonl")
    scene.write(10, name="2026-11-23.w1.jsonl")
    path.with_name(path.name + ".zst").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()
    monitor.cycle()
    scene.now -= 60 * MINUTE
    scene.write(10)
    path.unlink()  # recreating the same name would make another file
    monitor.cycle()
    monitor.close()
    scene.now += 60 * MINUTE
    again = scene.monitor()
    again.cycle()
    assert scene.counted(again) == 30


def test_a_second_monitor_stands_by_and_takes_over(scene):
    """It names the active process, and continues when that one ends."""
    first, second = scene.monitor(), scene.monitor()
    scene.write(10)
    first.cycle()
    with pytest.raises(StandbyError, match="watches"):
        second.cycle()
    first.close()
    scene.write(5)
    assert second.cycle().events == 5
    assert scene.counted(second) == 15


FORKING = """
import os, sys
from leadlog.monitor import Monitor

def monitor():
    return Monitor(sys.argv[1], channels={}, checks=False, measure=lambda _: {},
                   emit=lambda level, name, event: None)

first = monitor()
first.cycle()
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    os.read(reading, 1)
    first.close()
    os._exit(0)
first.close()
second = monitor()
print(second.cycle().behind)
second.close()
os.write(writing, b"x")
os.wait()
"""


def test_a_forked_child_does_not_hold_the_lock(scene):
    """Once the parent's monitor has ended, another may start while the child lives."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, scene.directory]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_run_waits_for_the_other_one(scene):
    """`run` stands by without ending, and becomes active as soon as possible."""
    first, second = scene.monitor(), scene.monitor()
    first.cycle()
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            first.close()
        if len(waits) == 4:
            second.stop()

    second.run(wait)
    assert waits == [2.0, 2.0, 1.0, 1.0]
    assert sum("standing by" in text for text in scene.told) == 1


def test_it_runs_in_a_thread_of_an_application(scene):
    """`with` starts it, and at the end it is closed and another may start."""
    scene.write(7)
    read = threading.Event()
    monitor = Monitor(
        scene.directory,
        configuration=QUICK,
        channels={},
        checks=False,
        emit=lambda level, name, event: read.set(),
        clock=lambda: NOW,
        measure=lambda _: {},
    )
    with monitor:
        assert read.wait(20)
    assert scene.monitor().cycle().events == 0


def test_alerts_that_fire_while_it_is_down_are_told_by_the_next(scene):
    """The past is read before rules are evaluated."""
    scene.write(100, at=NOW - 3000 * MINUTE, name="2026-11-21.jsonl")
    scene.write(100, failed=True)
    report = scene.monitor().cycle()
    assert "fast" in {one.label for one in report.firing}


def test_once_needs_no_patience(scene):
    """Every condition fires at once, since the next evaluation may be hours away."""
    scene.write(100, failed=True)
    slow = configure({"rules": {"burn_rate": {"for": "1h"}}})
    report = scene.monitor(slow).once()
    assert {one.label for one in report.firing} == {"fast", "slow"}
    assert scene.sink.titles == ["[leadlog] critical: burn_rate"]


def test_the_summary_of_a_day_is_written_after_it(scene):
    """It is written once, five minutes after midnight, as are missed ones."""
    scene.write(3, at=NOW)
    monitor = scene.monitor()
    monitor.cycle()
    folder = scene.directory / "monitoring_data"
    scene.now = NOW + 14 * 60 * MINUTE + 4 * MINUTE
    monitor.cycle()
    assert not (folder / "daily-summary-2026-11-23.json").exists()
    scene.now += 2 * MINUTE
    monitor.cycle()
    summary = json.loads((folder / "daily-summary-2026-11-23.json").read_text())
    assert summary["operation_summary"]["total_database_operations"] == 3
    (folder / "daily-summary-2026-11-23.json").unlink()
    scene.now += 2 * 1440 * MINUTE
    monitor.cycle()
    names = sorted(path.name for path in folder.glob("daily-summary-*"))
    assert names[-2:] == ["daily-summary-2026-11-24.json", "daily-summary-2026-11-25.json"]
    assert "daily-summary-2026-11-23.json" not in names


def test_a_database_that_cannot_be_written_stops_nothing(scene):
    """Alerts fire and are sent; once the database can be written, everything is stored."""
    monitor = scene.monitor()
    scene.write(10)
    monitor.cycle()
    connection = monitor.open().connection
    connection.execute("PRAGMA query_only = ON")
    for _ in range(6):
        scene.now += MINUTE
        for number in range(40):
            scene.write(3, failed=True, at=scene.now - number * MINUTE)
        monitor.cycle()
    assert scene.sink.titles == ["[leadlog] critical: burn_rate"]
    assert any("cannot write" in text for text in scene.told)
    connection.execute("PRAGMA query_only = OFF")
    monitor.cycle()
    total = scene.counted(monitor)
    monitor.close()
    again = scene.monitor()
    again.cycle()
    assert scene.counted(again) == total == 10 + 6 * 40 * 3
    assert scene.sink.titles == ["[leadlog] critical: burn_rate"]


def test_dropped_events_are_counted_from_the_first_look_on(scene):
    """Events dropped before the first evaluation are ignored; later ones cause an alert."""
    scene.write(1)
    scene.gauges = {"dropped_total": 500.0}
    monitor = scene.monitor()
    assert not monitor.cycle().firing
    scene.now += MINUTE
    scene.gauges = {"dropped_total": 507.0}
    (alert,) = monitor.cycle().firing
    assert (alert.rule, alert.value) == ("dropped_events", 7.0)


def test_a_damaged_state_is_an_error_that_says_what_to_do(scene):
    """It is not discarded automatically, since silences would be lost."""
    scene.directory.mkdir()
    database_path(scene.directory).write_bytes(b"no database" * 200)
    with pytest.raises(ReadError, match="move it away"):
        scene.monitor().cycle()


def test_each_minute_has_a_record_of_the_whole(scene):
    """The record has error rate and mean time of the last five minutes, and firing alerts."""
    scene.write(60)
    scene.write(40, failed=True)
    monitor = scene.monitor()
    monitor.cycle()
    monitor.cycle()
    (event,) = [event for name, event in scene.records if name == "monitoring.health_check"]
    assert event["system_health"]["error_rate_percent"] == 40.0
    assert event["system_health"]["average_response_time_ms"] == 5.0
    assert event["system_health"]["database_responsive"] is None
    assert {one["state"] for one in event["alerts"]} == {"firing"}

"""A monitor that is killed repeatedly counts each event once and sends each alert once."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leadlog.core.clock import format_us, now_us
from leadlog.core.records import shape
from leadlog.monitor import Monitor
from leadlog.monitor.configuration import configure
from leadlog.monitor.figures.rolling import OPERATIONS
from leadlog.monitor.notification.channels import channels
from tests.faults.monitored import QUICK

HERE = Path(__file__).parent
KILLS = 30 if os.environ.get("SOAK") else 3


class Writer(threading.Thread):
    """Writes lines to files of two categories, including new segments, until it is stopped."""

    def __init__(self, directory):
        super().__init__()
        self.directory, self.ended = directory, threading.Event()
        self.operations = self.errors = 0

    def run(self):
        draw = random.Random(5)
        segment = 0
        while not self.ended.wait(0.002):
            at, today = format_us(now_us()), format_us(now_us())[:10]
            if draw.random() < 0.01:
                segment += 1
            name = f"{today}.{segment}.jsonl" if segment else f"{today}.jsonl"
            event = shape.blank("database_operation")
            event["timestamp"] = at
            event["operation_details"].update(
                operation_type="add_lead", success=False, execution_time_ms=5.0
            )
            self._append("database_operations", name, event)
            self.operations += 1
            if draw.random() < 0.3:
                error = shape.blank("error_log")
                error["timestamp"] = at
                error["error_details"].update(fingerprint="abc", error_type="database_error")
                self._append("error_logs", f"{today}.jsonl", error)
                self.errors += 1

    def _append(self, category, name, event):
        path = self.directory / category / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as stream:
            stream.write(json.dumps(event).encode() + b"\n")


@pytest.mark.handmade_lines
@pytest.mark.timeout(1200)
def test_kills_lose_and_double_nothing(tmp_path, webhook):
    """For any moment of a SIGKILL, figures are exact, and no alert is repeated.

    Only the message in transit at the kill may arrive twice, and it says so.
    """
    directory = tmp_path / "database_logs"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *filter(None, sys.path)]),
        "LEADLOG_ALERTS_URLS": webhook.url,
    }
    writer, draw = Writer(directory), random.Random(3)
    writer.start()
    try:
        for _ in range(KILLS):
            command = [sys.executable, str(HERE / "monitored.py"), str(directory)]
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"started\n"
                writer.ended.wait(draw.uniform(0.0, 1.2))
                process.kill()
    finally:
        writer.ended.set()
        writer.join()
    monitor = Monitor(
        directory,
        configuration=configure(QUICK),
        channels=channels(webhook.url),
        checks=False,
        emit=lambda level, name, event: None,
        measure=lambda _: {},
    )
    report = monitor.once()
    tally, now = monitor.figures.tallies.get(OPERATIONS), monitor.figures.now_minute
    assert tally.sum(tally.total, now - 60, now) == writer.operations
    assert monitor.figures.latencies.window("add_lead", now - 60, now).n == writer.operations
    known = monitor.figures.fingerprints.known["abc"]
    assert sum(known.hours.values()) == writer.errors
    assert report.ignored == report.skipped == 0
    monitor.close()
    assert report.undelivered == 0
    assert set(webhook.titles) == {"[leadlog] critical: burn_rate"}
    again = ["was stopped while it sent" in text for _, text in webhook.messages]
    # A kill may precede the first contact with the server: the first message then says so already.
    assert again[1:] == [True] * (len(again) - 1)

"""Logging from within logging: no deadlock, no line lost, none out of order."""

import json
import os
import threading
from array import array
from typing import Any

import pytest

import leadlog
from leadlog.recording.sinks.spool import SpoolSink

SECONDS = 20 if os.environ.get("SOAK") else 1.5


@pytest.mark.handmade_lines
@pytest.mark.parametrize("kind", ["signals", "finalisers"])
def test_lines_logged_by_handlers_and_finalisers(log: Any, kind: str) -> None:
    """A signal handler at 5 kHz, or finalisers run by the collector, log into the same rings."""
    told = json.loads(log.run("reenter", log.notes, kind, SECONDS))
    assert told["inner"] > 100
    assert log.rings() == []
    assert log.balanced()


@pytest.mark.handmade_lines
def test_a_handler_that_raises_at_any_moment(log: Any) -> None:
    """The exception reaches the caller; acknowledged lines are there once and in order."""
    told = json.loads(log.run("reenter", log.notes, "interrupt", SECONDS))
    assert told["stops"] > 100
    assert told["accepted"] == told["written"]
    assert log.rings() == []
    found = log.found()  # checks the order
    assert found.torn == []
    there = found.numbers["main"]
    acknowledged = array("Q", log.notes.read_bytes())
    assert set(acknowledged) <= set(there)
    assert len(there) == len(set(there)) == told["written"]["error_logs"] + 1


def test_values_that_log_while_they_are_rendered(log: Any) -> None:
    """A `__repr__` that logs, one that raises, and dicts that another thread changes."""
    leadlog.configure(directory=log.path, sink=SpoolSink(log.path))
    logger = leadlog.get_logger()

    class Chatty:
        def __repr__(self) -> str:
            logger.info("inner.event")
            return "chatty"

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("on purpose")

    changing: dict[Any, Any] = {}
    going = threading.Event()
    going.set()

    def change() -> None:
        number = 0
        while going.is_set():
            changing[number % 100] = {"n": number}
            changing.pop((number + 50) % 100, None)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    cycle: list[Any] = []
    cycle.append(cycle)
    hostile = [Chatty(), Broken(), cycle, "\ud800", 1 << 200, float("nan"), b"\xff", {1: {2: 3}}]
    count = 300
    for number in range(count):
        logger.info("outer.event", value=hostile[number % len(hostile)], changing=changing)
    going.clear()
    thread.join()
    assert leadlog.flush(5)
    stats = leadlog.stats()
    assert stats.dropped == {}
    assert stats.failures == 0
    files = list((log.path / "monitoring_data").iterdir())
    records = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    names = [record["event_name"] for record in records]
    assert names.count("outer.event") == count
    assert names.count("inner.event") >= count // len(hostile)
    assert len(records) == stats.accepted["monitoring_data"] == stats.written["monitoring_data"]

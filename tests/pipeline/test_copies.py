"""Copies of loggers log like the original, in this process and in others."""

import copy
import json
import multiprocessing
import pickle
from pathlib import Path

import pytest

import leadlog


def _log_in_child(log, number):
    log.info("child", number=number)
    assert leadlog.flush()


def events(directory: Path) -> list[dict]:
    """Return the application's events, in order of their numbers."""
    assert leadlog.flush()
    lines = (
        line
        for path in (directory / "monitoring_data").glob("*.jsonl")
        for line in path.read_text().splitlines()
    )
    found = [json.loads(line) for line in lines]
    return [one for one in found if one["event_name"] in ("event", "child")]


@pytest.mark.parametrize(
    "twin_of",
    [
        copy.copy,
        copy.deepcopy,
        lambda log: copy.deepcopy({"log": log})["log"],
        lambda log: pickle.loads(pickle.dumps(log)),
    ],
    ids=["copy", "deepcopy", "deepcopy inside", "pickle"],
)
def test_a_copy_of_a_logger_logs_what_was_bound(tmp_path, twin_of):
    """A copy writes to the same pipeline, and keeps its context."""
    leadlog.configure(directory=tmp_path)
    twin_of(leadlog.get_logger().bind(job=7)).info("event")
    (event,) = events(tmp_path)
    assert '"job": 7' in json.dumps(event)


def test_a_copied_logger_follows_a_later_configure(tmp_path):
    """A pickled logger refers to the current pipeline of the process that unpickles it."""
    leadlog.configure(directory=tmp_path / "first")
    log = leadlog.get_logger()
    text = pickle.dumps(log)
    leadlog.configure(directory=tmp_path / "second")
    pickle.loads(text).info("event")
    copy.deepcopy(log).info("event")
    assert len(events(tmp_path / "second")) == 2


def test_a_pipeline_of_its_own_is_found_again(tmp_path):
    """Copies of a logger with a separate pipeline do not open a second one."""
    leadlog.configure(directory=tmp_path / "common")
    own = leadlog.DatabaseLogger(tmp_path / "own")
    try:
        for twin in (copy.copy(own), copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
            assert twin.directory == own.directory
            twin.log_monitoring_data("health_check", {})
        assert own._own.flush()
        (path,) = (tmp_path / "own" / "monitoring_data").glob("*.jsonl")
        assert len(path.read_text().splitlines()) == 3
    finally:
        own.close()


def test_a_logger_goes_to_a_spawned_child(tmp_path, monkeypatch):
    """multiprocessing pickles it; the child logs under its own settings."""
    monkeypatch.setenv("LEADLOG_DIRECTORY", str(tmp_path))
    leadlog.configure()
    log = leadlog.get_logger().bind(job=7)
    child = multiprocessing.get_context("spawn").Process(target=_log_in_child, args=(log, 1))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert [event["event_name"] for event in events(tmp_path)] == ["child"]

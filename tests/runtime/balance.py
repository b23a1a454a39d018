"""The check for every way of running: each accepted line is in the files exactly once, whole."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from leadlog.recording.pipeline.policy import finisher_of
from leadlog.recording.sinks.recover import recover
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.storage import MEMORY

Points = tuple[Any, ...]


def lines(directory: Path, *names: str) -> Counter[Points]:
    """Count the values of these data points over the events called `line`."""
    records = [
        json.loads(line)
        for folder in directory.iterdir()
        if not folder.name.startswith(".")
        for file in folder.iterdir()
        if file.suffix == ".jsonl"
        for line in file.read_bytes().splitlines()
    ]
    points = [r["monitoring_info"]["data_points"] for r in records if r["event_name"] == "line"]
    return Counter(tuple(point[name] for name in names) for point in points)


def balance(
    directory: Path, wanted: Iterable[Points], *names: str, memory: Path = MEMORY
) -> Counter[Points]:
    """Recover the events of killed processes; compare the files with the acknowledged events.

    Returns:
        The events in the files: none twice, none left in a ring, none dropped.
    """
    report = recover(directory, memory=memory, finisher_of=partial(finisher_of, key=""))
    assert report.errors == []
    seen = lines(directory, *names)
    assert set(seen.values()) <= {1}
    assert seen.keys() >= set(wanted)
    for one in ring_reports(directory, memory):
        assert (one.in_ring, one.dropped) == (0, {})
    return seen

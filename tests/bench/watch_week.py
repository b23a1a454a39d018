"""Run a monitor over a simulated week of a busy shop; print its speed, CPU time and memory.

    python watch_week.py DIRECTORY EVENTS_PER_HOUR

In each simulated hour the files of two writers grow, and the monitor reads them; after two days a
day's files are removed, as retention does. Only the monitor's own time is measured, and for
comparison that of decoding the lines alone.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import psutil

from leadlog.core.clock import format_us
from leadlog.core.records import shape
from leadlog.monitor import Monitor

START = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z
HOUR = 3_600_000_000
HOURS = 7 * 24
OPERATIONS = ("add_lead", "get_lead", "update_lead", "search_leads", "delete_lead")


def lines(at: int, count: int, draw: random.Random) -> bytes:
    """Yield the operations of an hour, with lines as long as real ones."""
    event = shape.blank("database_operation")
    event["level"], event["event_name"] = "info", "lead.add"
    event["lead_identifier"].update(lead_id="a" * 32, name="Ana Gómez", email="ana@acme.com")
    event["data_details"]["fields_changed"] = {
        name: {"new": "some value of a usual length"} for name in ("name", "company", "email")
    }
    details, labels = event["operation_details"], event["training_labels"]
    labels.update(performance_tier="excellent", data_quality_score=0.8, data_quality="high")
    made = []
    for number in range(count):
        event["timestamp"] = format_us(at + number * HOUR // count)
        event["event_id"] = f"{at + number:032x}"
        details.update(
            operation_id=f"{number:032x}",
            operation_type=draw.choice(OPERATIONS),
            success=draw.random() > 0.002,
            outcome="committed",
            execution_time_ms=draw.lognormvariate(1.5, 1.0),
        )
        made.append(orjson.dumps(event) + b"\n")
    return b"".join(made)


def main(directory: Path, per_hour: int) -> None:
    """Print the figures as JSON."""
    now = START
    monitor = Monitor(
        directory,
        channels={},
        checks=False,
        clock=lambda: now,
        emit=lambda level, name, event: None,
        measure=lambda _: {},
        background=False,
    )
    draw, process = random.Random(1), psutil.Process()
    folder = directory / "database_operations"
    folder.mkdir(parents=True)
    events, seconds, decoding = 0, 0.0, 0.0
    memory: list[float] = []
    alerts: set[Any] = set()
    for hour in range(HOURS):
        day = format_us(START + hour * HOUR)[:10]
        for writer in ("", ".w1"):
            data = lines(START + hour * HOUR, per_hour // 2, draw)
            with (folder / f"{day}{writer}.jsonl").open("ab") as stream:
                stream.write(data)
            began = time.process_time()
            for line in data.splitlines():
                orjson.loads(line)
            decoding += time.process_time() - began
        now = START + (hour + 1) * HOUR - 1
        began, behind = time.process_time(), True
        while behind:
            report = monitor.cycle()
            events += report.events
            behind = report.behind
        seconds += time.process_time() - began
        alerts |= {one.key for one in report.firing}
        if hour % 24 == 23:
            memory.append(process.memory_info().rss / 1e6)
            gone = format_us(START + (hour - 47) * HOUR)[:10]
            for path in folder.glob(f"{gone}*"):
                path.unlink()
    monitor.close()
    state = (directory / ".monitor.sqlite3").stat().st_size / 1e6
    print(
        json.dumps(
            {
                "events": events,
                "events_per_second": round(events / seconds),
                "times_decoding": round(seconds / decoding, 2),
                "memory_mb": memory,
                "state_mb": state,
                "firing": sorted(map(list, alerts)),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""A monitor as a separate process, whose clock and measurements are read line by line.

    python watcher.py DIRECTORY    < {"now": microseconds, "gauges": {…}} per line

Each line is answered with the alerts after that cycle. The channels are those of
LEADLOG_ALERTS_URLS.
"""

import json
import sys
from typing import Any

import apprise

import leadlog
from leadlog.monitor import Monitor

said: dict[str, Any] = {"now": 0, "gauges": {}}


def main(directory: str) -> None:
    """Run one cycle for each line of standard input."""
    leadlog.configure(directory=directory, poll_seconds=0.005)
    # Apprise pauses for seconds between two mails of one process; minutes pass faster here.
    apprise.NotifyBase.request_rate_per_sec = 0
    monitor = Monitor(
        directory,
        checks=False,
        clock=lambda: said["now"],
        measure=lambda _: dict(said["gauges"]),
        background=False,
        notice=lambda text: print(text, file=sys.stderr),
    )
    for line in sys.stdin:
        said.update(json.loads(line))
        report = monitor.cycle()
        while report.behind:
            report = monitor.cycle()
        leadlog.flush()
        states = {f"{one.rule}:{one.label}".rstrip(":"): one.state for one in report.alerts}
        print(json.dumps({"alerts": states, "events": report.events}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

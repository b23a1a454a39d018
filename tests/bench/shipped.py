"""Ship a log once; print the cost for this process, and the cost of JSON alone at this moment."""

import json
import resource
import sys
import time
from itertools import islice
from pathlib import Path

import orjson

from leadlog.cli.ship.run import collected_seldom
from leadlog.shipping import Shipper, from_url

LINES = 5000


def json_seconds(directory: Path) -> float:
    """Return the CPU seconds of reading and writing one record as JSON."""
    (path,) = (directory / "database_operations").glob("*.jsonl")
    with path.open("rb") as stream:
        lines = list(islice(stream, LINES))
    found = []
    for _ in range(3):
        before = time.process_time()
        for line in lines:
            orjson.dumps(orjson.loads(line))
        found.append((time.process_time() - before) / len(lines))
    return min(found)


def main() -> None:
    """Run with two arguments: the log directory and the URL."""
    directory, url = Path(sys.argv[1]), sys.argv[2]
    shipper = Shipper(directory, from_url(url, "plain"), notice=print)
    with collected_seldom():
        before = time.process_time()
        report = shipper.once(30.0)
        spent = time.process_time() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        base = json_seconds(directory)
    shipper.close()
    cost = {"sent": report.sent, "cpu_seconds": spent, "peak_mb": peak, "json_seconds": base}
    print(json.dumps(cost))


if __name__ == "__main__":
    main()

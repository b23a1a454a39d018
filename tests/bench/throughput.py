"""Log enriched events from four threads, as fast as they can, and print the results.

throughput.py DIRECTORY SECONDS [RING_BYTES]
"""

import itertools
import json
import sys
import threading
import time
from pathlib import Path

import psutil

import leadlog
from leadlog.recording.sinks.spool import SpoolSink
from leadlog.testing.leads import generate_leads

DIRECTORY, SECONDS = Path(sys.argv[1]), float(sys.argv[2])
RING_BYTES = int(sys.argv[3]) if len(sys.argv) > 3 else 1 << 20
RESULT = {"success": True, "records_affected": 1, "duplicate_detected": False}
METRICS = {
    "execution_time_ms": 150.5,
    "database_queries": 2,
    "memory_usage_mb": 25.3,
    "cpu_time_ms": 120.0,
}


def main() -> None:
    leads = [
        {"id": str(number), "name": lead.get("name") or "A B", **lead}
        for number, lead in enumerate(generate_leads(3000, seed=1))
    ]
    sink = SpoolSink(DIRECTORY / "logs", ring_bytes=RING_BYTES)
    leadlog.configure(directory=DIRECTORY / "logs", sink=sink)
    going = threading.Event()
    going.set()

    def work(start: int) -> None:
        log = leadlog.DatabaseLogger()
        for lead in itertools.islice(itertools.cycle(leads), start, None):
            if not going.is_set():
                return
            log.log_database_operation("add_lead", lead, RESULT, METRICS)

    process = psutil.Process()
    before = process.memory_info().rss
    threads = [threading.Thread(target=work, args=(700 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    peak = waiting = 0
    while time.monotonic() < begin + SECONDS:
        time.sleep(0.05)
        peak = max(peak, process.memory_info().rss)
        waiting = max(waiting, sum(sink.stats().in_ring.values()))
    drain = next(thread for thread in threading.enumerate() if thread.name == "leadlog-drain")
    used = next(one for one in process.threads() if one.id == drain.native_id)
    elapsed = time.monotonic() - begin
    going.clear()
    for thread in threads:
        thread.join()
    flushed = sink.flush(30)
    stats = sink.stats()
    written = sum(stats.written.values())
    size = sum(path.stat().st_size for path in (DIRECTORY / "logs").rglob("*.jsonl"))
    print(
        json.dumps(
            {
                "events_per_second": written / elapsed,
                "bytes_per_second": size / elapsed,
                "dropped": stats.dropped,
                "degraded": sum(stats.degraded.values()),
                "most_waiting": waiting,
                "grown_mb": (peak - before) / 1e6,
                "drain_cpu": (used.user_time + used.system_time) / elapsed,
                "all_written": flushed and written == sum(stats.accepted.values()),
            }
        )
    )
    leadlog.shutdown()


if __name__ == "__main__":
    main()

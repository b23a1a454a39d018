"""One of several processes that log small events until they are asked to stop.

    chatter.py DIRECTORY NAME

Prints the number of logged events.
"""

import sys
import threading
import time
from pathlib import Path

from leadlog.core.clock import format_us, now_us
from leadlog.recording.sinks.spool import SpoolSink


def main() -> None:
    directory, name = Path(sys.argv[1]), sys.argv[2]
    sink = SpoolSink(directory, segment_bytes=400_000)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    number = 0
    while not stop.is_set():
        text = (
            f'{{"timestamp":"{format_us(now_us())}","event_id":"{name}-{number:08d}",'
            f'"thread_name":"{"x" * (number % 900)}"}}\n'
        )
        assert sink.write("database_operations", text.encode())
        number += 1
        time.sleep(0.001)
    sink.close(30)
    print(number)


if __name__ == "__main__":
    main()

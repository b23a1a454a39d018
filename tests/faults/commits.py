"""Commits transactions until it is killed: notes what it intends, commits, logs, settles.

commits.py DIRECTORY DATABASE NAME SEED

The database is SQLite's, so that a kill cannot undo a commit, nor commit what was not.
"""

import os
import random
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path

from lines import commit_facts, finish, finisher_of

from leadlog.recording.sinks.spool import SpoolSink


def main() -> None:
    directory, database, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    rng = random.Random(int(sys.argv[4]))
    sink = SpoolSink(directory, finish=finish, finisher_of=finisher_of, policy=b"{}")
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY)")
    delay = rng.uniform(0.0, 0.05)

    def kill() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    number = 0
    while True:
        keys = [f"{name}-{number}-{at}" for at in range(rng.choice((1, 1, 3, 40)))]
        frames = [("database_operations", commit_facts(key)) for key in keys]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO rows VALUES (?)", [(key,) for key in keys])
        token = sink.intend(frames)
        connection.execute("COMMIT")
        for category, frame in frames:
            sink.write(category, frame)
        sink.settle(token)
        number += 1


if __name__ == "__main__":
    main()

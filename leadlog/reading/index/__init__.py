"""Where in the files the events of a row, a session or an id are, so that nobody searches them.

    <log directory>/.index/events.sqlite3     0600; deleting it costs the time to make it anew

An SQLite database in WAL mode: any number of processes read it while one adds to it, where a DuckDB
file admits one process in all. It knows each plain or compressed file up to the line where it
stopped, and goes on from there. Sealed days are not in it; they are asked in SQL.

Events are read from the log itself, never from here. An entry that does not lead to its event says
that a file was replaced, and the file is indexed anew.
"""

from leadlog.reading.index.opening import existing_index, open_index
from leadlog.reading.index.reading import MovedError, events_of_row, read_places
from leadlog.reading.index.store import EventLocation, Index
from leadlog.reading.index.updating import IndexUnavailableError, Progress

__all__ = [
    "EventLocation",
    "Index",
    "IndexUnavailableError",
    "MovedError",
    "Progress",
    "events_of_row",
    "existing_index",
    "open_index",
    "read_places",
]

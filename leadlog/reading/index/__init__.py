"""The index: positions of the events of a row, a session or an id, for lookups without a search.

    <log directory>/.index/events.sqlite3     0600; deleting it costs the time to rebuild it

It is an SQLite database in WAL mode: any number of processes read it while one adds to it, whereas
a DuckDB file admits only one process. It covers each plain or compressed file up to the line where
it stopped, and continues there. Sealed days are not in it; they are queried in SQL.

Events are always read from the log itself. An entry that does not lead to its event shows that a
file was replaced, and the file is indexed again.
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

"""The tables of the index, and statements that name all of their columns."""

from typing import Final

from leadlog.reading.index import numbers, rollups
from leadlog.reading.index.gather import COLUMNS

__all__ = [
    "COUNTED",
    "HAS_INDEXES",
    "INDEXES",
    "INSERT",
    "INSERT_MANY",
    "ROWS_AT_ONCE",
    "TABLES",
    "VERSION",
]

VERSION: Final = 4

TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, category TEXT NOT NULL, stem TEXT NOT NULL, inode INTEGER NOT NULL,
    whole INTEGER NOT NULL, size INTEGER NOT NULL, tail BLOB NOT NULL, damaged INTEGER NOT NULL,
    first_damaged INTEGER, UNIQUE (category, stem)
);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, duration INTEGER,
    score INTEGER, marks INTEGER, user INTEGER, event INTEGER, session INTEGER, key TEXT,
    unnamed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS pieces (
    file INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, added INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS mentions (key TEXT NOT NULL, event INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS addresses (
    address INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (address, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generation (name TEXT NOT NULL);
{numbers.TABLES}{rollups.TABLES}
"""
"""Events of one piece of a file have consecutive numbers; `event`, `session` and `address` are
hashes from `numbers`, so events with the same number are distinguished by reading the log. `added`
states whether a piece is in the roll-ups.
"""
INDEXES: Final = """
CREATE INDEX IF NOT EXISTS events_at ON events (at, kind, duration);
CREATE INDEX IF NOT EXISTS events_kind ON events (kind, at);
CREATE INDEX IF NOT EXISTS events_key ON events (key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_unnamed ON events (unnamed) WHERE unnamed = 1;
CREATE INDEX IF NOT EXISTS events_session ON events (session);
CREATE INDEX IF NOT EXISTS events_event ON events (event);
CREATE INDEX IF NOT EXISTS mentions_key ON mentions (key);
"""
HAS_INDEXES: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'mentions_key'"
COUNTED: Final = "SELECT at, kind, duration, score, marks FROM events WHERE id BETWEEN ? AND ?"
_ROW: Final = f"(?, ?{', ?' * len(COLUMNS)})"
_INSERT: Final = f"INSERT INTO events (id, file, {', '.join(COLUMNS)}) VALUES "  # noqa: S608 - ours
INSERT: Final = _INSERT + _ROW
ROWS_AT_ONCE: Final = 50
INSERT_MANY: Final = _INSERT + ", ".join([_ROW] * ROWS_AT_ONCE)
"""Has as few variables as any SQLite accepts; a quarter faster than one row at a time."""

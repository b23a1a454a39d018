"""The index's numbers of shared values: kinds, names and others."""

import hashlib
import sqlite3
from typing import Final
from zlib import crc32

import orjson

from leadlog.reading.index.columns import Kind

__all__ = ["TABLES", "Numbers", "address_number", "event_number", "session_number"]

_MOST_KINDS: Final = 5_000
_MOST_NAMES: Final = 20_000

TABLES: Final = """
CREATE TABLE IF NOT EXISTS kinds (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL UNIQUE, lot INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
"""
"""`lot` is the first kind of the same category and rate, by which durations are also added up."""


def event_number(event_id: str) -> int:
    """Return the number by which an event is looked up; few others have the same."""
    return crc32(event_id.encode())


def address_number(address: str) -> int:
    """Return the number by which an e-mail address is looked up in any case; few share it."""
    return crc32(address.casefold().encode())


def session_number(session_id: str) -> int:
    """Return a 63-bit number for a session, practically unique."""
    digest = hashlib.blake2b(session_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class Numbers:
    """The numbers of kinds and names; new ones are assigned within a transaction.

    Args:
        connection: to the index.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._kinds: dict[Kind, int] = {}
        self._lots: dict[tuple[str, float], int] = {}
        self.lot_of: dict[int, int] = {}
        """Number of the lot by number of the kind, for those requested so far."""
        self._names: dict[str, int] = {}

    def forget(self) -> None:
        """Discard all cached numbers: those of a transaction that was rolled back do not exist."""
        self._kinds.clear()
        self._lots.clear()
        self.lot_of.clear()
        self._names.clear()

    def kind(self, kind: Kind) -> int:
        """Return the number of a kind."""
        found = self._kinds.get(kind)
        return self._new_kind(kind) if found is None else found

    def _new_kind(self, kind: Kind) -> int:
        found = self._number("kinds", "kind", orjson.dumps([*kind]).decode(), _MOST_KINDS, kind)
        if found is None:
            kind = kind.lumped()
            found = self._number("kinds", "kind", orjson.dumps([*kind]).decode(), None, kind)
        assert found is not None  # without a limit there is always a number  # noqa: S101
        self._kinds[kind] = found
        self.lot_of[found] = self._lot(kind, found)
        return found

    def _lot(self, kind: Kind, number: int) -> int:
        """Return the number of a kind's lot, and store it if the kind is new."""
        (lot,) = self._execute("SELECT lot FROM kinds WHERE id = ?", (number,)).fetchone()
        if not lot:
            own = kind.category, kind.rate
            if own not in self._lots:
                for known, text in self._execute(
                    "SELECT id, kind FROM kinds WHERE id = lot ORDER BY id"
                ):
                    other = Kind(*orjson.loads(text))
                    self._lots.setdefault((other.category, other.rate), known)
            lot = self._lots.setdefault(own, number)
            self._execute("UPDATE kinds SET lot = ? WHERE id = ?", (lot, number))
        return int(lot)

    def lot(self, kind: int) -> int:
        """Return the number of a kind's lot by the kind's number."""
        found = self.lot_of.get(kind)
        if found is None:
            (found,) = self._execute("SELECT lot FROM kinds WHERE id = ?", (kind,)).fetchone()
            self.lot_of[kind] = found
        return int(found)

    def name(self, name: str) -> int | None:
        """Return the number of a name; None if it is new and the limit is reached."""
        found = self._names.get(name)
        if found is None:
            found = self._number("names", "name", name, _MOST_NAMES)
            if found is not None:
                self._names[name] = found
        return found

    def _number(
        self, table: str, column: str, text: str, most: int | None, kind: Kind | None = None
    ) -> int | None:
        """Return the number of a text; None if it is new and the limit is reached."""
        execute = self._execute
        row = execute(f"SELECT id FROM {table} WHERE {column} = ?", (text,)).fetchone()  # noqa: S608
        if row is not None:
            return int(row[0])
        (count,) = execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
        if most is not None and count >= most:
            return None
        columns = f"{column}, lot" if kind is not None else column
        values = "?, 0" if kind is not None else "?"
        cursor = execute(f"INSERT INTO {table} ({columns}) VALUES ({values})", (text,))  # noqa: S608
        return cursor.lastrowid

"""Updates of the index's database."""

import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from leadlog.core.errors import LeadlogError
from leadlog.core.files import open_file
from leadlog.core.layout import LogFile, log_files
from leadlog.core.locks import try_lock
from leadlog.core.places import modes_of
from leadlog.reading.events import open_content
from leadlog.reading.index import schema
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.gather import COLUMNS, Gatherer, IndexSource, Piece
from leadlog.reading.index.helpers import FilePart, Gathered, gathered, helpers_at_most, parts_of
from leadlog.reading.index.numbers import Numbers
from leadlog.reading.index.rollups import Rollup

__all__ = ["WAIT_SECONDS", "IndexUnavailableError", "IndexWriter", "Progress", "size_of"]

WAIT_SECONDS: Final = 30.0
"""Longest wait for other processes that write."""
_PIECE_BYTES: Final = 16 * 1024 * 1024
_MANY_BYTES: Final = 64 * 1024 * 1024
"""Size from which helper processes are used; each takes a quarter of a second to start."""
_PAUSE_SECONDS: Final = 0.1
_LOCK_NAME: Final = "events.lock"
_MOST_ADDRESSES: Final = 200_000

Progress = Callable[[int, int], None]
"""Function called with the bytes indexed so far and in total."""


class IndexUnavailableError(LeadlogError):
    """The index cannot be created or read; the log itself can."""


class _State(NamedTuple):
    """The stored state of a file: columns of `files`, from `id` on without the name."""

    id: int
    inode: int
    whole: int
    size: int
    tail: bytes


class _Seen:
    """Tracks how much of the log is indexed, for a caller that shows progress."""

    def __init__(self, files: Iterable[LogFile], progress: Progress | None) -> None:
        self._sizes = {file.path: size_of(file.path) for file in files}
        self._progress = progress
        self._by_file: dict[Path, int] = {}
        self._done = 0
        self._total = sum(self._sizes.values())

    def count(self, file: LogFile, size: int) -> None:
        """Record how much of a file is indexed."""
        size = min(size, self._sizes[file.path])
        self._done += size - self._by_file.get(file.path, 0)
        self._by_file[file.path] = size

    def tell(self, file: LogFile, size: int) -> None:
        """Record how much of a file is indexed, and report progress."""
        self.count(file, size)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def tell_pending(self, size: int) -> None:
        """Report that another process has this many bytes left to index."""
        if self._progress is not None:
            self._progress(max(self._total - size, 0), self._total)


class IndexWriter:
    """Updates an index.

    Args:
        connection: Connection to its database.
        directory: The log directory.
        path: Path of its database.
    """

    def __init__(self, connection: sqlite3.Connection, directory: Path, path: Path) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._directory = directory
        self._path = path
        self._gatherer = Gatherer()
        self._numbers = Numbers(connection)
        self._addresses: set[tuple[int, str]] = set()

    def prepare(self) -> None:
        """Create the tables if they are missing or of another version.

        Raises:
            sqlite3.Error: The tables cannot be created.
        """
        execute = self._execute
        if execute("PRAGMA user_version").fetchone() != (schema.VERSION,):
            with self._transaction():
                # Another process may have created them while this one waited for the lock.
                if execute("PRAGMA user_version").fetchone() != (schema.VERSION,):
                    for (table,) in execute(
                        "SELECT name FROM sqlite_schema "
                        "WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                    ).fetchall():
                        execute(f'DROP TABLE IF EXISTS "{table}"')
                    execute(f"PRAGMA user_version = {schema.VERSION}")
        self._connection.executescript(schema.TABLES)
        with self._transaction():
            if execute("SELECT 1 FROM generation").fetchone() is None:
                self._begin_generation()

    def _begin_generation(self) -> None:
        """Start a new generation, so that followers of the index notice that numbers changed."""
        self._execute("DELETE FROM generation")
        self._execute("INSERT INTO generation VALUES (?)", (secrets.token_hex(4),))

    def catch_up(self, progress: Progress | None) -> None:
        """Bring the index up to date; see `Index.catch_up`."""
        files = [file for file in log_files(self._directory) if not file.archived]
        files.reverse()  # newest first, because it is needed first
        try:
            self._forget_all_but(files)
            seen = _Seen(files, progress)
            if self.pending(files) >= _MANY_BYTES and (helpers := helpers_at_most()):
                self._add_together(files, helpers, seen)
                self._execute(f"PRAGMA threads = {helpers}")  # to sort for the indexes
            for file in files:
                for size in self._add(file):
                    seen.tell(file, size)
                seen.count(file, sys.maxsize)
            if self._execute(schema.HAS_INDEXES).fetchone() is None:
                self._connection.executescript(schema.INDEXES)
        except sqlite3.Error as error:
            self._forget_numbers()
            raise IndexUnavailableError(f"cannot write the index: {error}") from error
        except BaseException:
            self._forget_numbers()
            raise

    def _forget_numbers(self) -> None:
        self._numbers.forget()
        self._addresses.clear()

    def pending(self, files: Iterable[LogFile]) -> int:
        """Return the approximate number of bytes of some files that are not in the index."""
        known = {
            (category, stem): size
            for category, stem, size in self._execute(
                "SELECT category, stem, CASE WHEN whole THEN 9223372036854775807 ELSE size END "
                "FROM files"
            )
        }
        return sum(
            max(size_of(file.path) - known.get((file.category, file.stem), 0), 0) for file in files
        )

    def _forget_all_but(self, files: list[LogFile]) -> None:
        there = {(file.category, file.stem) for file in files}
        known = self._execute("SELECT id, category, stem FROM files").fetchall()
        gone = [number for number, *name in known if tuple(name) not in there]
        if gone:
            with self._transaction():
                for number in gone:
                    self._forget(number)

    def _forget(self, number: int) -> None:
        execute = self._execute
        rollup = Rollup(self._numbers.lot)
        for first, last, added in execute(
            "SELECT first, last, added FROM pieces WHERE file = ?", (number,)
        ).fetchall():
            if added:
                rollup.add(execute(schema.COUNTED, (first, last)))
            execute("DELETE FROM mentions WHERE event BETWEEN ? AND ?", (first, last))
            execute("DELETE FROM events WHERE id BETWEEN ? AND ?", (first, last))
        rollup.write(self._connection, -1)
        execute("DELETE FROM pieces WHERE file = ?", (number,))
        execute("DELETE FROM files WHERE id = ?", (number,))

    def add_up(self) -> None:
        """Update the roll-ups; see `Index.add_up`."""
        try:
            files = self._execute(
                "SELECT DISTINCT file FROM pieces WHERE NOT added ORDER BY file"
            ).fetchall()
            for file in files:
                with self._transaction():
                    rollup = Rollup(self._numbers.lot)
                    for piece in self._execute(
                        "SELECT first, last FROM pieces WHERE file = ? AND NOT added", file
                    ).fetchall():
                        rollup.add(self._execute(schema.COUNTED, piece))
                    rollup.write(self._connection)
                    self._execute("UPDATE pieces SET added = 1 WHERE file = ?", file)
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot write the index: {error}") from error

    def forget(self, file: LogFile) -> None:
        """Forget a file; see `Index.forget`."""
        try:
            with self._transaction():
                state = self._state(file)
                if state is not None:
                    self._forget(state.id)
                    self._begin_generation()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot write the index: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run `BEGIN IMMEDIATE`, so that data read in the block are unchanged when it writes."""
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._execute("ROLLBACK")
            raise

    def _state(self, file: LogFile) -> _State | None:
        row = self._execute(
            "SELECT id, inode, whole, size, tail FROM files WHERE category = ? AND stem = ?",
            (file.category, file.stem),
        ).fetchone()
        return None if row is None else _State(*row)

    def _add_together(self, files: list[LogFile], helpers: int, seen: _Seen) -> None:
        """Index the pieces gathered by other processes; missing ones are left to `_add`."""
        path = self._path.with_name(_LOCK_NAME)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            fd = open_file(path, flags, modes_of(self._directory)[0])
        except OSError as error:
            raise IndexUnavailableError(f"cannot open {path}: {error}") from error
        try:
            if not self._is_first(fd, files, seen):
                return
            parts = list(self._parts(files))
            reached = {part.file.path: part.start for part in reversed(parts)}
            early: dict[tuple[Path, int], Gathered] = {}
            with gathered(parts, helpers) as found:
                for one in found:
                    file = one.part.file
                    if one.piece is not None or file.compressed:
                        early[file.path, one.start] = one
                    while (own := early.pop((file.path, reached[file.path]), None)) is not None:
                        size = self._add_gathered(own)
                        reached[file.path] = -1 if size is None else size
                        if size is not None:
                            seen.tell(file, size)
        finally:
            os.close(fd)

    def _is_first(self, fd: int, files: list[LogFile], seen: _Seen) -> bool:
        """Wait while another process does the same; return False if it makes no progress."""
        pending, until = -1, 0.0
        while True:
            with suppress(OSError):  # without support for locks both may
                if not try_lock(fd):
                    now = time.monotonic()
                    if pending != (left := self.pending(files)):
                        pending, until = left, now + WAIT_SECONDS
                    elif now > until:
                        return False
                    seen.tell_pending(left)
                    time.sleep(_PAUSE_SECONDS)
                    continue
            return True

    def _parts(self, files: list[LogFile]) -> Iterator[FilePart]:
        for file in files:
            state, inode = self._state(file), _inode_of(file)
            if state is None or (state.inode == inode and not state.whole):
                with suppress(OSError):
                    yield from parts_of(file, 0 if state is None else state.size)

    def _add_gathered(self, one: Gathered) -> int | None:
        """Write a gathered piece and return the offset reached; None if no further piece fits."""
        file, inode = one.part.file, one.part.inode
        with self._transaction():
            state = self._state(file)
            if state is None and not one.start:
                state = self._begin(file, inode)
            if state is None or (state.inode, state.size) != (_inode_of(file), one.start):
                return None  # it was replaced, or another process wrote first
            if one.piece is None:
                self._execute("UPDATE files SET whole = 1 WHERE id = ?", (state.id,))
                return None
            self._write(state.id, one.piece)
            return one.piece.end

    def _add(self, file: LogFile) -> Iterator[int]:
        """Index a file piece by piece; yield the number of bytes indexed so far."""
        try:
            found = file.path.stat()
        except FileNotFoundError:  # compressed or removed: it is indexed in its new form
            return
        state = self._state(file)
        if state is not None and state.inode == found.st_ino:
            done = bool(state.whole) if file.compressed else state.size == found.st_size
            if done:
                return
        with open_content(file.path) as stream:
            while True:
                with self._transaction():
                    own = self._current(file, found.st_ino, stream)
                    size = self._add_piece(file, own, stream)
                    if size == own.size:
                        if file.compressed:
                            sql = "UPDATE files SET whole = 1 WHERE id = ?"
                            self._execute(sql, (own.id,))
                        return
                yield size

    def _current(self, file: LogFile, inode: int, stream: BinaryIO) -> _State:
        """Return the state of a file to continue from; a new one if the file was replaced."""
        state = self._state(file)
        if state is not None:
            # A compressed file has the same content as the plain one, so its locations remain
            # valid.
            if (state.inode == inode or file.compressed) and _goes_on(stream, state):
                if state.inode != inode:
                    sql = "UPDATE files SET inode = ? WHERE id = ?"
                    self._execute(sql, (inode, state.id))
                return state
            self._forget(state.id)
            self._begin_generation()
        return self._begin(file, inode)

    def _begin(self, file: LogFile, inode: int) -> _State:
        cursor = self._execute(
            "INSERT INTO files (category, stem, inode, whole, size, tail, damaged) "
            "VALUES (?, ?, ?, 0, 0, x'', 0)",
            (file.category, file.stem, inode),
        )
        return _State(cursor.lastrowid or 0, inode, 0, 0, b"")

    def _add_piece(self, file: LogFile, state: _State, stream: BinaryIO) -> int:
        source = IndexSource(file.category, file.path, stream)
        piece = self._gatherer.gather(source, state.size, _PIECE_BYTES)
        if piece.end > state.size:
            self._write(state.id, piece)
        return piece.end

    def _write(self, file: int, piece: Piece) -> None:
        # Numbers are never reused, so that a follower of the index can continue from one.
        first = self._last() + 1
        count = len(piece.columns[0])
        numbers = self._numbers
        kinds = [numbers.kind(Kind(*kind)) for kind in piece.kinds]
        names = [*map(numbers.name, piece.names), None]  # the last one is for -1
        columns: dict[str, Iterable[Any]] = dict(zip(COLUMNS, piece.columns, strict=True))
        columns["kind"] = map(kinds.__getitem__, columns["kind"])
        columns["marks"] = map(names.__getitem__, columns["marks"])
        columns["user"] = map(names.__getitem__, columns["user"])
        rows = zip(range(first, first + count), repeat(file), *columns.values(), strict=False)
        write = self._connection.executemany
        write(
            schema.INSERT_MANY,
            (
                tuple(chain.from_iterable(islice(rows, schema.ROWS_AT_ONCE)))
                for _ in range(count // schema.ROWS_AT_ONCE)
            ),
        )
        write(schema.INSERT, rows)
        write(
            "INSERT INTO mentions (key, event) VALUES (?, ?)",
            ((key, first + place) for place, keys in piece.mentions for key in keys),
        )
        new = piece.addresses - self._addresses
        write("INSERT OR IGNORE INTO addresses VALUES (?, ?)", sorted(new))
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        self._addresses |= new
        self._execute("INSERT INTO pieces VALUES (?, ?, ?, 0)", (file, first, first + count - 1))
        self._execute(
            "UPDATE files SET size = ?, tail = ?, damaged = damaged + ?, "
            "first_damaged = coalesce(first_damaged, ?) WHERE id = ?",
            (piece.end, piece.tail, piece.damaged, piece.first_damaged, file),
        )

    def _last(self) -> int:
        sql = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
        row = self._execute(sql).fetchone()
        return 0 if row is None else int(row[0])


def _goes_on(stream: BinaryIO, state: _State) -> bool:
    """Return whether a file still ends its indexed part as before, so was not rewritten."""
    start = state.size - len(state.tail)
    stream.seek(start)
    return stream.read(len(state.tail)) == state.tail


def _inode_of(file: LogFile) -> int | None:
    try:
        return file.path.stat().st_ino
    except OSError:
        return None


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

"""The database of the index: made, brought up to date, asked."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from leadlog.core.databases import Database
from leadlog.core.errors import LeadlogError
from leadlog.core.files import make_folder
from leadlog.core.layout import LogFile, log_files
from leadlog.core.places import INDEX, modes_of
from leadlog.reading.events import Skipped, open_content
from leadlog.reading.index import schema
from leadlog.reading.index.gather import IndexSource, Piece
from leadlog.reading.index.numbers import Numbers, address_number, event_number, session_number
from leadlog.reading.index.rollups import Rollup

__all__ = ["NAME", "EventLocation", "Index", "IndexUnavailableError", "Progress", "size_of"]

NAME: Final = "events.sqlite3"
"""Of the database, in the folder of the index."""
_WAIT_SECONDS: Final = 30.0
_PIECE_BYTES: Final = 16 * 1024 * 1024
_TAIL_BYTES: Final = 64

Progress = Callable[[int, int], None]
"""Called with the bytes indexed so far and in all."""


class IndexUnavailableError(LeadlogError):
    """The index cannot be made or read; the log itself can."""


class EventLocation(NamedTuple):
    """Where an event is.

    Attributes:
        file: which log file.
        offset: of its first byte in the file's content.
        length: of its line with the newline, in bytes.
        at: when the event was, microseconds since 1970.
    """

    file: LogFile
    offset: int
    length: int
    at: int


class _State(NamedTuple):
    """What the index knows of a file: its columns in `files`, from `id` on without the name."""

    id: int
    inode: int
    whole: int
    size: int
    tail: bytes


class Index(Database):
    """An open index; a context manager.

    Args:
        directory: the log directory.
        folder: where the index lies; the log directory's own folder for it by default.

    Attributes:
        path: of its database.

    Raises:
        IndexUnavailableError: it cannot be opened.
    """

    def __init__(
        self, directory: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None
    ) -> None:
        self._directory = Path(directory)
        folder = self._directory / INDEX if folder is None else Path(folder)
        path = folder / NAME
        self._minutes: dict[str, int] = {}
        try:
            files, folders = modes_of(self._directory)
            make_folder(folder, folders, parents=False)
            super().__init__(path, files, seconds=_WAIT_SECONDS, autocommit=True)
        except (OSError, sqlite3.Error) as error:
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error
        self._execute = self.connection.execute
        self._numbers = Numbers(self.connection)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error

    def _prepare(self) -> None:
        execute = self._execute
        (version,) = execute("PRAGMA user_version").fetchone()
        if version != schema.VERSION:
            execute("BEGIN IMMEDIATE")
            for (table,) in execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall():
                execute(f'DROP TABLE IF EXISTS "{table}"')
            execute(f"PRAGMA user_version = {schema.VERSION}")
            execute("COMMIT")
        self.connection.executescript(schema.TABLES)
        with self._transaction():
            if execute("SELECT 1 FROM generation").fetchone() is None:
                self._begin_generation()

    def _begin_generation(self) -> None:
        """Let those who follow the index know that events have other numbers now."""
        self._execute("DELETE FROM generation")
        self._execute("INSERT INTO generation VALUES (?)", (secrets.token_hex(4),))

    # ------------------------------------------------------------------------ brought up to date

    def catch_up(self, progress: Progress | None = None) -> None:
        """Index what was written since, and forget files that are gone or were replaced.

        Any number of processes may do so at a time: each takes turns with the others.

        Args:
            progress: is called after each piece.

        Raises:
            IndexUnavailableError: the database cannot be written.
            ReadError: a log file cannot be read.
        """
        files = [file for file in log_files(self._directory) if not file.archived]
        sizes = {file.path: size_of(file.path) for file in files}
        total, done = sum(sizes.values()), 0
        try:
            self._forget_all_but(files)
            # The newest first: what people look at is there soon.
            for file in reversed(files):
                for size in self._add(file):
                    if progress is not None:
                        progress(done + min(size, sizes[file.path]), total)
                done += sizes[file.path]
            if self._execute(schema.HAS_INDEXES).fetchone() is None:
                self.connection.executescript(schema.INDEXES)
        except sqlite3.Error as error:
            self._numbers.forget()
            raise IndexUnavailableError(f"cannot write the index: {error}") from error
        except BaseException:
            self._numbers.forget()
            raise

    def pending_bytes(self) -> int:
        """Return how much of the log is not in the index, about."""
        known = {
            (category, stem): size
            for category, stem, size in self._execute(
                "SELECT category, stem, CASE WHEN whole THEN 9223372036854775807 ELSE size END "
                "FROM files"
            )
        }
        return sum(
            max(size_of(file.path) - known.get((file.category, file.stem), 0), 0)
            for file in log_files(self._directory)
            if not file.archived
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
        rollup.write(self.connection, -1)
        execute("DELETE FROM pieces WHERE file = ?", (number,))
        execute("DELETE FROM files WHERE id = ?", (number,))

    def add_up(self) -> None:
        """Add what was indexed to the roll-ups that figures are made of, file by file.

        Raises:
            IndexUnavailableError: the database cannot be written.
        """
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
                    rollup.write(self.connection)
                    self._execute("UPDATE pieces SET added = 1 WHERE file = ?", file)
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot write the index: {error}") from error

    def forget(self, file: LogFile) -> None:
        """Forget what is known of a file, so that it is indexed anew.

        Raises:
            IndexUnavailableError: the database cannot be written.
        """
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
        """`BEGIN IMMEDIATE`, so that what is read in it is still so when it is written."""
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

    def _add(self, file: LogFile) -> Iterator[int]:
        """Index a file piece by piece; yields how much of it is indexed."""
        try:
            found = file.path.stat()
        except FileNotFoundError:  # compressed or removed since: it is met in its new form
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
        """Return the state of a file to go on from, a new one where it was replaced."""
        state = self._state(file)
        if state is not None:
            # A compressed file has the content of the plain one, so its places stay.
            if (state.inode == inode or file.compressed) and _goes_on(stream, state):
                if state.inode != inode:
                    sql = "UPDATE files SET inode = ? WHERE id = ?"
                    self._execute(sql, (inode, state.id))
                return state
            self._forget(state.id)
            self._begin_generation()
        cursor = self._execute(
            "INSERT INTO files (category, stem, inode, whole, size, tail, damaged) "
            "VALUES (?, ?, ?, 0, 0, x'', 0)",
            (file.category, file.stem, inode),
        )
        return _State(cursor.lastrowid or 0, inode, 0, 0, b"")

    def _add_piece(self, file: LogFile, state: _State, stream: BinaryIO) -> int:
        piece = Piece(self._numbers, self._minutes)
        source = IndexSource(state.id, file.category, file.path, stream)
        piece.read(source, state.size, _PIECE_BYTES)
        if piece.end == state.size:
            return state.size
        # Numbers are never reused, so that a follower of the index can continue from one.
        last = self._last()
        write = self.connection.executemany
        write(schema.INSERT, [(last + place, *row) for place, row in enumerate(piece.rows, 1)])
        write(
            "INSERT INTO mentions (key, event) VALUES (?, ?)",
            ((key, last + place + 1) for place, keys in piece.mentions for key in keys),
        )
        write("INSERT OR IGNORE INTO addresses VALUES (?, ?)", sorted(piece.addresses))
        self._execute(
            "INSERT INTO pieces VALUES (?, ?, ?, 0)", (state.id, last + 1, last + len(piece.rows))
        )
        start = max(piece.end - _TAIL_BYTES, 0)
        stream.seek(start)
        skipped = piece.skipped
        self._execute(
            "UPDATE files SET size = ?, tail = ?, damaged = damaged + ?, "
            "first_damaged = coalesce(first_damaged, ?) WHERE id = ?",
            (
                piece.end,
                stream.read(piece.end - start),
                skipped.lines,
                skipped.places[0][1] if skipped.lines else None,
                state.id,
            ),
        )
        return piece.end

    def _last(self) -> int:
        sql = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
        row = self._execute(sql).fetchone()
        return 0 if row is None else int(row[0])

    # -------------------------------------------------------------------------------------- asked

    def of_row(self, key: str) -> list[EventLocation]:
        """Return the events that name a row, or may be about it without naming any, in time order.

        Args:
            key: the primary key as text.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places(
            "SELECT id FROM events WHERE key = :text UNION "
            "SELECT event FROM mentions WHERE key = :text UNION "
            "SELECT id FROM events WHERE unnamed = 1",
            key,
        )

    def of_session(self, session_id: str) -> list[EventLocation]:
        """Return the events of a session in time order; others, too, but hardly ever.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        number = session_number(session_id)
        return self._places("SELECT id FROM events WHERE session = :text", number)

    def of_event(self, event_id: str) -> list[EventLocation]:
        """Return the events with an id; others, too, but seldom.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places("SELECT id FROM events WHERE event = :text", event_number(event_id))

    def with_address(self, address: str) -> list[str]:
        """Return keys of rows that may have had an e-mail address, in whatever case.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return [
            key
            for (key,) in self.ask(
                "SELECT key FROM addresses WHERE address = ?", (address_number(address),)
            )
        ]

    def of_numbers(self, numbers: Collection[int]) -> dict[int, EventLocation]:
        """Return the events with some numbers; those that are gone are left out.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        files = self._files()
        rows = self.ask(
            "SELECT events.id, category, stem, offset, length, at FROM json_each(?) "
            "JOIN events ON events.id = value JOIN files ON files.id = file",
            (orjson.dumps([*numbers]).decode(),),
        )
        return {
            number: EventLocation(files[category, stem], *rest)
            for number, category, stem, *rest in rows
            if (category, stem) in files
        }

    def ask(
        self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query; `leadlog.reading.index.figures` has those there are.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        try:
            return self._execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error

    def _files(self) -> dict[tuple[str, str], LogFile]:
        """Return the files that were sealed since, from SQL."""
        return {
            (file.category, file.stem): file
            for file in log_files(self._directory)
            if not file.archived
        }

    def _places(self, rows: str, text: str | int) -> list[EventLocation]:
        files = self._files()
        found = self.ask(
            "SELECT category, stem, offset, length, at FROM events "  # noqa: S608 - ours
            f"JOIN files ON files.id = file WHERE events.id IN ({rows}) "
            "ORDER BY at, file, offset",
            {"text": text},
        )
        return [
            EventLocation(files[category, stem], *rest)
            for category, stem, *rest in found
            if (category, stem) in files
        ]

    def keys(self, most: int) -> list[str]:
        """Return some of the keys of rows.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        try:
            return [
                key
                for (key,) in self._execute(
                    "SELECT DISTINCT key FROM events WHERE key IS NOT NULL LIMIT ?", (most,)
                )
            ]
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error

    def count_damaged(self, categories: tuple[str, ...], skipped: Skipped) -> None:
        """Add the lines of some categories that are not events, as their readers count them.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        files = {
            (file.category, file.stem): file for file in log_files(self._directory, categories)
        }
        try:
            rows = self._execute(
                "SELECT category, stem, damaged, first_damaged FROM files WHERE damaged > 0"
            ).fetchall()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error
        for category, stem, damaged, first in sorted(rows):
            file = files.get((category, stem))
            if file is not None and not file.archived:
                skipped.damaged(file.path, first)
                skipped.lines += damaged - 1


def _goes_on(stream: BinaryIO, state: _State) -> bool:
    """Return whether a file still has what was indexed last, so that it was not written anew."""
    start = state.size - len(state.tail)
    stream.seek(start)
    return stream.read(len(state.tail)) == state.tail


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 for one that is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

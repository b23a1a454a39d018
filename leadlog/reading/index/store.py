"""The database of the index: made, brought up to date, asked."""

import os
import secrets
import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self

import orjson

from leadlog.core.errors import LeadlogError
from leadlog.core.files import make_folder, open_file
from leadlog.core.layout import LogFile, log_files
from leadlog.core.places import INDEX, modes_of
from leadlog.reading.events import Event, LineReader, Skipped, open_content
from leadlog.reading.index import rollups
from leadlog.reading.index.columns import (
    Kind,
    duration_of,
    kind_of,
    microseconds_of,
    rows_of,
    score_of,
    signature_of,
    user_of,
)
from leadlog.reading.index.rollups import Rollup

__all__ = ["NAME", "EventLocation", "Index", "IndexUnavailableError", "Progress", "size_of"]

NAME: Final = "events.sqlite3"
"""Of the database, in the folder of the index."""
_VERSION: Final = 2
_WAIT_SECONDS: Final = 30.0
_PIECE_BYTES: Final = 16 * 1024 * 1024
_TAIL_BYTES: Final = 64

Progress = Callable[[int, int], None]
"""Is told how many bytes are indexed, and of how many."""

_MOST_KINDS: Final = 5_000
_MOST_NAMES: Final = 20_000

_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, category TEXT NOT NULL, stem TEXT NOT NULL, inode INTEGER NOT NULL,
    whole INTEGER NOT NULL, size INTEGER NOT NULL, tail BLOB NOT NULL, damaged INTEGER NOT NULL,
    first_damaged INTEGER, UNIQUE (category, stem)
);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, duration INTEGER,
    score INTEGER, marks INTEGER, user INTEGER, event_id TEXT, session_id TEXT, key TEXT,
    unnamed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS mentions (key TEXT NOT NULL, event INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS kinds (id INTEGER PRIMARY KEY, kind TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS generation (name TEXT NOT NULL);
{rollups.TABLES}
"""
_INDEXES: Final = """
CREATE INDEX IF NOT EXISTS events_at ON events (at, kind, duration);
CREATE INDEX IF NOT EXISTS events_kind ON events (kind, at);
CREATE INDEX IF NOT EXISTS events_key ON events (key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_unnamed ON events (unnamed) WHERE unnamed = 1;
CREATE INDEX IF NOT EXISTS events_session ON events (session_id);
CREATE INDEX IF NOT EXISTS events_event ON events (event_id);
CREATE INDEX IF NOT EXISTS events_file ON events (file);
CREATE INDEX IF NOT EXISTS mentions_key ON mentions (key);
"""
_HAS_INDEXES: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'mentions_key'"


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


class Index:
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
        self.path = path = folder / NAME
        self._kinds: dict[Kind, int] = {}
        self._signatures: dict[tuple[Any, ...], int] = {}
        self._names: dict[str, int] = {}
        try:
            files, folders = modes_of(self._directory)
            make_folder(folder, folders, parents=False)
            # SQLite gives its other files the rights of this one.
            os.close(open_file(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files))
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error
        # Who mounts the dashboard in an application of their own has no place to close it.
        self._finalizer = weakref.finalize(self, self._connection.close)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA secure_delete = ON")
        (version,) = execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            execute("BEGIN IMMEDIATE")
            for table in (
                *("files", "events", "mentions", "kinds", "names", "generation"),
                *("counts", "latencies", "scores"),
            ):
                execute(f"DROP TABLE IF EXISTS {table}")
            execute(f"PRAGMA user_version = {_VERSION}")
            execute("COMMIT")
        self._connection.executescript(_TABLES)
        with self._transaction():
            if execute("SELECT 1 FROM generation").fetchone() is None:
                self._begin_generation()

    def _begin_generation(self) -> None:
        """Let those who follow the index know that events have other numbers now."""
        self._connection.execute("DELETE FROM generation")
        self._connection.execute("INSERT INTO generation VALUES (?)", (secrets.token_hex(4),))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a second time does nothing."""
        self._finalizer()

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
            if self._connection.execute(_HAS_INDEXES).fetchone() is None:
                self._connection.executescript(_INDEXES)
        except sqlite3.Error as error:
            self._forget_numbers()
            raise IndexUnavailableError(f"cannot write the index: {error}") from error
        except BaseException:
            self._forget_numbers()
            raise

    def _forget_numbers(self) -> None:
        """Look the numbers up again: those of a transaction that was rolled back are gone."""
        self._kinds.clear()
        self._signatures.clear()
        self._names.clear()

    def pending_bytes(self) -> int:
        """Return how much of the log is not in the index, about."""
        known = {
            (category, stem): size
            for category, stem, size in self._connection.execute(
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
        known = self._connection.execute("SELECT id, category, stem FROM files").fetchall()
        gone = [number for number, *name in known if tuple(name) not in there]
        if gone:
            with self._transaction():
                for number in gone:
                    self._forget(number)

    def _forget(self, number: int) -> None:
        execute = self._connection.execute
        rollup = Rollup()
        rollup.add(
            execute("SELECT at, kind, duration, score, marks FROM events WHERE file = ?", (number,))
        )
        rollup.write(self._connection, -1)
        execute(
            "DELETE FROM mentions WHERE event IN (SELECT id FROM events WHERE file = ?)",
            (number,),
        )
        execute("DELETE FROM events WHERE file = ?", (number,))
        execute("DELETE FROM files WHERE id = ?", (number,))

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

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)

    def _state(self, file: LogFile) -> _State | None:
        row = self._connection.execute(
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
                            self._connection.execute(sql, (own.id,))
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
                    self._connection.execute(sql, (inode, state.id))
                return state
            self._forget(state.id)
            self._begin_generation()
        cursor = self._connection.execute(
            "INSERT INTO files (category, stem, inode, whole, size, tail, damaged) "
            "VALUES (?, ?, ?, 0, 0, x'', 0)",
            (file.category, file.stem, inode),
        )
        return _State(cursor.lastrowid or 0, inode, 0, 0, b"")

    def _add_piece(self, file: LogFile, state: _State, stream: BinaryIO) -> int:
        skipped = Skipped()
        reader = LineReader(stream, file.path, state.size, skipped)
        rows: list[tuple[Any, ...]] = []
        mentions: list[tuple[int, tuple[str, ...]]] = []
        for event in reader.read(_PIECE_BYTES):
            row, listed = self._row(state.id, file.category, event)
            if listed:
                mentions.append((len(rows), listed))
            rows.append(row)
        if reader.offset == state.size:
            return state.size
        rollup = Rollup()
        rollup.add(row[3:8] for row in rows)
        rollup.write(self._connection)
        # Numbers are never given twice, so that whoever follows the index can go on from one.
        last = self._last()
        self._connection.executemany(
            "INSERT INTO events (id, file, offset, length, at, kind, duration, score, marks, "
            "user, event_id, session_id, key, unnamed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((last + place, *row) for place, row in enumerate(rows, 1)),
        )
        self._connection.executemany(
            "INSERT INTO mentions (key, event) VALUES (?, ?)",
            ((key, last + place + 1) for place, keys in mentions for key in keys),
        )
        start = max(reader.offset - _TAIL_BYTES, 0)
        stream.seek(start)
        self._connection.execute(
            "UPDATE files SET size = ?, tail = ?, damaged = damaged + ?, "
            "first_damaged = coalesce(first_damaged, ?) WHERE id = ?",
            (
                reader.offset,
                stream.read(reader.offset - start),
                skipped.lines,
                skipped.places[0][1] if skipped.lines else None,
                state.id,
            ),
        )
        return reader.offset

    def _row(
        self, file: int, category: str, event: Event
    ) -> tuple[tuple[Any, ...], tuple[str, ...]]:
        """The columns of an event, and the keys of the rows that it lists."""
        data = event.data
        key, listed, unnamed = rows_of(data)
        score, user = score_of(data), user_of(data)
        event_id, session_id = data.get("event_id"), data.get("session_id")
        row = (
            file,
            event.offset,
            len(event.raw) + 1,
            microseconds_of(data["timestamp"]),
            self._kind(category, data),
            duration_of(data),
            None if score is None else score[0],
            None if score is None else self._name(orjson.dumps(score[1]).decode()),
            None if user is None else self._name(user),
            event_id if type(event_id) is str else None,
            session_id if type(session_id) is str else None,
            key,
            unnamed,
        )
        return row, listed

    def _kind(self, category: str, data: Mapping[str, Any]) -> int:
        """The number of an event's kind; within a transaction."""
        signature = signature_of(category, data)
        if signature is not None:
            with suppress(TypeError):  # a list or an object where a text belongs
                found = self._signatures.get(signature)
                if found is not None:
                    return found
        kind = kind_of(category, data)
        found = self._kinds.get(kind)
        if found is None:
            found = self._new_kind(kind)
        if signature is not None and len(self._signatures) < _MOST_NAMES:
            with suppress(TypeError):
                self._signatures[signature] = found
        return found

    def _new_kind(self, kind: Kind) -> int:
        """The number of a kind that was not met yet; within a transaction."""
        found = self._number("kinds", "kind", orjson.dumps([*kind]).decode(), _MOST_KINDS)
        if found is None:
            kind = kind.lumped()
            found = self._number("kinds", "kind", orjson.dumps([*kind]).decode(), None)
        assert found is not None  # without a limit there is always a number  # noqa: S101
        self._kinds[kind] = found
        return found

    def _name(self, name: str) -> int | None:
        found = self._names.get(name)
        if found is None:
            found = self._number("names", "name", name, _MOST_NAMES)
            if found is not None:
                self._names[name] = found
        return found

    def _number(self, table: str, column: str, text: str, most: int | None) -> int | None:
        """The number of a text; None where it is new and there are too many."""
        execute = self._connection.execute
        row = execute(f"SELECT id FROM {table} WHERE {column} = ?", (text,)).fetchone()  # noqa: S608
        if row is not None:
            return int(row[0])
        (count,) = execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
        if most is not None and count >= most:
            return None
        cursor = execute(f"INSERT INTO {table} ({column}) VALUES (?)", (text,))  # noqa: S608
        return cursor.lastrowid

    def _last(self) -> int:
        sql = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
        row = self._connection.execute(sql).fetchone()
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
        """Return the events of a session in time order.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places("SELECT id FROM events WHERE session_id = :text", session_id)

    def of_event(self, event_id: str) -> list[EventLocation]:
        """Return the events with an id.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places("SELECT id FROM events WHERE event_id = :text", event_id)

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
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error

    def _files(self) -> dict[tuple[str, str], LogFile]:
        """What was sealed since is asked for in SQL."""
        return {
            (file.category, file.stem): file
            for file in log_files(self._directory)
            if not file.archived
        }

    def _places(self, rows: str, text: str) -> list[EventLocation]:
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
                for (key,) in self._connection.execute(
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
            rows = self._connection.execute(
                "SELECT category, stem, damaged, first_damaged FROM files WHERE damaged > 0"
            ).fetchall()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error
        for category, stem, damaged, first in sorted(rows):
            file = files.get((category, stem))
            if file is not None and not file.archived:
                skipped.damaged(file.path, first)
                skipped.lines += damaged - 1


class _Transaction:
    """`BEGIN IMMEDIATE`, so that what is read in it is still so when it is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        else:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


def _goes_on(stream: BinaryIO, state: _State) -> bool:
    """Whether a file still has what was indexed last, so that it was not written anew."""
    start = state.size - len(state.tail)
    stream.seek(start)
    return stream.read(len(state.tail)) == state.tail


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 for one that is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

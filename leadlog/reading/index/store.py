"""The database of the index: made, brought up to date, asked."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self

from leadlog.core.errors import LeadlogError
from leadlog.core.layout import LogFile, log_files
from leadlog.core.places import INDEX
from leadlog.reading.change import change_of
from leadlog.reading.events import Event, LineReader, Skipped, open_content

__all__ = ["Index", "IndexUnavailableError", "Place", "Progress", "existing_index", "open_index"]

_NAME: Final = "events.sqlite3"
_VERSION: Final = 1
_WAIT_SECONDS: Final = 30.0
_PIECE_BYTES: Final = 16 * 1024 * 1024
_SMALL_BYTES: Final = 32 * 1024 * 1024
"""A log that is smaller is read as fast as it is indexed."""
_TAIL_BYTES: Final = 64

Progress = Callable[[int, int], None]
"""Is told how many bytes are indexed, and of how many."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, category TEXT NOT NULL, stem TEXT NOT NULL, inode INTEGER NOT NULL,
    whole INTEGER NOT NULL, size INTEGER NOT NULL, tail BLOB NOT NULL, damaged INTEGER NOT NULL,
    first_damaged INTEGER, UNIQUE (category, stem)
);
CREATE TABLE IF NOT EXISTS events (
    file INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    timestamp TEXT NOT NULL, event_id TEXT, session_id TEXT, key TEXT, unnamed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS mentions (key TEXT NOT NULL, event INTEGER NOT NULL);
"""
_INDEXES: Final = """
CREATE INDEX IF NOT EXISTS events_key ON events (key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_unnamed ON events (unnamed) WHERE unnamed = 1;
CREATE INDEX IF NOT EXISTS events_session ON events (session_id);
CREATE INDEX IF NOT EXISTS events_event ON events (event_id);
CREATE INDEX IF NOT EXISTS events_file ON events (file);
CREATE INDEX IF NOT EXISTS mentions_key ON mentions (key);
"""


class IndexUnavailableError(LeadlogError):
    """The index cannot be made or read; the log itself can."""


class Place(NamedTuple):
    """Where an event is.

    Attributes:
        file: which log file.
        offset: of its first byte in the file's content.
        length: of its line with the newline, in bytes.
        timestamp: of the event.
    """

    file: LogFile
    offset: int
    length: int
    timestamp: str


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

    Raises:
        IndexUnavailableError: it cannot be opened.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        folder = self._directory / INDEX
        path = folder / _NAME
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            # SQLite gives its other files the rights of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA secure_delete = ON")
        (version,) = execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            execute("BEGIN IMMEDIATE")
            for table in ("files", "events", "mentions"):
                execute(f"DROP TABLE IF EXISTS {table}")
            execute(f"PRAGMA user_version = {_VERSION}")
            execute("COMMIT")
        self._connection.executescript(_TABLES)

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
        self._connection.close()

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
        sizes = {file.path: _size_of(file.path) for file in files}
        total, done = sum(sizes.values()), 0
        try:
            self._forget_all_but(files)
            for file in files:
                for size in self._add(file):
                    if progress is not None:
                        progress(done + min(size, sizes[file.path]), total)
                done += sizes[file.path]
            self._connection.executescript(_INDEXES)
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot write the index: {error}") from error

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
            max(_size_of(file.path) - known.get((file.category, file.stem), 0), 0)
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
        execute(
            "DELETE FROM mentions WHERE event IN (SELECT rowid FROM events WHERE file = ?)",
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
            if state.inode == inode and _goes_on(stream, state):
                return state
            self._forget(state.id)
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
            row, listed = _row(state.id, event)
            if listed:
                mentions.append((len(rows), listed))
            rows.append(row)
        if reader.offset == state.size:
            return state.size
        (last,) = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM events").fetchone()
        self._connection.executemany(
            "INSERT INTO events (rowid, file, offset, length, timestamp, event_id, session_id, "
            "key, unnamed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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

    # -------------------------------------------------------------------------------------- asked

    def of_row(self, key: str) -> list[Place]:
        """Return the events that name a row, or may be about it without naming any, in time order.

        Args:
            key: the primary key as text.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places(
            "SELECT rowid FROM events WHERE key = :text UNION "
            "SELECT event FROM mentions WHERE key = :text UNION "
            "SELECT rowid FROM events WHERE unnamed = 1",
            key,
        )

    def of_session(self, session_id: str) -> list[Place]:
        """Return the events of a session in time order.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places("SELECT rowid FROM events WHERE session_id = :text", session_id)

    def of_event(self, event_id: str) -> list[Place]:
        """Return the events with an id.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places("SELECT rowid FROM events WHERE event_id = :text", event_id)

    def _places(self, rows: str, text: str) -> list[Place]:
        files = {
            (file.category, file.stem): file
            for file in log_files(self._directory)
            if not file.archived
        }
        try:
            found = self._connection.execute(
                "SELECT category, stem, offset, length, timestamp FROM events "  # noqa: S608 - ours
                f"JOIN files ON files.id = file WHERE events.rowid IN ({rows}) "
                "ORDER BY timestamp, file, offset",
                {"text": text},
            ).fetchall()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error
        # What was sealed since is asked for in SQL.
        return [
            Place(files[category, stem], *rest)
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


def open_index(directory: str | os.PathLike[str], progress: Progress | None = None) -> Index | None:
    """Return the index of a log, up to date; None where the log is as fast to read itself.

    None, too, where it cannot be made, for instance since nothing may be written there.

    A database that SQLite finds damaged is made anew.

    Args:
        directory: the log directory.
        progress: is told of the way.

    Raises:
        ReadError: a log file cannot be read.
    """
    root = Path(directory)
    if not (root / INDEX / _NAME).exists():
        files = [file for file in log_files(root) if not file.archived]
        if sum(_size_of(file.path) for file in files) < _SMALL_BYTES:
            return None
    for attempt in range(2):
        index = None
        try:
            index = Index(root)
            index.catch_up(progress)
            return index
        except IndexUnavailableError as error:
            if index is not None:
                index.close()
            if attempt or not isinstance(error.__cause__, sqlite3.DatabaseError):
                return None
            if isinstance(error.__cause__, sqlite3.OperationalError):  # locked, full, read-only
                return None
            for path in (root / INDEX).glob(f"{_NAME}*"):
                with suppress(OSError):
                    path.unlink()
    return None


def existing_index(directory: str | os.PathLike[str]) -> Index | None:
    """Return the index of a log, up to date, where there is one that lacks little.

    Raises:
        ReadError: a log file cannot be read.
    """
    if not (Path(directory) / INDEX / _NAME).exists():
        return None
    index = None
    try:
        index = Index(directory)
        if index.pending_bytes() <= _SMALL_BYTES:
            index.catch_up()
            return index
    except (IndexUnavailableError, sqlite3.Error):
        pass
    if index is not None:
        index.close()
    return None


def _row(file: int, event: Event) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The columns of an event, and the keys of the rows that it lists."""
    data = event.data
    key: str | None = None
    listed: tuple[str, ...] = ()
    unnamed = False
    log_type = data.get("log_type")
    if log_type == "database_operation":
        key = _only_key(data)
        if key is None and (change := change_of(data)) is not None:
            key, listed = change.key, change.listed
            unnamed = key is None and change.keys is None and change.outcome != "completed"
    elif log_type == "monitoring_data":
        info = data.get("monitoring_info")
        unnamed = type(info) is dict and info.get("monitoring_type") == "log_health"
    event_id, session_id = data.get("event_id"), data.get("session_id")
    row = (
        file,
        event.offset,
        len(event.raw) + 1,
        data["timestamp"],
        event_id if type(event_id) is str else None,
        session_id if type(session_id) is str else None,
        key,
        unnamed,
    )
    return row, listed


def _only_key(data: Mapping[str, Any]) -> str | None:
    """The key of an ordinary call on one row, as `change_of` gives it but much faster."""
    details, who = data.get("operation_details"), data.get("lead_identifier")
    if type(details) is not dict or type(who) is not dict or data.get("truncated"):
        return None
    if details.get("bulk") is True or details.get("records_cut"):
        return None
    key = who.get("lead_id")
    return key if type(key) is str else None


def _goes_on(stream: BinaryIO, state: _State) -> bool:
    """Whether a file still has what was indexed last, so that it was not written anew."""
    start = state.size - len(state.tail)
    stream.seek(start)
    return stream.read(len(state.tail)) == state.tail


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

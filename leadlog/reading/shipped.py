"""How far the log was shipped to each destination, kept beside it and shared by all who need it.

    <log directory>/.shipping/<name>.sqlite3     0600; one SQLite database per destination
    <log directory>/.shipping/<name>.lock        held by the process that ships there

`leadlog ship` writes positions and refused records in one transaction. The janitor asks which files
are not shipped yet, erasure leaves word of events that are gone, and health checks read the lag.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import attrs
import orjson

from leadlog.core.errors import LogDirectoryError, ReadError
from leadlog.core.layout import CATEGORIES, LogFile, log_files
from leadlog.core.locks import try_lock
from leadlog.reading.events import decode

__all__ = [
    "Erased",
    "FileProgress",
    "Lag",
    "Refused",
    "Shipments",
    "Shipped",
    "copies_elsewhere",
    "destinations",
    "forget",
    "form_of",
    "key_of",
    "note_dropped",
    "note_erased",
    "read_shipments",
    "refused_reasons",
    "shipped_test",
    "shipping_lock",
]

FOLDER: Final = ".shipping"
_VERSION: Final = 1
_BUSY_SECONDS: Final = 10.0
_BLOCK_BYTES: Final = 1 << 20
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    category TEXT NOT NULL, stem TEXT NOT NULL, read_to INTEGER NOT NULL,
    last_start INTEGER NOT NULL, last_line TEXT NOT NULL, complete INTEGER NOT NULL,
    form TEXT NOT NULL, recent TEXT NOT NULL, PRIMARY KEY (category, stem)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, category TEXT NOT NULL,
    reason TEXT NOT NULL, at_us INTEGER NOT NULL, line BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS erased (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, category TEXT NOT NULL,
    date TEXT NOT NULL, line BLOB, removed INTEGER NOT NULL, done INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS dropped (
    cause TEXT PRIMARY KEY, files INTEGER, bytes INTEGER, records INTEGER
) WITHOUT ROWID;
"""

Key = tuple[str, str]
"""Category and stem of a log file: the same in all of its forms."""


@attrs.frozen
class FileProgress:
    """How far one file was shipped.

    Attributes:
        read_to: Offset in the file's content of the first byte that was not shipped.
        last_start: Offset of the last line that was shipped.
        last_line: Hash of that line; empty where there is none.
        complete: Whether all complete lines were shipped when the file looked as `form` says.
        form: Size and time of the file at that look.
        recent: The event_ids that were shipped last, by which the place is found again in a file
            that was rewritten.
    """

    read_to: int = 0
    last_start: int = 0
    last_line: str = ""
    complete: bool = False
    form: str = ""
    recent: tuple[str, ...] = ()


class Refused(NamedTuple):
    """A record that a destination refused for good.

    Attributes:
        number: Of the row; 0 for one that is not stored yet.
        event_id: Of the record.
        category: The folder that it is from.
        reason: What the destination said.
        line: The line as it is in the log.
    """

    number: int
    event_id: str
    category: str
    reason: str
    line: bytes


class Erased(NamedTuple):
    """An event that an erasure took out of the log, or changed.

    Attributes:
        event_id: Of the record.
        category: The folder.
        date: UTC day of the event.
        line: The line that took its place; None for none.
    """

    event_id: str
    category: str
    date: str
    line: bytes | None


class Lag(NamedTuple):
    """How far a destination is behind the log.

    Attributes:
        files: Files with something that was not shipped.
        bytes: What is left of them; None where a compressed file's content has an unknown size.
        seconds: Age of the oldest event that was not shipped; 0 where there is none, None where
            it cannot be read.
        records: How many there are; None where nobody counted.
    """

    files: int
    bytes: int | None
    seconds: float | None
    records: int | None


def key_of(file: LogFile) -> Key:
    """Return what names a file in all of its forms."""
    return file.category, file.stem


def form_of(state: os.stat_result) -> str:
    """Return what changes with a file: its size and when it was written."""
    return f"{state.st_size}:{state.st_mtime_ns}"


def database_path(directory: Path, name: str) -> Path:
    """Return where the state of a destination lies."""
    return directory / FOLDER / f"{name}.sqlite3"


def destinations(directory: Path) -> list[str]:
    """Return the names of all destinations that something was shipped to."""
    try:
        names = os.listdir(directory / FOLDER)  # noqa: PTH208 - names suffice
    except OSError:
        return []
    return sorted(name.removesuffix(".sqlite3") for name in names if name.endswith(".sqlite3"))


@contextmanager
def shipping_lock(directory: Path, name: str) -> Iterator[str | None]:
    """Hold the lock of a destination while the block runs.

    Gives None where it is held, else the id of the process that has it.

    Raises:
        LogDirectoryError: It cannot be written, or the file system has no locks.
    """
    path = directory / FOLDER / f"{name}.lock"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror or error}; run this as the user who writes the "
            "log"
        ) from error
    try:
        if not try_lock(fd):
            yield os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            return
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield None
    finally:
        os.close(fd)


class Shipments:
    """The state of one destination; a context manager.

    Args:
        directory: The log directory.
        name: Of the destination.

    Raises:
        LogDirectoryError: It cannot be written.
        ReadError: It is damaged, or of a newer leadlog.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.path = database_path(directory, name)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise LogDirectoryError(
                f"cannot write {self.path}: {error}; run this as the user who writes the log"
            ) from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What a power cut takes back is shipped again: positions go back with it.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA secure_delete = ON")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise ReadError(
                    f"{self.path} was made by a newer leadlog; use that one, or start over with "
                    f"`leadlog ship forget {name}`"
                )
            self._connection.executescript(_TABLES)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.Error as error:
            self._connection.close()
            raise ReadError(
                f"{self.path} cannot be used: {error}; if it is damaged, start over with "
                f"`leadlog ship forget {name}`"
            ) from error
        except BaseException:
            self._connection.close()
            raise

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

    # --------------------------------------------------------------------------------- positions

    def progress(self) -> dict[Key, FileProgress]:
        """Return how far each file was shipped."""
        return _progress(self._connection)

    def commit(
        self,
        progress: dict[Key, FileProgress],
        *,
        refused: Sequence[Refused] = (),
        sent: int = 0,
        at_us: int,
        gone: Collection[Key] = (),
        dropped: Iterable[tuple[str, int | None, int | None, int | None]] = (),
    ) -> None:
        """Move positions and keep what was refused, all or nothing.

        Args:
            progress: Of files that were read on.
            refused: Records that the destination does not take.
            sent: How many it took.
            at_us: The time, microseconds since 1970.
            gone: Files that are no longer there.
            dropped: (cause, files, bytes, records) of what will never be shipped.
        """
        with self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *key,
                        one.read_to,
                        one.last_start,
                        one.last_line,
                        one.complete,
                        one.form,
                        orjson.dumps(one.recent).decode(),
                    )
                    for key, one in progress.items()
                ],
            )
            connection.executemany("DELETE FROM files WHERE category = ? AND stem = ?", list(gone))
            connection.executemany(
                "INSERT INTO refused (event_id, category, reason, at_us, line) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE SET "
                "reason = excluded.reason, at_us = excluded.at_us",
                [(one.event_id, one.category, one.reason, at_us, one.line) for one in refused],
            )
            connection.executemany(
                "INSERT INTO dropped VALUES (?, ?, ?, ?) ON CONFLICT (cause) DO UPDATE SET "
                "files = files + excluded.files, bytes = bytes + excluded.bytes, "
                "records = records + excluded.records",
                list(dropped),
            )
            _add(connection, "sent", sent)
            _add(connection, "refused", len(refused))
            if sent or refused:
                _put(connection, "acknowledged_us", at_us)
                _put(connection, "error", None)

    def put(self, **values: object) -> None:
        """Keep values by name."""
        with self._connection as connection:
            for name, value in values.items():
                _put(connection, name, value)

    def get(self, name: str) -> Any:
        """Return a value by name; None where there is none."""
        return _meta(self._connection).get(name)

    # ------------------------------------------------------------------------- refused and erased

    def refused(self, after: int = 0, limit: int = 1000) -> list[Refused]:
        """Return refused records in the order of their numbers.

        Args:
            after: Only those with a higher number.
            limit: How many at most.
        """
        rows = self._connection.execute(
            "SELECT number, event_id, category, reason, line FROM refused WHERE number > ? "
            "ORDER BY number LIMIT ?",
            (after, limit),
        )
        return [Refused(*row) for row in rows]

    def replayed(self, accepted: Iterable[Refused], refused: Iterable[Refused], at_us: int) -> None:
        """Remove the records that were taken at last, and keep why the others were not.

        Args:
            accepted: Taken now.
            refused: Refused again, with the new reason.
            at_us: The time, microseconds since 1970.
        """
        taken = list(accepted)
        with self._connection as connection:
            connection.executemany(
                "DELETE FROM refused WHERE number = ?", [(one.number,) for one in taken]
            )
            connection.executemany(
                "UPDATE refused SET reason = ?, at_us = ? WHERE number = ?",
                [(one.reason, at_us, one.number) for one in refused],
            )
            _add(connection, "sent", len(taken))
            if taken:
                _put(connection, "acknowledged_us", at_us)

    def erased_among(self, ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return which of some events an erasure took out or changed since they were read.

        Returns:
            The line that took the place of an event by its id; None for none.
        """
        (any_one,) = self._connection.execute("SELECT EXISTS (SELECT 1 FROM erased)").fetchone()
        if not any_one:
            return {}
        found = self._connection.execute(
            "SELECT event_id, line FROM erased WHERE (removed OR line IS NOT NULL) "
            "AND event_id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(ids).decode(),),
        )
        return dict(found.fetchall())

    def erasures(self, limit: int = 500) -> list[Erased]:
        """Return events whose copies at the destination are to go, or to be replaced."""
        rows = self._connection.execute(
            "SELECT event_id, category, date, line FROM erased WHERE NOT done "
            "ORDER BY number LIMIT ?",
            (limit,),
        )
        return [Erased(*row) for row in rows]

    def erasures_done(self, events: Iterable[Erased]) -> None:
        """Say that the destination has followed an erasure."""
        with self._connection as connection:
            connection.executemany(
                "UPDATE erased SET done = 1, line = NULL WHERE event_id = ?",
                [(one.event_id,) for one in events],
            )

    def note_erased(self, events: Iterable[Erased]) -> None:
        """Leave word of events that go from the log, before they go."""
        with self._connection as connection:
            rows = list(events)
            connection.executemany(
                "INSERT INTO erased (event_id, category, date, line, removed, done) "
                "VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (event_id) DO UPDATE SET "
                "line = excluded.line, removed = excluded.removed, done = 0",
                [(*one, one.line is None) for one in rows],
            )
            connection.executemany(
                "DELETE FROM refused WHERE event_id = ?",
                [(one.event_id,) for one in rows if one.line is None],
            )


def _put(connection: sqlite3.Connection, name: str, value: object) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _add(connection: sqlite3.Connection, name: str, count: int) -> None:
    if count:
        connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE "
            "SET value = value + excluded.value",
            (name, count),
        )


def _meta(connection: sqlite3.Connection) -> dict[str, Any]:
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def _progress(connection: sqlite3.Connection) -> dict[Key, FileProgress]:
    rows = connection.execute(
        "SELECT category, stem, read_to, last_start, last_line, complete, form, recent FROM files"
    )
    return {
        (category, stem): FileProgress(
            read_to, start, line, bool(complete), form, tuple(orjson.loads(recent))
        )
        for category, stem, read_to, start, line, complete, form, recent in rows
    }


@attrs.frozen
class Shipped:
    """The state of a destination at one moment.

    Attributes:
        name: Of the destination.
        meta: What `leadlog ship` keeps by name: `target`, `type`, `categories`, `since`, `sent`,
            `refused`, `acknowledged_us`, `error`, `error_us`.
        progress: How far each file was shipped.
        refused: How many refused records are kept.
        erasures: How many erased events still have a copy there, as far as is known.
        dropped: Cause to (files, bytes, records) of what will never be shipped.
    """

    name: str
    meta: dict[str, Any]
    progress: dict[Key, FileProgress]
    refused: int
    erasures: int
    dropped: dict[str, tuple[int | None, int | None, int | None]]

    def files(self, directory: Path) -> list[LogFile]:
        """Return the log files that concern the destination.

        Raises:
            OSError: A folder cannot be listed.
        """
        kept = self.meta.get("categories")
        categories = kept.split() if kept else CATEGORIES
        found = log_files(directory, categories, self.meta.get("since") or None)
        return [file for file in found if file.archived] if self.sealed_only else found

    @property
    def sealed_only(self) -> bool:
        """Whether it takes sealed days only, as an object store does."""
        return bool(self.meta.get("sealed_only"))

    def is_complete(self, file: LogFile, form: str) -> bool:
        """Return whether all of a file was shipped when it looked as `form` says."""
        known = self.progress.get(key_of(file))
        return known is not None and known.complete and known.form == form

    def lag(self, directory: Path, now_us: int, *, count: bool = False) -> Lag:
        """Return how far the destination is behind.

        Args:
            directory: The log directory.
            now_us: The time, microseconds since 1970.
            count: Whether records are counted, which reads all that is left.

        Raises:
            OSError: A file cannot be read.
            ReadError: A compressed file is damaged.
        """
        files, records = 0, 0
        size: int | None = 0
        oldest: int | None = None
        unknown = False
        for file in self.files(directory):
            try:
                state = file.path.stat()
            except FileNotFoundError:  # compressed or removed since it was listed
                continue
            if self.is_complete(file, form_of(state)):
                continue
            known = self.progress.get(key_of(file), FileProgress())
            packed = file.compressed or file.archived
            left = None if packed else max(state.st_size - known.read_to, 0)
            if left == 0:
                continue
            if packed and not count:
                size = None
                unknown = True
                first: int | None = None
                lines = 0
            else:
                first, lines, content = _rest(file, known.read_to, count=count)
                size = None if size is None else size + (content if left is None else left)
                if first is None and not lines:
                    continue
            files += 1
            records += lines
            if first is not None:
                oldest = first if oldest is None else min(oldest, first)
            elif packed:
                from leadlog.core.clock import parse

                oldest = min(oldest or now_us, parse(f"{file.date}T00:00:00.000000Z"))
        seconds = 0.0 if oldest is None else max(now_us - oldest, 0) / 1e6
        if oldest is None and unknown:
            return Lag(files, size, None, None)
        return Lag(files, size if files else 0, seconds, records if count else None)


def _rest(file: LogFile, offset: int, *, count: bool) -> tuple[int | None, int, int]:
    """(time of the first event from `offset` on, lines, bytes); lines only where they count."""
    from leadlog.core.clock import parse
    from leadlog.reading.events import open_content

    first: int | None = None
    lines = size = 0
    with open_content(file.path) as stream:
        stream.seek(offset)
        while first is None and (line := stream.readline()).endswith(b"\n"):
            size += len(line)
            event = decode(line)
            if event is not None:
                first, lines = parse(event["timestamp"]), 1
        while count and (block := stream.read(_BLOCK_BYTES)):
            size += len(block)
            lines += block.count(b"\n")
    return first, lines, size


def read_shipments(directory: Path, name: str) -> Shipped:
    """Return the state of a destination, read beside a process that ships.

    Raises:
        ReadError: There is none, or it cannot be read.
    """
    path = database_path(directory, name)
    if not path.is_file():
        known = ", ".join(destinations(directory))
        raise ReadError(
            f"nothing was shipped to {name!r} from {directory}"
            + (f"; there are {known}" if known else f"; run `leadlog ship {name}`")
        )
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            (refused,) = connection.execute("SELECT count(*) FROM refused").fetchone()
            (erased,) = connection.execute("SELECT count(*) FROM erased WHERE NOT done").fetchone()
            dropped = connection.execute("SELECT cause, files, bytes, records FROM dropped")
            return Shipped(
                name=name,
                meta=_meta(connection),
                progress=_progress(connection),
                refused=refused,
                erasures=erased,
                dropped={cause: tuple(values) for cause, *values in dropped},
            )
    except sqlite3.Error as error:
        raise ReadError(
            f"cannot read {path}: {error}; if it is damaged, start over with "
            f"`leadlog ship forget {name}`"
        ) from error


def refused_reasons(directory: Path, name: str, most: int = 10) -> dict[str, int]:
    """Return why records were refused, with how many, the most frequent reason first.

    Raises:
        ReadError: The state of the destination cannot be read.
    """
    path = database_path(directory, name)
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA query_only = ON")
            found = connection.execute(
                "SELECT reason, count(*) AS records FROM refused GROUP BY reason "
                "ORDER BY records DESC, reason LIMIT ?",
                (most,),
            )
            return dict(found.fetchall())
    except sqlite3.Error as error:
        raise ReadError(f"cannot read {path}: {error}") from error


def shipped_test(directory: Path) -> Callable[[LogFile, str], list[str]]:
    """Return a function that names the destinations a file was not wholly shipped to.

    Raises:
        ReadError: The state of a destination cannot be read.
    """
    known = [read_shipments(directory, name) for name in destinations(directory)]

    def missing(file: LogFile, form: str) -> list[str]:
        return [
            one.name
            for one in known
            if file.category in (one.meta.get("categories") or " ".join(CATEGORIES)).split()
            and file.date >= (one.meta.get("since") or "")
            and not one.is_complete(file, form)
        ]

    return missing


def note_erased(directory: Path, events: Sequence[Erased]) -> None:
    """Leave word for every destination of events that go from the log, before they go.

    Raises:
        LogDirectoryError: The state of a destination cannot be written.
        ReadError: It is damaged.
    """
    for name in destinations(directory) if events else ():
        with Shipments(directory, name) as shipments:
            shipments.note_erased(events)


def copies_elsewhere(directory: Path, events: int) -> dict[str, str]:
    """Return what becomes of the copies of erased events, by destination.

    Args:
        directory: The log directory.
        events: How many were taken out or changed; without any there are no copies.

    Raises:
        ReadError: The state of a destination cannot be read.
    """
    found = {}
    for name in destinations(directory) if events else ():
        one = read_shipments(directory, name)
        target = one.meta.get("target") or name
        if one.meta.get("can_erase"):
            found[name] = f"`leadlog ship` deletes or replaces up to {events} records in {target}"
        else:
            found[name] = (
                f"up to {events} records are in {target}, which cannot delete by event_id; have "
                "them deleted there"
            )
    return found


def note_dropped(directory: Path, file: LogFile, names: Iterable[str], cause: str) -> None:
    """Count what a file has that was not shipped, before the file is removed.

    Args:
        directory: The log directory.
        file: Which.
        names: Of the destinations that lack some of it.
        cause: Why it is removed.

    Raises:
        OSError: The file cannot be read.
        LeadlogError: The file or the state of a destination cannot be read.
    """
    state = file.path.stat()
    for name in names:
        with Shipments(directory, name) as shipments:
            known = shipments.progress().get(key_of(file), FileProgress())
            _, records, size = _rest(file, known.read_to, count=True)
            # As if it was shipped, so that nobody counts it again.
            done = attrs.evolve(known, complete=True, form=form_of(state))
            dropped = (cause, 1, size, records)
            shipments.commit({key_of(file): done}, at_us=0, dropped=[dropped])


def forget(directory: Path, name: str) -> bool:
    """Remove the state of a destination; False where there is none."""
    path = database_path(directory, name)
    there = path.exists()
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    return there

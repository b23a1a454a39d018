"""Erasure from files without lines: those of leadlog are changed, others are reported.

Each such file of the log directory is examined, through links too, and decompressed if necessary.
`leadlog.core.places` tells what it is and so how it is treated; files that must not be changed, or
that are not leadlog's, are reported with a remedy.
"""

import base64
import gzip
import os
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

import orjson
import zstandard

from leadlog.core.errors import LeadlogError
from leadlog.core.files import DRAFT, remove_abandoned, replace
from leadlog.core.locks import try_lock
from leadlog.core.places import EXPORTS, INDEX, WORKING_COPIES, Content, Place, exports, place_of
from leadlog.reading.duck import connect, literally
from leadlog.reading.erasure.journal import NAME as JOURNAL
from leadlog.reading.erasure.lines import Cover
from leadlog.reading.erasure.report import Changed
from leadlog.reading.erasure.spelling import Spelling

__all__ = ["OtherFiles", "holds", "is_locked", "walk"]

_BLOCK_BYTES = 1024 * 1024
_OVERLAP_BYTES = 8 * 1024
_BUSY_SECONDS = 5.0
_MONITOR_LOCK = ".monitor.lock"
_ZSTD, _GZIP, _PARQUET, _SQLITE = b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"PAR1", b"SQLi"
_BUSY = "a process is writing it; run this again"
_REMOVE = "take the person out of it by hand, or remove it"


class OtherFiles:
    """The files of a log directory that contain no lines.

    Args:
        root: the log directory.
        cover: erases the persons from content.
        spelling: finds the persons in any spelling.
        dry_run: change nothing.

    Attributes:
        changed: files that named the persons.
        remaining: reasons by file that still names them.
    """

    def __init__(self, root: Path, cover: Cover, spelling: Spelling, *, dry_run: bool) -> None:
        self._root = root
        self._cover = cover
        self._spelling = spelling
        self._dry_run = dry_run
        self.changed: list[Changed] = []
        self.remaining: dict[str, str] = {}

    def run(self, done: set[str]) -> None:
        """Erase the persons from all of them.

        Args:
            done: real paths of files that were processed already.
        """
        for path in walk(self._root):
            name = str(path.relative_to(self._root))
            if name == JOURNAL or os.path.realpath(path) in done:
                continue
            place = place_of(Path(name))
            try:
                reason = self._file(path, name, place)
            except (OSError, sqlite3.Error, LeadlogError) as error:
                reason = f"it cannot be read or written ({error}); {_REMOVE}"
            if reason is not None:
                self.remaining[name] = reason
        self._exports()
        self._working_copies()

    def _file(self, path: Path, name: str, place: Place | None) -> str | None:
        """Erase the persons from one file; return why it still names them, or None."""
        draft = DRAFT.fullmatch(path.name) is not None
        derived = place is not None and place.content is Content.DERIVED
        if place is not None and (draft or derived):
            return self._removed(path, name, draft=draft)
        if not holds(path, self._spelling):
            return None
        if self._dry_run:
            self.changed.append(Changed(name, 0, 1))
            return None
        content = None if place is None else place.content
        change = self._changes().get(content) if content is not None else None
        if change is None:
            whose = "it is not a file of leadlog's" if place is None else "it was not rewritten"
            return f"{whose}; {_REMOVE}"
        reason = change(path, name)
        if reason is None and holds(path, self._spelling):
            return f"a spelling in it could not be covered; {_REMOVE}"
        return reason

    def _changes(self) -> "dict[Content, Callable[[Path, str], str | None]]":
        return {
            Content.DOCUMENT: self._document,
            Content.DAMAGED: self._damaged,
            Content.DATABASE: self._database,
        }

    def _removed(self, path: Path, name: str, *, draft: bool) -> str | None:
        """Remove a derived file or an abandoned draft if the persons may be in it."""
        if not (name.startswith(INDEX) or holds(path, self._spelling)):
            return None
        if not self._dry_run:
            if not draft:
                path.unlink(missing_ok=True)
            elif not remove_abandoned(path):
                return _BUSY
        self.changed.append(Changed(name, 0, 0))
        return None

    def _document(self, path: Path, name: str) -> str | None:
        covered = self._cover.covered(orjson.loads(path.read_bytes()))
        content = orjson.dumps(covered, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        replace(path, content, mode=path.stat().st_mode & 0o777)
        self.changed.append(Changed(name, 0, 1))
        return None

    def _damaged(self, path: Path, name: str) -> str | None:
        """Remove the damaged lines that name the persons."""
        if path.suffix != ".jsonl":
            return f"it is a damaged file as it was found; {_REMOVE}"
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not self._names_somebody(line)]
        replace(path, b"".join(kept), mode=path.stat().st_mode & 0o777)
        self.changed.append(Changed(name, len(lines) - len(kept), 0))
        return None

    def _names_somebody(self, line: bytes) -> bool:
        return any(self._spelling.is_in_bytes(one) for one in _unpacked_line(line))

    def _database(self, path: Path, name: str) -> str | None:
        """Cover the cells, and leave no copy in free pages or in the journal."""
        if path.suffix != ".sqlite3":
            return None  # the journal of a database, removed with its last reader
        if is_locked(path.with_name(_MONITOR_LOCK)):
            return "`leadlog monitor` is running; stop it and run this again"
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            with connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                changed = sum(self._table(connection, table) for (table,) in tables.fetchall())
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.changed.append(Changed(name, 0, changed))
        return None

    def _table(self, connection: sqlite3.Connection, table: str) -> int:
        cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own schema says so
        columns = [column[0] for column in cursor.description]
        same = " AND ".join(f'"{column}" IS ?' for column in columns)
        values = ", ".join("?" for _ in columns)
        changed = 0
        for row in cursor.fetchall():
            new = [self._cell(cell) for cell in row]
            if new != list(row):
                changed += 1
                connection.execute(f'DELETE FROM "{table}" WHERE {same}', row)  # noqa: S608
                connection.execute(f'INSERT OR REPLACE INTO "{table}" VALUES ({values})', new)  # noqa: S608
        return changed

    def _cell(self, cell: Any) -> Any:
        content = _content(cell)
        if not self._spelling.may_be_in(content):
            return cell
        try:
            covered: Any = orjson.dumps(self._cover.covered(orjson.loads(content)))
        except orjson.JSONDecodeError:
            covered = self._cover.covered(content.decode("utf-8", "replace")).encode()
        return covered.decode() if isinstance(cell, str) else covered

    def _exports(self) -> None:
        """Report exported files that name the persons; forget those that no longer exist."""
        listed = exports(self._root)
        there = [path for path in listed if Path(path).exists()]
        for path in there:
            try:
                found = holds(Path(path), self._spelling)
            except (OSError, LeadlogError) as error:
                self.remaining[path] = f"it was written from this log and cannot be read: {error}"
                continue
            if found:
                self.remaining[path] = "it was written from this log; remove it, or write it again"
        if there != listed and not self._dry_run:
            text = "".join(f"{path}\n" for path in there)
            replace(self._root / EXPORTS, text.encode("utf-8", "surrogateescape"))

    def _working_copies(self) -> None:
        """Report working copies that killed commands left of this or another log."""
        temporary = Path(tempfile.gettempdir())
        for folder in (one for pattern in WORKING_COPIES for one in temporary.glob(pattern)):
            with suppress(OSError, LeadlogError):  # just removed, or another user's
                for path in walk(folder):
                    if holds(path, self._spelling):
                        self.remaining[str(path)] = (
                            "it is the working copy of a command that runs or was killed; run "
                            "this again when it has ended, or remove it"
                        )


def walk(root: Path) -> Iterator[Path]:
    """Yield every file below a directory, through links too, each folder once."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file():  # no socket, FIFO or dangling link
                yield path


def holds(path: Path, spelling: Spelling) -> bool:
    """Return whether a file names one of the persons, in whatever format it is stored.

    Raises:
        OSError: the file cannot be read.
        ReadError: it is a damaged Parquet file.
    """
    return any(spelling.is_in_bytes(block) for block in _blocks(path))


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the unpacked content of a file in blocks, which overlap if no line ends."""
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head == _PARQUET:
            yield from _rows(path)
            return
        if head == _SQLITE:
            yield from _cells(path)
            return
        rest = b""
        for data in _unpacked(stream, head):
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if newline:
                yield from _unpacked_lines(whole)
            if len(rest) > _BLOCK_BYTES:
                yield rest
                rest = rest[-_OVERLAP_BYTES:]
        yield from _unpacked_lines(rest)


def _unpacked(stream: IO[bytes], head: bytes) -> Iterator[bytes]:
    """Yield a stream's content, unpacked; of a damaged one, the readable part."""
    unpacked: Any = stream
    if head == _ZSTD:
        unpacked = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    elif head.startswith(_GZIP):
        unpacked = gzip.GzipFile(fileobj=stream)
    with suppress(zstandard.ZstdError, EOFError, zlib.error, gzip.BadGzipFile):
        while data := unpacked.read(_BLOCK_BYTES):
            yield data


def _unpacked_lines(content: bytes) -> Iterator[bytes]:
    yield content
    if b'"base64"' in content:
        for line in content.split(b"\n"):
            yield from _unpacked_line(line)


def _unpacked_line(line: bytes) -> Iterator[bytes]:
    """Yield a line, and any base64 content that leadlog put into it."""
    yield line
    if b'"base64"' in line:
        with suppress(ValueError, KeyError, TypeError):
            yield base64.b64decode(orjson.loads(line)["base64"])


def _rows(path: Path) -> Iterator[bytes]:
    import duckdb

    from leadlog.reading.duck import unreadable

    with connect() as connection:
        try:
            found = connection.execute(
                "SELECT to_json(part)::VARCHAR "
                "FROM read_parquet(?, hive_partitioning = false) part",
                [literally(path)],
            )
            while rows := found.fetchmany(4096):
                yield "\n".join(row[0] for row in rows).encode("utf-8", "replace")
        except duckdb.Error as error:
            raise unreadable(str(path), error) from error


def _cells(path: Path) -> Iterator[bytes]:
    """Yield the cells of a database; its raw pages do not separate them."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own schema says so
                yield b"\n".join(map(_content, row))


def _content(cell: Any) -> bytes:
    if isinstance(cell, str):
        return cell.encode("utf-8", "surrogatepass")
    return cell if isinstance(cell, bytes) else b""


def is_locked(path: Path) -> bool:
    """Return whether a process holds a file's lock."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(fd)
    finally:
        os.close(fd)

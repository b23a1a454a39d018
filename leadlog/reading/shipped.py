"""Queries about shipping: each destination's lag, and what it lacks.

The janitor asks which files are not shipped yet, erasure records removed events, and health checks
and the dashboard read the lag.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs

from leadlog.core.databases import reading_database
from leadlog.core.errors import ReadError
from leadlog.core.layout import CATEGORIES, LogFile, log_files
from leadlog.reading.events import decode
from leadlog.reading.shipments import (
    BUSY_SECONDS,
    FOLDER,
    Erased,
    FileProgress,
    Key,
    Shipments,
    database_path,
    form_of,
    key_of,
    meta_of,
    progress_of,
)

__all__ = [
    "Lag",
    "Shipped",
    "copies_elsewhere",
    "destinations",
    "forget",
    "note_dropped",
    "note_erased",
    "read_shipments",
    "refused_reasons",
    "shipped_test",
]

_BLOCK_BYTES: Final = 1 << 20


class Lag(NamedTuple):
    """The lag of a destination behind the log.

    Attributes:
        files: Number of files with content that was not shipped.
        bytes: Bytes left in them; None if a compressed file's content has an unknown size.
        seconds: Age of the oldest event that was not shipped; 0 if there is none, None if it cannot
            be read.
        records: Number of records left; None if they were not counted.
    """

    files: int
    bytes: int | None
    seconds: float | None
    records: int | None


def destinations(directory: Path) -> list[str]:
    """Return the names of all destinations that were shipped to."""
    try:
        names = os.listdir(directory / FOLDER)  # noqa: PTH208 - names suffice
    except OSError:
        return []
    return sorted(name.removesuffix(".sqlite3") for name in names if name.endswith(".sqlite3"))


@attrs.frozen
class Shipped:
    """The state of a destination at one time.

    Attributes:
        name: Name of the destination.
        meta: Values stored by name: `target`, `type`, `categories`, `since`, `sent`, `refused`,
            `acknowledged_us`, `error`, `error_us`.
        progress: Progress of each file.
        refused: Number of refused records that are kept.
        erasures: Number of erased events that, as far as known, still have a copy there.
        dropped: (files, bytes, records) that will never be shipped, by cause.
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
        """Whether it accepts sealed days only, as an object store does."""
        return bool(self.meta.get("sealed_only"))

    def is_complete(self, file: LogFile, form: str) -> bool:
        """Return whether all of a file was shipped when it had the given form."""
        known = self.progress.get(key_of(file))
        return known is not None and known.complete and known.form == form

    def lag(self, directory: Path, now_us: int, *, count: bool = False) -> Lag:
        """Return the destination's lag.

        Args:
            directory: The log directory.
            now_us: The current time, microseconds since 1970.
            count: Count the records, which reads everything that is left.

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
    """Return (time of the first event from `offset` on, lines if `count`, bytes)."""
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
    """Return the state of a destination, while a process may be shipping.

    Raises:
        ReadError: The destination has no state, or it cannot be read.
    """
    path = database_path(directory, name)
    if not path.is_file():
        known = ", ".join(destinations(directory))
        raise ReadError(
            f"nothing was shipped to {name!r} from {directory}"
            + (f"; there are {known}" if known else f"; run `leadlog ship {name}`")
        )
    try:
        with reading_database(path, seconds=BUSY_SECONDS) as connection:
            connection.execute("BEGIN")
            (refused,) = connection.execute("SELECT count(*) FROM refused").fetchone()
            (erased,) = connection.execute("SELECT count(*) FROM erased WHERE NOT done").fetchone()
            dropped = connection.execute("SELECT cause, files, bytes, records FROM dropped")
            return Shipped(
                name=name,
                meta=meta_of(connection),
                progress=progress_of(connection),
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
    """Return the number of refused records by reason, most frequent first.

    Raises:
        ReadError: The state of the destination cannot be read.
    """
    path = database_path(directory, name)
    try:
        with reading_database(path, seconds=BUSY_SECONDS) as connection:
            found = connection.execute(
                "SELECT reason, count(*) AS records FROM refused GROUP BY reason "
                "ORDER BY records DESC, reason LIMIT ?",
                (most,),
            )
            return dict(found.fetchall())
    except sqlite3.Error as error:
        raise ReadError(f"cannot read {path}: {error}") from error


def shipped_test(directory: Path) -> Callable[[LogFile, str], list[str]]:
    """Return a function that names the destinations to which a file was not completely shipped.

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
    """Record for every destination the events that an erasure removes, before it does.

    Raises:
        LogDirectoryError: The state of a destination cannot be written.
        ReadError: The state is damaged.
    """
    for name in destinations(directory) if events else ():
        with Shipments(directory, name) as shipments:
            shipments.note_erased(events)


def copies_elsewhere(directory: Path, events: int) -> dict[str, str]:
    """Return the treatment of erased events' copies, by destination.

    Args:
        directory: The log directory.
        events: Number of events that were removed or changed; with 0 the result is empty.

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
    """Count the unshipped content of a file before the file is removed.

    Args:
        directory: The log directory.
        file: The file.
        names: Names of the destinations that lack some of it.
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
            # Marked as shipped, so that it is not counted again.
            done = attrs.evolve(known, complete=True, form=form_of(state))
            dropped = (cause, 1, size, records)
            shipments.commit({key_of(file): done}, at_us=0, dropped=[dropped])


def forget(directory: Path, name: str) -> bool:
    """Remove the state of a destination; return False if there is none."""
    path = database_path(directory, name)
    there = path.exists()
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    return there

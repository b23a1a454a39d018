"""The database of the index: creation and queries; `updating` writes it."""

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from leadlog.core.databases import Database
from leadlog.core.files import make_folder
from leadlog.core.layout import LogFile, log_files
from leadlog.core.places import INDEX, modes_of
from leadlog.reading.events import Skipped
from leadlog.reading.index.numbers import address_number, event_number, session_number
from leadlog.reading.index.updating import (
    WAIT_SECONDS,
    IndexUnavailableError,
    IndexWriter,
    Progress,
)

__all__ = ["NAME", "EventLocation", "Index"]

NAME: Final = "events.sqlite3"
"""Name of the database in the folder of the index."""


class EventLocation(NamedTuple):
    """The location of an event.

    Attributes:
        file: the log file.
        offset: offset of its first byte in the file's content.
        length: length of its line in bytes, including the newline.
        at: time of the event, microseconds since 1970.
    """

    file: LogFile
    offset: int
    length: int
    at: int


class Index(Database):
    """An open index; a context manager.

    Args:
        directory: the log directory.
        folder: the index's folder; by default the one in the log directory.

    Attributes:
        path: path of its database.

    Raises:
        IndexUnavailableError: it cannot be opened.
    """

    def __init__(
        self, directory: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None
    ) -> None:
        self._directory = Path(directory)
        folder = self._directory / INDEX if folder is None else Path(folder)
        path = folder / NAME
        try:
            files, folders = modes_of(self._directory)
            make_folder(folder, folders, parents=False)
            super().__init__(path, files, seconds=WAIT_SECONDS, autocommit=True)
        except (OSError, sqlite3.Error) as error:
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error
        self._execute = self.connection.execute
        self._writer = IndexWriter(self.connection, self._directory, path)
        try:
            self._writer.prepare()
        except sqlite3.Error as error:
            self.close()
            raise IndexUnavailableError(f"cannot open the index {path}: {error}") from error

    def catch_up(self, progress: Progress | None = None) -> None:
        """Index new lines, and forget files that were removed or replaced.

        Any number of processes may do so at the same time: they take turns.

        Args:
            progress: called after each piece.

        Raises:
            IndexUnavailableError: the database cannot be written.
            ReadError: a log file cannot be read.
        """
        self._writer.catch_up(progress)

    def add_up(self) -> None:
        """Add indexed events to the roll-ups on which figures are based, file by file.

        Raises:
            IndexUnavailableError: the database cannot be written.
        """
        self._writer.add_up()

    def forget(self, file: LogFile) -> None:
        """Forget a file, so that it is indexed again.

        Raises:
            IndexUnavailableError: the database cannot be written.
        """
        self._writer.forget(file)

    def pending_bytes(self) -> int:
        """Return the approximate number of bytes of the log that are not in the index."""
        return self._writer.pending(
            file for file in log_files(self._directory) if not file.archived
        )

    def of_row(self, key: str) -> list[EventLocation]:
        """Return the events that name a row, or may concern it without naming any, in time order.

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
        """Return the events of a session in time order; rarely also others.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        number = session_number(session_id)
        return self._places("SELECT id FROM events WHERE session = :text", number)

    def of_event(self, event_id: str) -> list[EventLocation]:
        """Return the events with an id; seldom also others.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        return self._places("SELECT id FROM events WHERE event = :text", event_number(event_id))

    def with_address(self, address: str) -> list[str]:
        """Return keys of rows that may have had an e-mail address, in any case.

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
        """Return the locations of events by number, without events that no longer exist.

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
        """Return the rows of a query; the queries are in `leadlog.reading.index.figures`.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        try:
            return self._execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"cannot read the index: {error}") from error

    def _files(self) -> dict[tuple[str, str], LogFile]:
        """Return the current files that are not sealed; sealed ones are queried in SQL."""
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

    def keys(self, most: int) -> Iterator[str]:
        """Yield some of the keys of rows, in order; nothing is read before the first is wanted.

        Raises:
            IndexUnavailableError: the database cannot be read.
        """
        # From key to key by the index: DISTINCT would read the entries of every event.
        for (key,) in self.ask(
            "WITH RECURSIVE found(key) AS ("
            "SELECT min(key) FROM events WHERE key IS NOT NULL UNION ALL "
            "SELECT (SELECT min(key) FROM events WHERE key > found.key) FROM found "
            "WHERE found.key IS NOT NULL) SELECT key FROM found WHERE key IS NOT NULL LIMIT ?",
            (most,),
        ):
            yield key

    def count_damaged(self, categories: tuple[str, ...], skipped: Skipped) -> None:
        """Add the lines of some categories that are not events, counted as their readers do.

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

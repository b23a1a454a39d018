"""The log behind the views: its open, up-to-date index, and single records by number."""

import os
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Any, Final, Self

from leadlog.core.layout import log_files
from leadlog.reading.index import Index, IndexUnavailableError, MovedError, Progress, read_places
from leadlog.reading.index.figures import Figures

__all__ = ["Log"]

_POOL: Final = 4


class Log:
    """A log directory with its index; a context manager.

    If no index can be kept in the log directory, it is created in a temporary folder of this
    process, readable only by its user.

    Args:
        directory: the log directory.

    Attributes:
        directory: the log directory.
        own_index: whether the index is in the log directory.

    Raises:
        IndexUnavailableError: the index cannot be created anywhere.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writing = threading.Lock()
        self._pool: LifoQueue[tuple[Index, Figures]] = LifoQueue(_POOL)
        try:
            self._writer = Index(self.directory)
            self.own_index = True
        except IndexUnavailableError:
            self._folder = tempfile.TemporaryDirectory(prefix="leadlog-index-")
            self._writer = Index(self.directory, self._folder.name)
            self.own_index = False
        self._inode = self._inode_now()
        self._closed = False

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
        """Close the index; idempotent."""
        if self._closed:
            return
        self._closed = True
        with self._writing:
            self._drain()
            self._writer.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _drain(self) -> None:
        with suppress(Empty):
            while True:
                self._pool.get_nowait()[0].close()

    def _inode_now(self) -> int | None:
        try:
            return self._writer.path.stat().st_ino
        except FileNotFoundError:
            return None

    def _where(self) -> str | None:
        return None if self._folder is None else self._folder.name

    def catch_up(self, progress: Progress | None = None) -> None:
        """Index the new events.

        Args:
            progress: called with the bytes indexed so far and the total.

        Raises:
            IndexUnavailableError: the index cannot be written.
            ReadError: a log file cannot be read.
        """
        with self._writing:
            if self._closed:
                return
            if self._inode != self._inode_now():  # an erasure removed it
                self._drain()
                self._writer.close()
                self._writer = Index(self.directory, self._where())
                self._inode = self._inode_now()
            self._writer.catch_up(progress)
            self._writer.add_up()

    @contextmanager
    def figures(self) -> Iterator[Figures]:
        """Yield the figures of the index, for use by one thread.

        All are of one state of the index, whatever is indexed during the block: the first query
        begins a transaction that ends with the block.

        Raises:
            IndexUnavailableError: the index cannot be read.
        """
        try:
            index, figures = self._pool.get_nowait()
        except Empty:
            index = Index(self.directory, self._where())
            figures = Figures(index)
        try:
            index.ask("BEGIN")
            yield figures
            index.ask("COMMIT")
        except BaseException:
            index.close()
            raise
        if self._closed or self._inode != self._inode_now():
            index.close()
            return
        try:
            self._pool.put_nowait((index, figures))
        except Exception:  # noqa: BLE001 - queue.Full: there are enough of them
            index.close()

    @contextmanager
    def index(self) -> Iterator[Index]:
        """Yield a separately opened index, for queries of rows and sessions.

        Raises:
            IndexUnavailableError: the index cannot be read.
        """
        with Index(self.directory, self._where()) as index:
            yield index

    def records(self, figures: Figures, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
        """Return records by the index numbers of their events.

        Records of a file replaced since it was indexed are left out; the file is reindexed.

        Args:
            figures: open figures of this log.
            numbers: index numbers of the events.

        Raises:
            ReadError: a file cannot be read.
            IndexUnavailableError: the index cannot be used.
        """
        places = figures.places(numbers)
        by_file: dict[Path, list[int]] = {}
        for number, place in places.items():
            by_file.setdefault(place.file.path, []).append(number)
        found: dict[int, dict[str, Any]] = {}
        for own in by_file.values():
            own.sort(key=lambda number: places[number].offset)
            try:
                events = [*read_places(places[number] for number in own)]
            except MovedError as error:
                (place,) = error.args
                with self._writing:
                    self._writer.forget(place.file)
                self.catch_up()
                continue
            found.update((number, event.data) for number, event in zip(own, events, strict=True))
        return found

    def sealed_days(self) -> list[str]:
        """Return the days that are sealed, at least in part, and therefore not in the index."""
        return sorted({file.date for file in log_files(self.directory) if file.archived})

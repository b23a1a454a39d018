"""The source of shipping: batches of the next records from all files, in any format.

Today's files are read first, so that a backlog of months does not delay current records; then the
others, oldest first. A position belongs to a file's content, which stays the same when the file is
compressed or sealed. Where a file was rewritten, by an erasure for example, the position is found
again by the last line or, if that was removed, by the event_ids that were shipped last.
"""

import time
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from leadlog.core.clock import utc_date
from leadlog.core.errors import LeadlogError
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.events import Event, LineReader, Skipped, open_content
from leadlog.reading.shipments import FileProgress, Key, Shipments, form_of, key_of
from leadlog.shipping.contract import Item
from leadlog.shipping.destination import Destination

__all__ = ["Batch", "Source", "event_id_of"]

_RECENT: Final = 200
_SCAN_SECONDS: Final = 1.0
_LONGEST_ID: Final = 200
_REMOVED: Final = "removed before it was shipped"


@attrs.define
class Batch:
    """Records that are shipped together, and the progress to store once they are.

    Attributes:
        items: The records.
        progress: How far each file was read for the batch.
        bytes: Size of all lines.
        backlog: Number of events of past days.
    """

    items: list[Item] = attrs.field(factory=list)
    progress: dict[Key, FileProgress] = attrs.field(factory=dict)
    bytes: int = 0
    backlog: int = 0


@attrs.define
class _Open:
    """A file in which seeking is expensive, kept open between batches."""

    key: Key
    form: str
    stream: BinaryIO
    reader: LineReader


def event_id_of(event: Event) -> str:
    """Return a record's event_id, or a hash of its line if it has none."""
    found = event.data.get("event_id")
    if type(found) is str and 0 < len(found) <= _LONGEST_ID:
        return found
    return blake2b(event.raw, digest_size=16).hexdigest()


class Source:
    """Reads batches of records for one destination.

    Args:
        directory: The log directory; it need not exist yet.
        shipments: The stored progress.
        destination: Determines the files.
        encode: Encodes an event for sending, as soon as it is read, so that no batch of decoded
            records is held in memory.
        clock: Returns microseconds since 1970.
        notice: Called with one line of text for the operator.

    Attributes:
        skipped: Counts the damaged lines read so far.
    """

    def __init__(
        self,
        directory: Path,
        shipments: Shipments,
        destination: Destination,
        encode: Callable[[str, Event], Item],
        *,
        clock: Callable[[], int],
        notice: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._shipments = shipments
        self._destination = destination
        self._encode = encode
        self._clock = clock
        self._notice = notice
        self._progress = shipments.progress()
        self._live: list[LogFile] = []
        self._backlog: deque[LogFile] = deque()
        self._scanned_at = float("-inf")
        self._scan_took = 0.0
        self._open: _Open | None = None
        self._failed: dict[Key, str] = {}
        self.skipped = Skipped()

    def close(self) -> None:
        """Close the open file, if any."""
        if self._open is not None:
            self._open.stream.close()
            self._open = None

    def committed(self, batch: Batch) -> None:
        """Adopt the positions of a batch that was acknowledged."""
        self._progress.update(batch.progress)

    # ------------------------------------------------------------------------------- which files

    def scan(self) -> None:
        """List the files again, and find out why some are missing.

        Raises:
            OSError: A folder cannot be listed.
        """
        began = time.monotonic()
        files = log_files(
            self._directory, self._destination.categories, self._destination.since or None
        )
        today = utc_date(self._clock())
        self._live = [
            file for file in files if file.date >= today and not (file.compressed or file.archived)
        ]
        self._gone(files)
        live = {key_of(file) for file in self._live}
        self._backlog = deque(
            file for file in files if key_of(file) not in live and not self._is_done(file)
        )
        self._scanned_at = time.monotonic()
        self._scan_took = self._scanned_at - began

    def _is_done(self, file: LogFile) -> bool:
        known = self._progress.get(key_of(file))
        try:
            form = form_of(file.path.stat())
        except OSError:
            return True  # found in its new place at the next scan
        if self._failed.get(key_of(file)) == form:
            return True
        return known is not None and known.complete and known.form == form

    def _gone(self, files: list[LogFile]) -> None:
        """Forget files that no longer exist: merged ones, and those that retention removed."""
        there = {key_of(file) for file in files}
        gone = [key for key in self._progress if key not in there]
        if not gone:
            return
        kept = self._shipments.progress()  # the janitor counts the records that it removes
        merged: dict[tuple[str, str], list[LogFile]] = {}
        for file in files:
            if file.merged:
                merged.setdefault((file.category, file.date), []).append(file)
        adopted: dict[Key, FileProgress] = {}
        lost: list[tuple[str, int | None, int | None, int | None]] = []
        for key in gone:
            category, stem = key
            parts = merged.get((category, stem[:10]))
            if parts is None:
                known = kept.get(key, self._progress[key])
                if not known.complete:
                    size = int(known.form.partition(":")[0] or 0)
                    left = max(size - known.read_to, 0) if known.form else None
                    lost.append((_REMOVED, 1, left, None))
                    self._notice(f"{category}/{stem} was removed before all of it was shipped")
                continue
            for part in parts:
                if key_of(part) in self._progress or key_of(part) in adopted:
                    continue
                # Parts are merged only once they are shipped; see the janitor.
                siblings = [one for one in gone if one[0] == category and one[1][:10] == stem[:10]]
                if all(self._progress[one].complete for one in siblings):
                    adopted[key_of(part)] = self._whole(part)
        self._shipments.commit(adopted, at_us=self._clock(), gone=gone, dropped=lost)
        self._progress.update(adopted)
        for key in gone:
            del self._progress[key]

    def _whole(self, file: LogFile) -> FileProgress:
        """Return the progress of a file all of whose lines were shipped under other names."""
        form = form_of(file.path.stat())
        with open_content(file.path) as stream:
            reader = LineReader(stream, file.path, 0, Skipped())
            recent = deque(reader.read(), maxlen=_RECENT)
            ids = [event_id_of(event) for event in recent]
            last = recent[-1] if recent else None
            return _moved(FileProgress(), last, ids, reader.offset, complete=True, form=form)

    # ------------------------------------------------------------------------------------ batches

    def read(self) -> Batch:
        """Return the next batch to ship; an empty one if nothing is pending.

        Raises:
            OSError: A folder cannot be listed.
        """
        since = time.monotonic() - self._scanned_at
        if since > max(_SCAN_SECONDS, 5 * self._scan_took):
            self.scan()
        batch = self._filled()
        if not batch.progress and since > 0.05:
            self.scan()  # a new file may exist
            batch = self._filled()
        return batch

    def _filled(self) -> Batch:
        batch = Batch()
        for file in self._live:
            if not self._read_file(file, batch):
                return batch
        while self._backlog:
            before = len(batch.items)
            whole = self._read_file(self._backlog[0], batch)
            batch.backlog += len(batch.items) - before
            if not whole:
                return batch
            self._backlog.popleft()
        return batch

    def _is_full(self, batch: Batch) -> bool:
        limits = self._destination
        return len(batch.items) >= limits.batch_records or batch.bytes >= limits.batch_bytes

    def _read_file(self, file: LogFile, batch: Batch) -> bool:
        """Add records of a file; return False if the batch is full and the file may have more."""
        if self._is_full(batch):
            return False
        key = key_of(file)
        try:
            state = file.path.stat()
        except OSError:
            return True  # found in its new place at the next scan
        known, form = self._progress.get(key, FileProgress()), form_of(state)
        before, size = len(batch.items), batch.bytes
        if (known.complete and known.form == form) or self._failed.get(key) == form:
            return True
        try:
            return self._read_on(file, key, form, known, batch)
        except FileNotFoundError:
            return True
        except (OSError, LeadlogError) as error:
            self.close()
            self._failed[key] = form
            batch.progress.pop(key, None)
            del batch.items[before:]
            batch.bytes = size
            what = error.strerror if isinstance(error, OSError) else None
            self._notice(f"cannot read {file.path}: {what}" if what else str(error))
            return True

    def _read_on(
        self, file: LogFile, key: Key, form: str, known: FileProgress, batch: Batch
    ) -> bool:
        opened = self._opened(file, key, form, known)
        reader, encode, category = opened.reader, self._encode, file.category
        items, before, last = batch.items, len(batch.items), None
        room, most = self._destination.batch_records, self._destination.batch_bytes
        full = False
        try:
            for event in reader.read():
                last = event
                items.append(encode(category, event))
                batch.bytes += len(event.raw)
                if len(items) >= room or batch.bytes >= most:
                    full = True
                    break
        except BaseException:
            self.close()
            opened.stream.close()
            raise
        ids = [item.event_id for item in items[before:][-_RECENT:]]
        batch.progress[key] = _moved(known, last, ids, reader.offset, complete=not full, form=form)
        if not full or self._open is not opened:
            opened.stream.close()
            if self._open is opened:
                self._open = None
        return not full

    def _opened(self, file: LogFile, key: Key, form: str, known: FileProgress) -> _Open:
        """Return a file, opened at the position where reading continues."""
        keep = file.compressed or file.archived
        here = self._open
        if here is not None:
            same = keep and here.key == key and here.form == form
            if same and here.reader.offset == known.read_to:
                return here
            self.close()
        stream = open_content(file.path)
        try:
            offset = self._place(stream, known, file.path)
            found = _Open(key, form, stream, LineReader(stream, file.path, offset, self.skipped))
        except BaseException:
            stream.close()
            raise
        if keep:
            self._open = found
        return found

    def _place(self, stream: BinaryIO, known: FileProgress, path: Path) -> int:
        """Return the offset of the first line that was not shipped."""
        if not known.last_line:
            # Only damaged lines were read: a line begins here, or the file is another one.
            return known.read_to
        stream.seek(known.last_start)
        line = stream.readline()
        if _hash(line) == known.last_line:
            if known.last_start + len(line) == known.read_to:
                return known.read_to
            return known.last_start + len(line)
        recent = set(known.recent)
        stream.seek(0)
        reader, found = LineReader(stream, path, 0, Skipped()), -1
        for event in reader.read():
            if event_id_of(event) in recent:
                found = reader.offset
        if found < 0:
            self._notice(
                f"{path} was replaced, and it no longer has what was shipped last; "
                "shipping it from its start"
            )
            return 0
        return found


def _moved(
    known: FileProgress,
    last: Event | None,
    ids: list[str],
    read_to: int,
    *,
    complete: bool,
    form: str,
) -> FileProgress:
    """Return a later position, with the marks by which it is found again."""
    if last is None:
        return attrs.evolve(known, read_to=read_to, complete=complete, form=form)
    if len(ids) < _RECENT:
        ids = [*known.recent[len(ids) - _RECENT :], *ids]
    return FileProgress(
        read_to=read_to,
        last_start=last.offset,
        last_line=_hash(last.raw + b"\n"),
        complete=complete,
        form=form,
        recent=tuple(ids),
    )


def _hash(line: bytes) -> str:
    return blake2b(line, digest_size=12).hexdigest()

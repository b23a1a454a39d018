"""Shipping of sealed days to an object store by date and host, so many machines read as one.

A part is written under a name that identifies its content, then its manifest, and then the
position is advanced: however a run ends, the next one writes the same objects again, and no reader
counts a day twice.
"""

import hashlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import orjson

from leadlog.core.clock import now_us
from leadlog.core.errors import ReadError, SettingsError, ShippingError
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.events import read_events
from leadlog.reading.objects import Manifest, ObjectStore, host_word
from leadlog.reading.part import damaged_path
from leadlog.reading.shipments import FileProgress, Key, Shipments, form_of, key_of, shipping_lock
from leadlog.shipping.destination import Destination
from leadlog.shipping.shipper import ShipReport, remember
from leadlog_processors.masking import mask_text
from leadlog_processors.privacy import Privacy

__all__ = ["ObjectShipper"]

_LOOK_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5.0
_BLOCK_BYTES: Final = 1 << 20


class ObjectShipper:
    """Ships the sealed days of a log directory to an object store.

    Args:
        directory: The log directory.
        destination: The destination.
        privacy: Policy applied to personal data; None to leave it as it is.
        notice: Called with one line of text for the operator.
        clock: Returns microseconds since 1970.
        stop: Ends a run when set.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        *,
        privacy: Privacy | None = None,
        notice: Callable[[str], None] = lambda _: None,
        clock: Callable[[], int] = now_us,
        stop: threading.Event | None = None,
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._privacy = privacy
        self._notice = notice
        self._clock = clock
        self._stop = threading.Event() if stop is None else stop
        self._store = ObjectStore(destination.url, destination.region, destination.endpoint)
        self._host = host_word(destination.host or socket.gethostname())
        self.report = ShipReport(destination.name)

    def close(self) -> None:
        """Do nothing; the connections are pyarrow's."""

    def once(self, give_up_seconds: float = 30.0) -> ShipReport:
        """Write all parts that the store lacks.

        Args:
            give_up_seconds: How long an unreachable store is retried.

        Raises:
            ShippingError: Another process ships to this destination.
            LeadlogError: The position cannot be stored.
        """
        with shipping_lock(self._directory, self._destination.name) as other:
            if other is not None:
                raise ShippingError(f"process {other} ships to {self._destination.name} already")
            with self._opened() as shipments:
                end = time.monotonic() + give_up_seconds
                while not self._tried(shipments) and time.monotonic() < end:
                    if self._stop.wait(min(_RETRY_SECONDS, max(end - time.monotonic(), 0.01))):
                        break
        return self.report

    def run(self) -> ShipReport:
        """Check for sealed days every minute until stopped.

        Raises:
            LeadlogError: The position cannot be stored.
        """
        while not self._stop.is_set():
            with shipping_lock(self._directory, self._destination.name) as other:
                if other is None:
                    with self._opened() as shipments:
                        while not self._stop.is_set():
                            self._tried(shipments)
                            self._stop.wait(_LOOK_SECONDS)
                    return self.report
            self._stop.wait(_RETRY_SECONDS)
        return self.report

    def replay(self, give_up_seconds: float = 30.0) -> ShipReport:  # noqa: ARG002 - as of the others
        """Raise a SettingsError: an object store refuses no record.

        Raises:
            SettingsError: Always.
        """
        raise SettingsError(
            f"{self._destination.name} is an object store, which refuses no record; there is "
            "nothing to replay"
        )

    @contextmanager
    def _opened(self) -> Iterator[Shipments]:
        with Shipments(self._directory, self._destination.name) as shipments:
            remember(shipments, self._destination, self._notice, can_erase=True)
            yield shipments

    def _tried(self, shipments: Shipments) -> bool:
        """Write the missing parts; return False if the store could not be reached."""
        try:
            self._write_all(shipments)
        except OSError as error:
            self.report.error = mask_text(f"{self._store.url}: {error}")[:500]
            shipments.put(error=self.report.error, error_us=self._clock())
            self._notice(f"{self.report.error}; trying again")
            return False
        self.report.error = None
        return True

    def _write_all(self, shipments: Shipments) -> None:
        progress = shipments.progress()
        erasures = shipments.erasures(1_000_000)
        files = log_files(
            self._directory, self._destination.categories, self._destination.since or None
        )
        sealed = [file for file in files if file.archived]
        if files and not sealed:
            self._notice(
                "no day is sealed, and an object store takes nothing else; set parquet_after_days, "
                "or run `leadlog archive --parquet-after-days 1`"
            )
        there = {key_of(file) for file in sealed}
        gone = [key for key in progress if key not in there]
        for file in sealed:
            if self._stop.is_set():
                return
            try:
                form = form_of(file.path.stat())
            except FileNotFoundError:  # merged or removed since it was listed
                continue
            known = progress.get(key_of(file))
            if known is None or not known.complete or known.form != form:
                self._write(shipments, file, form, gone if file.merged else [])
        self._forget(shipments, sealed, gone)
        shipments.erasures_done(erasures)

    def _write(self, shipments: Shipments, file: LogFile, form: str, gone: list[Key]) -> None:
        """Write a part, then its manifest, then the position."""
        replaces = tuple(
            f"part-{stem}.parquet"
            for category, stem in gone
            if category == file.category and stem[:10] == file.date
        )
        try:
            with self._as_wanted(file) as part:
                beside = damaged_path(part)
                manifest = Manifest(
                    category=file.category,
                    date=file.date,
                    host=host_word(file.host) if file.host else self._host,
                    part=file.path.name,
                    bytes=part.stat().st_size,
                    sha256=_digest(part),
                    records=_records(part),
                    damaged=beside.exists(),
                    replaces=replaces,
                )
                content = orjson.dumps(attrs.asdict(manifest), option=orjson.OPT_INDENT_2)
                if self._store.read(manifest.path) != content:
                    # What the old manifest says is not true while the part is replaced.
                    self._store.put(f"{manifest.folder}/{manifest.part}", part)
                    if manifest.damaged:
                        self._store.put(f"{manifest.folder}/{beside.name}", beside)
                    self._store.put_bytes(manifest.path, content)
        except ReadError as error:
            self._notice(str(error))
            return
        done = FileProgress(complete=True, form=form)
        shipments.commit({key_of(file): done}, sent=manifest.records, at_us=self._clock())
        self.report.sent += manifest.records

    @contextmanager
    def _as_wanted(self, file: LogFile) -> Iterator[Path]:
        """Yield the path of a part with the destination's policy on personal data applied."""
        privacy = self._privacy
        if privacy is None:
            yield file.path
            return
        from leadlog.reading.archive.parts import writing_part

        def content() -> Iterator[bytes]:
            for event in read_events(file.path):
                yield orjson.dumps(privacy(None, "info", event.data)) + b"\n"

        with tempfile.TemporaryDirectory(prefix="leadlog-spill-") as folder:
            part = Path(folder, f"category={file.category}", f"date={file.date}", file.path.name)
            part.parent.mkdir(parents=True)
            with writing_part(part, file.category, content):
                pass
            yield part

    def _forget(self, shipments: Shipments, sealed: list[LogFile], gone: list[Key]) -> None:
        """Remove parts that a merged one contains; parts removed by retention stay in the store."""
        merged = {(file.category, file.date) for file in sealed if file.merged}
        for category, stem in gone:
            day = stem[:10]
            if (category, day) in merged:
                old = Manifest(
                    category=category,
                    date=day,
                    host=self._host,
                    part=f"part-{stem}.parquet",
                    bytes=0,
                    sha256="",
                    records=0,
                )
                self._store.remove(old.path)
                self._store.remove(f"{old.folder}/{old.part}")
                self._store.remove(f"{old.folder}/{damaged_path(Path(old.part)).name}")
        if gone:
            shipments.commit({}, at_us=self._clock(), gone=gone)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _records(part: Path) -> int:
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(part).num_rows)
    except (OSError, ValueError) as error:
        raise ReadError(f"cannot read {part}: {error}") from error

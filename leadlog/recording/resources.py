"""Resources: memory and load of the process and counts of the store, sampled in the background.

Reading the resident set costs 10 to 60 µs and counting a store's leads much more, so events use
the last sample instead, with its age if their record has a key for it. A store is sampled only
while events with these values are logged, at most as often as the setting
`store_sample_seconds`, and for at most a hundredth of the time.
"""

import contextlib
import errno
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import psutil

from leadlog.core.forks import renew_after_fork
from leadlog.core.native import Lock, is_patched
from leadlog.core.threads import Background, is_current, is_ending, start_thread

__all__ = [
    "Sample",
    "Sampler",
    "StoreSample",
    "WatchedStore",
    "disk_bytes",
    "resident_mb",
    "take_sample",
    "watch_store",
]

_MB = 1_000_000
_LEAST_PAUSE = 99  # times the duration of a store's sample: sampling takes 1 % of the time
_WANTED_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of the process.

    Attributes:
        memory_mb: resident set, 10^6 bytes; None if it could not be read.
        load: the system's load average of the last minute; None if the system has none.
        taken_ns: time of the sample, nanoseconds of the monotonic clock.
    """

    memory_mb: float | None
    load: float | None
    taken_ns: int


@dataclass(frozen=True, slots=True)
class StoreSample:
    """One sample of a lead store.

    Attributes:
        database_size_mb: size of the whole database, 10^6 bytes.
        total_leads: leads in the store.
        pending_syncs: leads waiting for a sync.
        active_connections: open connections of this process's pool.
        taken_ns: time of the sample, nanoseconds of the monotonic clock.
    """

    database_size_mb: float | None
    total_leads: int | None
    pending_syncs: int | None
    active_connections: int | None
    taken_ns: int


class WatchedStore(Protocol):
    """A store that can be sampled."""

    @property
    def closed(self) -> bool:
        """Whether the store is closed and can no longer be sampled."""
        ...

    def sample(self) -> StoreSample | None:
        """Take a sample now, from any thread; None if that is not possible. May raise."""
        ...


class _MeasuredProcess:
    """This process: psutil's object and the descriptor of its I/O counters, created once."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Discard the parent's descriptor, which counts the parent's bytes."""
        self.process: psutil.Process | None = None
        self.counters: int | None = None
        self.no_counters = False


_this = _MeasuredProcess()
_stores: list[weakref.ref[WatchedStore]] = []


def watch_store(store: WatchedStore) -> None:
    """Sample a store from now on; if several are open, the newest is sampled.

    Args:
        store: the store; weakly referenced.
    """
    _stores[:] = [ref for ref in _stores if (one := ref()) is not None and not one.closed]
    _stores.append(weakref.ref(store))


def _newest_store() -> WatchedStore | None:
    for ref in reversed(_stores):
        store = ref()
        if store is not None and not store.closed:
            return store
    return None


def resident_mb() -> float | None:
    """Return the resident set of this process now, 10^6 bytes; None if it cannot be read."""
    try:
        if _this.process is None:
            _this.process = psutil.Process()
        return round(float(_this.process.memory_info().rss) / _MB, 3)
    except (psutil.Error, OSError):  # out of descriptors, or no /proc
        return None


def disk_bytes() -> int | None:
    """Return the bytes this process has read from and written to storage; None if unknown.

    Read from Linux's own counters through a descriptor that stays open: 5 µs, where psutil takes
    70, and each measured run needs it twice.
    """
    if _this.no_counters:
        return None
    try:
        if _this.counters is None:
            _this.counters = os.open("/proc/self/io", os.O_RDONLY | os.O_CLOEXEC)
        fields = dict(line.split(b": ") for line in os.pread(_this.counters, 512, 0).splitlines())
        return int(fields[b"read_bytes"]) + int(fields[b"write_bytes"])
    except (OSError, ValueError, KeyError) as error:
        # Not Linux, or access denied; only a lack of descriptors is temporary.
        passing = isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}
        _this.no_counters = not passing
        return None


def peak_mb() -> float | None:
    """Return the highest resident set of the process so far, 10^6 bytes; None if unknown."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def take_sample() -> Sample:
    """Return a sample of the process, taken now."""
    try:
        load = round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        load = None
    return Sample(resident_mb(), load, time.monotonic_ns())


class Sampler:
    """Recent samples, taken by a daemon thread.

    Args:
        interval: seconds between samples of the process.
        store_interval: minimum seconds between samples of a store; 0 for none at all.
        now_ns: a monotonic clock, nanoseconds.

    Attributes:
        latest: the last sample; the first is taken at once.
        store: the last sample of the newest store; None before one was needed.
    """

    def __init__(
        self,
        interval: float,
        store_interval: float = 0.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._interval = interval
        self._store_interval = store_interval
        self._now_ns = now_ns
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Discard the parent's thread and samples."""
        self._thread: Background | None = None
        self._stopped = False
        self._alarm = Lock()
        self._alarm.acquire()
        self.latest: Sample | None = None
        self.store: StoreSample | None = None
        self._of: weakref.ref[WatchedStore] | None = None
        self._looking: Background | None = None
        self._wanted_until = self._next_store = -1

    def start(self) -> None:
        """Start the thread if it is not running."""
        if self._thread is None and not self._stopped:
            self.latest = take_sample()
            self._thread = start_thread(self._run, "leadlog-sampler")

    def _run(self) -> None:
        alarm = self._alarm
        while not alarm.acquire(timeout=self._interval):
            self.latest = take_sample()
            if not is_patched():
                self._look_beside()

    def _look_beside(self) -> None:
        """Sample the store in a separate thread, since counting may take long.

        With green threads, it is a green thread started by another one, because connections and
        their pool belong to green threads.
        """
        if is_ending() or self._due() is None:
            return
        if self._looking is not None and self._looking.is_alive():
            return
        looking = threading.Thread(
            target=self.look_at_store, name="leadlog-store-sampler", daemon=True
        )
        with contextlib.suppress(RuntimeError):  # "can't start new thread"
            looking.start()
            self._looking = looking

    def look_at_store(self) -> None:
        """Take a sample of the newest store if one is needed and due; never raises."""
        store = self._due()
        if store is None:
            return
        began = self._now_ns()
        try:
            found = store.sample()
        except Exception:  # noqa: BLE001 - the database's driver may raise anything
            found = None
        ended = self._now_ns()
        pause = max(int(self._store_interval * 1e9), (ended - began) * _LEAST_PAUSE)
        self._next_store = ended + pause
        self._of, self.store = weakref.ref(store), found

    def _due(self) -> WatchedStore | None:
        """Return the store to be sampled now; discard the samples of one that is closed."""
        store = _newest_store()
        if self._of is not None and self._of() is not store:
            self.store = self._of = None
            self._next_store = -1
        now = self._now_ns()
        wanted = self._store_interval and self._next_store <= now <= self._wanted_until
        return store if wanted else None

    def memory_mb(self) -> float | None:
        """Return the resident set at the last sample, 10^6 bytes; None without a sample."""
        if self._thread is None:
            self.start()
        sample = self.latest
        return None if sample is None else sample.memory_mb

    def close(self) -> None:
        """Stop the thread."""
        if not self._stopped:
            self._stopped = True
            self._alarm.release()
        if self._thread is not None and not is_current(self._thread):
            self._thread.join(timeout=1.0)

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> Any:  # noqa: ARG002 - structlog's signature
        """Fill in sampled values if the event has the keys and no values; structlog's processor."""
        if self._thread is None:
            self.start()
        sample = self.latest
        metrics = event_dict.get("performance_metrics")
        if metrics is not None:
            if sample is not None and metrics.get("memory_usage_mb", 0) is None:
                metrics["memory_usage_mb"] = sample.memory_mb
            return event_dict
        system = event_dict.get("system_info")
        if system is not None:
            self._fill(event_dict, system, sample)
        return event_dict

    def _fill(self, event: Any, system: dict[str, Any], sample: Sample | None) -> None:
        now = self._now_ns()
        self._wanted_until = now + int(_WANTED_SECONDS * 1e9)
        if is_patched():
            self._look_beside()
        ages = []
        if sample is not None:
            if system["system_load"] is None:
                system["system_load"] = sample.load
                ages.append(now - sample.taken_ns)
            data = event["performance_data"]
            if data["memory_usage_mb"] is None:
                data["memory_usage_mb"] = sample.memory_mb
                data["sample_age_ms"] = max(now - sample.taken_ns, 0) / 1e6
        store = self.store
        if store is not None:
            figures = {
                "database_size_mb": store.database_size_mb,
                "total_leads": store.total_leads,
                "pending_syncs": store.pending_syncs,
                "active_connections": store.active_connections,
            }
            for name, value in figures.items():
                if system[name] is None:
                    system[name] = value
                    ages.append(now - store.taken_ns)
        if ages and system["sample_age_ms"] is None:
            system["sample_age_ms"] = max(*ages, 0) / 1e6

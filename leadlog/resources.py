"""Resources: what the process uses, sampled in the background.

Reading the resident set costs about 10 µs, so events take the last sample instead.
"""

import os
import threading
from dataclasses import dataclass
from typing import Any

import psutil

from leadlog.forks import renew_after_fork

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process.

    Attributes:
        memory_mb: resident set, 10^6 bytes.
        load: the system's load average of the last minute; None where it has none.
    """

    memory_mb: float
    load: float | None


def resident_mb() -> float:
    """The resident set of this process now, 10^6 bytes."""
    return float(psutil.Process().memory_info().rss) / _MB


def take_sample() -> Sample:
    """Looks at the process now."""
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return Sample(round(resident_mb(), 3), load)


class Sampler:
    """Keeps a recent sample, taken by a daemon thread.

    Args:
        interval: seconds between samples.

    Attributes:
        latest: the last sample; the first is taken at once.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.latest: Sample | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forgets the parent's thread and what it saw."""
        self._thread = None
        self._stop = threading.Event()
        self.latest = None

    def start(self) -> None:
        """Starts the thread, where it does not run yet."""
        if self._thread is None and not self._stop.is_set():
            self.latest = take_sample()
            self._thread = threading.Thread(
                target=self._run, args=(self._stop,), name="leadlog-sampler", daemon=True
            )
            self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval):
            try:
                self.latest = take_sample()
            except (psutil.Error, OSError):
                self.latest = None  # unknown is null, not the value of some time ago

    def close(self) -> None:
        """Stops the thread."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> Any:  # noqa: ARG002 - structlog's signature
        """Processor: fills memory and load where the event has the keys and no value."""
        if self._thread is None:
            self.start()
        sample = self.latest
        if sample is None:
            return event_dict
        metrics = event_dict.get("performance_metrics")
        if metrics is not None:
            if metrics.get("memory_usage_mb", 0) is None:
                metrics["memory_usage_mb"] = sample.memory_mb
            return event_dict
        system = event_dict.get("system_info")
        if system is not None and system["system_load"] is None:
            system["system_load"] = sample.load
        return event_dict

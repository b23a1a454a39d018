"""Capture of everything in a process: every mapped class, on every engine."""

import dataclasses
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, mapped_column

import leadlog
from leadlog.recording.pipeline.logger import PipelineSlot
from leadlog_peers.expected import PROVOKED


class Everything:
    """Capture of every mapped class of this process, on every engine, as soon as it is mapped.

    Everything that can be recorded is recorded, including SQLAlchemy's internal reads and hits of
    the identity map.

    Args:
        directory: the log directory.
    """

    def __init__(self, directory: str) -> None:
        leadlog.configure(directory=directory)
        self._handles: dict[type, Any] = {}
        self.captured = 0
        self.failures: Counter[str] = Counter()
        self.provoked = 0
        self._watch_failures()
        always = _mapped_class()
        with _listening() as self._listeners:
            # Keeps every engine captured, even if a test maps nothing; after the first
            # `clear_mappers` of the suite it is a captured class that is no longer mapped.
            self._always = leadlog.capture(always, internal=True, hits=True)
            event.listen(Mapper, "after_mapper_constructed", self._mapped)
            event.listen(object, "class_uninstrument", self._unmapped, propagate=True)

    def listen_again(self) -> None:
        """Restore the listeners after a test; some tests remove all listeners of the process."""
        for target, name, listener, options in self._listeners:
            if not event.contains(target, name, listener):
                event.listen(target, name, listener, **options)

    def _watch_failures(self) -> None:
        """Count every failure inside leadlog, which itself reports only the first."""
        failed = PipelineSlot.failed

        def told(slot: PipelineSlot, error: Exception) -> None:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in frames if "leadlog" in Path(frame.filename).parts]
            places = [f"{Path(frame.filename).stem}:{frame.lineno}" for frame in ours[-3:]]
            if any(text in repr(error) for text in PROVOKED):
                self.provoked += 1
                return
            self.failures[f"  {error!r:.200} in {' > '.join(places)}"] += 1
            failed(slot, error)

        PipelineSlot.failed = told

    def _mapped(self, _mapper: Mapper[Any], mapped: type) -> None:
        self._unmapped(mapped)  # if it is mapped again
        self._handles[mapped] = leadlog.capture(mapped, internal=True, hits=True)
        self.captured += 1

    def _unmapped(self, mapped: type) -> None:
        handle = self._handles.pop(mapped, None)
        if handle is not None:
            handle.release()

    def close(self) -> dict[str, int]:
        """Write everything; return the counts."""
        self.listen_again()
        event.remove(Mapper, "after_mapper_constructed", self._mapped)
        event.remove(object, "class_uninstrument", self._unmapped)
        for mapped in list(self._handles):
            self._unmapped(mapped)
        self._always.release()
        flushed = leadlog.flush(60)
        stats = leadlog.stats()
        leadlog.shutdown()
        counts = counts_of(stats, flushed=flushed)
        counts["failures that the suite provokes"] = self.provoked
        return {"classes captured": self.captured, **counts, **self.failures}


@contextmanager
def _listening() -> Iterator[list[tuple[Any, str, Any, dict[str, Any]]]]:
    """Yield the listeners added to classes in the block: target, event, listener, options."""
    added: list[tuple[Any, str, Any, dict[str, Any]]] = []
    listen = event.listen

    def noted(target: Any, name: str, listener: Any, **options: Any) -> None:
        if isinstance(target, type):
            added.append((target, name, listener, options))
        listen(target, name, listener, **options)

    event.listen = noted
    try:
        yield added
    finally:
        event.listen = listen


def _mapped_class() -> type:
    class Base(DeclarativeBase):
        pass

    class AlwaysCaptured(Base):
        __tablename__ = "leadlog_always_captured"
        id: Mapped[int] = mapped_column(primary_key=True)

    Base.registry.configure()  # some tests count the mappers that are not configured yet
    return AlwaysCaptured


def counts_of(stats: leadlog.Stats, *, flushed: bool) -> dict[str, int]:
    """Return the counts of a pipeline's stats by which a run of the suite is judged."""
    fields: dict[str, Any] = dataclasses.asdict(stats)
    return {
        "records accepted": sum(fields["accepted"].values()),
        "records written": sum(fields["written"].values()),
        "records dropped": sum(sum(causes.values()) for causes in fields["dropped"].values()),
        "processor errors": fields["processor_errors"],
        "failures": fields["failures"],
        "flushes that took too long": int(not flushed),
    }

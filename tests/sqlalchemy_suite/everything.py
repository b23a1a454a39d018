"""Captures all that happens in a process: every mapped class, on every engine."""

import dataclasses
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Mapper

import leadlog
from leadlog.capturing.hooks import Handle, attach


class Everything:
    """Every engine of this process, captured while something is connected to it.

    Args:
        directory: the log directory.
    """

    def __init__(self, directory: str) -> None:
        leadlog.configure(directory=directory)
        self._handles: dict[int, tuple[Engine, Handle]] = {}
        event.listen(Engine, "engine_connect", self._connected)
        for name in ("insert", "update", "delete"):
            event.listen(Mapper, f"after_{name}", getattr(self, f"_{name}"))

    def _connected(self, connection: Connection) -> None:
        dialect = connection.dialect
        if "do_commit" not in vars(dialect):
            engine = connection.engine
            self._handles[id(dialect)] = engine, attach(engine)

    def _insert(self, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        self._note("create", mapper, connection, target)

    def _update(self, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        self._note("update", mapper, connection, target)

    def _delete(self, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        self._note("delete", mapper, connection, target)

    def _note(self, kind: str, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        found = self._handles.get(id(connection.dialect))
        if found is not None:
            found[1]._mappers._note(kind, mapper, connection, target)

    def let_go(self) -> None:
        """Releases the engines that a test made for itself; all but the first."""
        for key in list(self._handles)[1:]:
            self._handles.pop(key)[1].release()

    def close(self) -> dict[str, int]:
        """Writes everything, and tells what became of it."""
        event.remove(Engine, "engine_connect", self._connected)
        for _, handle in self._handles.values():
            handle.release()
        flushed = leadlog.flush(60)
        stats = leadlog.stats()
        leadlog.shutdown()
        return counts_of(stats, flushed=flushed)


def counts_of(stats: leadlog.Stats, *, flushed: bool) -> dict[str, int]:
    """The numbers of a pipeline's stats that a run of the suite is judged by."""
    fields: dict[str, Any] = dataclasses.asdict(stats)
    return {
        "records accepted": sum(fields["accepted"].values()),
        "records written": sum(fields["written"].values()),
        "records dropped": sum(sum(causes.values()) for causes in fields["dropped"].values()),
        "processor errors": fields["processor_errors"],
        "failures": fields["failures"],
        "flushes that took too long": int(not flushed),
    }

"""Measure, in a separate process, the cost of a new captured engine; print JSON.

    python -m tests.bench.engine_rounds CLASSES FOLDER

An engine is created, captured with CLASSES mapped classes, used for a transaction and a query, and
released; in turns with it, the same is done without capture.
"""

import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

import leadlog

ROUNDS = 30
KEPT = 20
COLUMNS = 8


def mapped(number: int) -> tuple[type, list[type]]:
    """Return a declarative base with a number of classes."""

    class Base(orm.DeclarativeBase):
        pass

    def body(place: int) -> dict[str, Any]:
        columns = {f"c{one}": sa.Column(sa.String) for one in range(COLUMNS)}
        key = sa.Column(sa.Integer, primary_key=True)
        return {"__tablename__": f"things_{place}", "id": key, **columns}

    return Base, [type(f"Thing{place}", (Base,), body(place)) for place in range(number)]


def use(base: type, thing: Any, *, captured: bool) -> tuple[sa.Engine, Any]:
    """Return a new engine that has been used."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    handle = leadlog.capture(engine, base) if captured else None
    thing.__table__.create(engine)
    with orm.Session(engine) as session:
        session.add(thing(c0="x"))
        session.commit()
        session.execute(sa.text("SELECT * FROM things_0")).all()
    return engine, handle


def end(used: tuple[sa.Engine, Any]) -> None:
    """Release and dispose of an engine."""
    engine, handle = used
    if handle is not None:
        handle.release()
    engine.dispose()


def cpu_ms(base: type, thing: Any, *, captured: bool) -> float:
    """Return the least CPU time of the thread for one engine, milliseconds."""
    costs = []
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        started = time.thread_time_ns()
        end(use(base, thing, captured=captured))
        costs.append(time.thread_time_ns() - started)
        gc.enable()
    return min(costs) / 1e6


def kept_kib(base: type, thing: Any, *, captured: bool) -> float:
    """Return the Python memory held by one engine in use, KiB."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    used = [use(base, thing, captured=captured) for _ in range(KEPT)]
    leadlog.flush(30)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for one in used:
        end(one)
    return held / KEPT / 1024


def main() -> None:
    """Print milliseconds and KiB of an engine, not captured and captured."""
    number, folder = int(sys.argv[1]), Path(sys.argv[2])
    base, things = mapped(number)
    orm.configure_mappers()
    leadlog.configure(directory=folder / f"logs-{number}")
    for captured in (False, True):  # what is determined once per process
        end(use(base, things[0], captured=captured))
    found = {
        name: [measure(base, things[0], captured=captured) for captured in (False, True)]
        for name, measure in (("cpu_ms", cpu_ms), ("kept_kib", kept_kib))
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

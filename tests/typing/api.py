"""The public API as a type checker sees it; checked by mypy and pyright, never run."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import assert_type

import leadlog
from leadlog.testing import FakeAirtable


@leadlog.monitor_performance("f")
def function(a: int, *, b: str = "") -> list[int]:
    """A function."""
    return [a, len(b)]


@leadlog.monitor_performance("c")
async def coroutine(a: int) -> str:
    """A coroutine function."""
    return str(a)


@leadlog.monitor_performance()
def generator() -> Iterator[int]:
    """A generator function."""
    yield 1


@leadlog.monitor_performance()
async def async_generator() -> AsyncIterator[int]:
    """An asynchronous generator function."""
    yield 1


def check() -> None:
    """The decorator keeps types; configure, session and the store give what they say."""
    assert_type(function(1, b="x"), list[int])
    awaitable: Callable[[int], Awaitable[str]] = coroutine
    assert_type(generator(), Iterator[int])
    assert_type(async_generator(), AsyncIterator[int])
    with leadlog.configure(level="info") as pipeline:
        assert_type(pipeline.flush(), bool)
    with leadlog.session(user="ana") as session_id:
        assert_type(session_id, str)
    with leadlog.LeadDatabase("sqlite://") as db:
        assert_type(db.add_lead({"name": "Ana"}), str)
        assert_type(db.update_lead("1", {}), bool)
        assert_type(leadlog.MigrationManager(db).migrate_json_files(["a.json"]).migrated, int)
    assert_type(leadlog.capture("engine", int).release(), None)
    with FakeAirtable(fields={"Name": "singleLineText"}) as airtable:
        assert_type(airtable.create({"Name": "Ana"}), str)
        assert_type(airtable.fail("error", status=500, nth=2).fired, int)
    assert_type(leadlog.stats().accepted, dict[str, int])
    assert_type(leadlog.log_database_event("error"), str)
    leadlog.bind(user="ana")
    del awaitable


def check_options(app: object) -> None:
    """Options have names and types: an unused ignore here shows that an error went unreported."""
    assert_type(leadlog.instrument(app, "engine", int, ignore="/health").release(), None)
    leadlog.capture("engine", int, exclude=["notes"], read_sample=0.1).release()
    leadlog.configure(directory="logs", level="debug", ring_bytes={"*": "1MiB"}, file_mode=0o640)
    leadlog.configure(directry="logs")  # type: ignore[call-arg]
    leadlog.configure(level="loud")  # type: ignore[arg-type]
    leadlog.capture("engine", int, exlude=["notes"])  # type: ignore[call-arg]
    leadlog.instrument(app, "engine", int, ignor="/")  # type: ignore[call-arg]
    leadlog.instrument_flask(app, reponse_header="")  # type: ignore[call-arg]

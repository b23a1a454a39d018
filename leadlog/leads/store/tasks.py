"""How the lead store waits in the tasks of an event loop, and iterates from there."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only, greenlet_spawn

from leadlog.core.errors import StoreError
from leadlog.leads.store.engine_strategy import WAIT_SECONDS, EngineStrategy

__all__ = ["WAYS", "each", "pulled"]

T = TypeVar("T")

_END: Any = object()


class _Turns:
    """A lock for one task at a time, which says so when a task would wait for itself."""

    __slots__ = ("_lock", "_owner", "_what")

    def __init__(self, what: str) -> None:
        self._lock = asyncio.Lock()
        self._owner: object = None
        self._what = what

    def __enter__(self) -> None:
        me = asyncio.current_task()
        if self._owner is me:
            raise StoreError(
                f"this task already has {self._what}; use the open session for it, or close it "
                "first"
            )
        try:
            await_only(asyncio.wait_for(self._lock.acquire(), WAIT_SECONDS))
        except TimeoutError:
            raise StoreError(
                f"waited {WAIT_SECONDS:g} s for another task that has {self._what}; keep "
                "sessions short"
            ) from None
        self._owner = me

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._lock.release()


def _create(url: URL, **options: Any) -> Engine:
    return create_async_engine(url, **options).sync_engine


def _sleep(seconds: float) -> None:
    await_only(asyncio.sleep(seconds))


def _forget(engine: Engine) -> None:
    """Leave a forgotten store's connections to the pool: nothing can be awaited for it."""
    engine.dispose(close=False)


WAYS = EngineStrategy(_create, AsyncAdaptedQueuePool, _Turns, _sleep, _forget)
"""Engines for asyncio, turns of tasks, and waits that let other tasks go on."""


async def each(items: Iterator[T]) -> AsyncIterator[T]:
    """Iterate over what a generator of the store yields."""
    step = cast(Callable[[], T], partial(next, items, _END))
    try:
        while (item := await greenlet_spawn(step)) is not _END:
            yield item
    finally:
        await greenlet_spawn(cast(Any, items).close)


def pulled(items: AsyncIterable[T]) -> Iterator[T]:
    """Iterate, inside a greenlet, over an asynchronous iterable."""
    iterator = aiter(items)
    while True:
        try:
            yield await_only(cast(Any, anext(iterator)))
        except StopAsyncIteration:
            return

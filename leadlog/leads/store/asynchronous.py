"""`AsyncLeadDatabase`: the lead store for asyncio.

There is one implementation, that of `LeadDatabase`. Here it runs in greenlets, the way SQLAlchemy's
own asyncio support runs its core: while it waits for the database, for its turn or for a lock held
by another process, the event loop runs other tasks. Calls are recorded in the same way as those of
`LeadDatabase`.
"""

import asyncio
import os
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only, greenlet_spawn

from leadlog.core import settings
from leadlog.core.clock import now_us
from leadlog.core.errors import StoreError
from leadlog.leads.store.backups import Backup
from leadlog.leads.store.database import LeadDatabase
from leadlog.leads.store.engine import WAIT_SECONDS, Connections, EngineStrategy
from leadlog.leads.store.intake import AddOutcome, AddResult, Candidate, Report, Within
from leadlog.leads.store.location import in_memory, location
from leadlog.leads.store.maintenance import Finding
from leadlog.leads.store.merges import Undone
from leadlog.leads.store.quality import QualityReport
from leadlog.leads.store.search import LeadPage
from leadlog.leads.store.similarity import DuplicatePair

__all__ = ["AsyncLeadDatabase"]

P = ParamSpec("P")
T = TypeVar("T")

_END: Any = object()


class _TaskLock:
    """A lock for one task at a time; raises instead of letting a task deadlock on itself."""

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
    """Drop the pool of an unclosed store without closing it: nothing can be awaited here."""
    engine.dispose(close=False)


_ASYNCIO = EngineStrategy(_create, AsyncAdaptedQueuePool, _TaskLock, _sleep, _forget)
"""Engines for asyncio, locks between tasks, and sleeps during which other tasks run."""


async def _each(items: Iterator[T]) -> AsyncIterator[T]:
    """Iterate asynchronously over the items of a generator of the store."""
    step = cast(Callable[[], T], partial(next, items, _END))
    try:
        while (item := await greenlet_spawn(step)) is not _END:
            yield item
    finally:
        await greenlet_spawn(cast(Any, items).close)


def _pulled(items: AsyncIterable[T]) -> Iterator[T]:
    """Iterate synchronously, inside a greenlet, over an asynchronous iterable."""
    iterator = aiter(items)
    while True:
        try:
            yield await_only(cast(Any, anext(iterator)))
        except StopAsyncIteration:
            return


def _backup(
    url: URL,
    options: tuple[bool, Callable[[], int]],
    target: str | os.PathLike[str],
    keep: int | None,
) -> Backup:
    if url.get_backend_name() == "sqlite":
        if in_memory(url):
            raise StoreError("a store in memory is backed up by LeadDatabase only; use a file")
        url = url.set(drivername="sqlite")
    with LeadDatabase.over(Connections(url), *options) as other:
        return other.backup(target, keep=keep)


class AsyncLeadDatabase:
    """The lead store for asyncio: the methods of `LeadDatabase` under the same names.

    It is an asynchronous context manager, and opens the database on entry or on its first call.
    Any number of tasks of one event loop may use it. SQLite needs the extra `async`.

        >>> import asyncio
        >>> async def example() -> str:
        ...     async with AsyncLeadDatabase(":memory:", capture=False) as db:
        ...         lead_id = await db.add_lead({"name": "Ada Lovelace"})
        ...         return [lead["name"] async for lead in db.get_all_leads()][0]
        >>> asyncio.run(example())
        'Ada Lovelace'

    Args:
        database: As for `LeadDatabase`; a SQLite URL may name the driver `sqlite+aiosqlite`.
        capture: Whether calls are recorded.
        clock: Returns the current time in microseconds since 1970.
    """

    def __init__(
        self,
        database: str | os.PathLike[str] | URL | None = None,
        *,
        capture: bool = True,
        clock: Callable[[], int] = now_us,
    ) -> None:
        if database is None:
            database = settings.load().settings.database
        self._connections = Connections(location(database, asynchronous=True), _ASYNCIO)
        self._options = capture, clock
        self._opening = asyncio.Lock()
        self._store: LeadDatabase | None = None

    @property
    def url(self) -> URL:
        """URL of the database; its `str` and `repr` mask the password."""
        return self._connections.url

    def __repr__(self) -> str:
        return f"<AsyncLeadDatabase {self.url}>"

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; a second call does nothing."""
        await greenlet_spawn(self._connections.close)
        if self._store is not None:
            self._store.close()

    async def _opened(self) -> LeadDatabase:
        if self._store is None:
            async with self._opening:
                if self._store is None:
                    self._store = await greenlet_spawn(
                        LeadDatabase.over, self._connections, *self._options
                    )
        return self._store

    async def _call(
        self,
        method: Callable[Concatenate[LeadDatabase, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        store = await self._opened()
        return await greenlet_spawn(partial(method, store, *args, **kwargs))

    async def add_lead(self, lead: Mapping[Any, Any]) -> str:
        """See `LeadDatabase.add_lead`."""
        return await self._call(LeadDatabase.add_lead, lead)

    async def add_leads(
        self,
        leads: Iterable[Mapping[Any, Any]] | AsyncIterable[Mapping[Any, Any]],
        batch_size: int = 500,
        *,
        report: Report | None = None,
    ) -> AddResult:
        """See `LeadDatabase.add_leads`; the iterable may be asynchronous."""
        given = _pulled(leads) if isinstance(leads, AsyncIterable) else leads
        return await self._call(LeadDatabase.add_leads, given, batch_size, report=report)

    async def add_batch(
        self,
        candidates: Sequence[Candidate],
        *,
        call_id: str,
        number: int,
        within: Within | None = None,
    ) -> list[AddOutcome]:
        """See `LeadDatabase.add_batch`; `within` gets a plain Session and must not await."""
        return await self._call(
            LeadDatabase.add_batch, candidates, call_id=call_id, number=number, within=within
        )

    async def get_lead(self, lead_id: str) -> dict[str, Any] | None:
        """See `LeadDatabase.get_lead`."""
        return await self._call(LeadDatabase.get_lead, lead_id)

    async def update_lead(self, lead_id: str, changes: Mapping[Any, Any]) -> bool:
        """See `LeadDatabase.update_lead`."""
        return await self._call(LeadDatabase.update_lead, lead_id, changes)

    async def delete_lead(self, lead_id: str) -> bool:
        """See `LeadDatabase.delete_lead`."""
        return await self._call(LeadDatabase.delete_lead, lead_id)

    async def search_leads(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int | None = 100,
        offset: int = 0,
        order_by: str | list[str] | tuple[str, ...] | None = None,
    ) -> list[dict[str, Any]]:
        """See `LeadDatabase.search_leads`."""
        return await self._call(
            LeadDatabase.search_leads, filters, limit=limit, offset=offset, order_by=order_by
        )

    async def search_page(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        order_by: str | list[str] | tuple[str, ...] | None = None,
        after: str | None = None,
    ) -> LeadPage:
        """See `LeadDatabase.search_page`."""
        return await self._call(
            LeadDatabase.search_page, filters, limit=limit, order_by=order_by, after=after
        )

    async def get_all_leads(self, page_size: int = 500) -> AsyncIterator[dict[str, Any]]:
        """See `LeadDatabase.get_all_leads`."""
        store = await self._opened()
        async for lead in _each(store.get_all_leads(page_size)):
            yield lead

    async def find_duplicates(
        self, lead: Mapping[Any, Any], *, min_score: float | None = 0.85, limit: int = 20
    ) -> list[dict[str, Any]]:
        """See `LeadDatabase.find_duplicates`."""
        return await self._call(
            LeadDatabase.find_duplicates, lead, min_score=min_score, limit=limit
        )

    async def find_all_duplicates(self, min_score: float = 0.85) -> AsyncIterator[DuplicatePair]:
        """See `LeadDatabase.find_all_duplicates`."""
        store = await self._opened()
        async for pair in _each(store.find_all_duplicates(min_score)):
            yield pair

    async def get_merges(
        self, lead_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """See `LeadDatabase.get_merges`."""
        return await self._call(LeadDatabase.get_merges, lead_id, limit)

    async def undo_merge(self, which: int | str) -> Undone | None:
        """See `LeadDatabase.undo_merge`."""
        return await self._call(LeadDatabase.undo_merge, which)

    async def mark_for_sync(self, ids: Iterable[str] | None = None) -> int:
        """See `LeadDatabase.mark_for_sync`."""
        return await self._call(LeadDatabase.mark_for_sync, ids)

    async def get_sync_pending_leads(self, limit: int | None = None) -> list[dict[str, Any]]:
        """See `LeadDatabase.get_sync_pending_leads`."""
        return await self._call(LeadDatabase.get_sync_pending_leads, limit)

    async def stats(self) -> dict[str, Any]:
        """See `LeadDatabase.stats`."""
        return await self._call(LeadDatabase.stats)

    async def check(self, *, repair: bool = False) -> list[Finding]:
        """See `LeadDatabase.check`."""
        return await self._call(LeadDatabase.check, repair=repair)

    async def vacuum(self) -> dict[str, Any]:
        """See `LeadDatabase.vacuum`."""
        return await self._call(LeadDatabase.vacuum)

    async def explain_quality(self, *, worst: int = 10, page_size: int = 500) -> QualityReport:
        """See `LeadDatabase.explain_quality`."""
        return await self._call(LeadDatabase.explain_quality, worst=worst, page_size=page_size)

    async def backup(self, target: str | os.PathLike[str], *, keep: int | None = None) -> Backup:
        """See `LeadDatabase.backup`; runs in a thread, with separate connections.

        Raises:
            StoreError: As there, and for an in-memory store, which only its own connection sees.
        """
        await self._opened()
        return await asyncio.to_thread(_backup, self.url, self._options, target, keep)

    @asynccontextmanager
    async def session(self, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
        """See `LeadDatabase.session`; lends an `AsyncSession`."""
        store = await self._opened()
        lent = store.session(read_only=read_only)
        session = await greenlet_spawn(lent.__enter__)

        def same(**_: object) -> Session:
            return session

        try:
            yield AsyncSession(sync_session_class=cast(type[Session], same))
        except BaseException as error:
            await greenlet_spawn(lent.__exit__, type(error), error, error.__traceback__)
            raise
        await greenlet_spawn(lent.__exit__, None, None, None)

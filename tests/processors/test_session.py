"""A session follows its code through threads and tasks; nested ones restore the outer one."""

import asyncio
import contextvars
import multiprocessing
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from leadlog_processors.session import Session, current_session, open_session


def _event(**values: Any) -> dict[str, Any]:
    return dict(Session()(None, "info", {"event": "x", **values}))


def test_a_process_has_one_session_of_its_own() -> None:
    """Without an open session every event has the same id, of eight characters."""
    first, second = _event(), _event()
    assert first["session_id"] == second["session_id"]
    assert re.fullmatch("[0-9a-z]{8}", first["session_id"])
    assert "context" not in first


def test_nested_sessions_restore_the_outer_one() -> None:
    """An inner session has its own id and the outer one's values; later the outer one returns."""
    with open_session(user="ana", job="a") as outer:
        with open_session(job="b") as inner:
            assert _event()["context"] == {"user": "ana", "job": "b"}
            assert _event()["session_id"] == inner
        assert _event()["session_id"] == outer
        assert _event()["context"] == {"user": "ana", "job": "a"}
    assert current_session().session_id not in (outer, inner)


def test_a_session_ends_with_an_exception() -> None:
    """An exception that leaves the block restores the outer session."""
    before = current_session()
    with pytest.raises(KeyError), open_session():
        raise KeyError
    assert current_session() is before


def test_a_thread_started_with_the_context_keeps_the_session() -> None:
    """`copy_context().run` carries the session; a bare thread has the process's own."""
    seen: dict[str, str] = {}

    def note(name: str) -> None:
        seen[name] = current_session().session_id

    with open_session() as session_id:
        context = contextvars.copy_context()
        carried = threading.Thread(target=context.run, args=(note, "carried"))
        bare = threading.Thread(target=note, args=("bare",))
        for thread in (carried, bare):
            thread.start()
            thread.join()
    assert seen == {"carried": session_id, "bare": current_session().session_id}


def test_tasks_have_their_sessions_side_by_side() -> None:
    """Interleaved tasks keep their own session; executors get it through the context."""

    async def job(user: str, pool: ThreadPoolExecutor) -> tuple[str, str, str]:
        with open_session(user=user) as session_id:
            await asyncio.sleep(0)
            inside = await asyncio.create_task(_ask())
            loop = asyncio.get_running_loop()
            run = contextvars.copy_context().run
            outside = await loop.run_in_executor(pool, run, lambda: current_session().session_id)
            return session_id, inside, outside

    async def _ask() -> str:
        return current_session().session_id

    async def main() -> list[tuple[str, str, str]]:
        with ThreadPoolExecutor(2) as pool:
            return await asyncio.gather(*(job(f"u{i}", pool) for i in range(20)))

    found = asyncio.run(main())
    assert all(len(set(ids)) == 1 for ids in found)
    assert len({ids[0] for ids in found}) == 20


def test_an_error_keeps_its_own_context_beside_the_bound_values() -> None:
    """Bound values are added to an error's context section, and replace nothing in it."""
    with open_session(user="ana", operation_id="mine"):
        event = _event(log_type="error_log", context={"operation_id": "op1"})
    assert event["context"] == {"operation_id": "op1", "bound_operation_id": "mine", "user": "ana"}


def _send_session(queue: "multiprocessing.Queue[str]") -> None:
    queue.put(current_session().session_id)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # forking is what is tested
def test_a_forked_child_is_a_session_of_its_own() -> None:
    """The process session of a forked child has a different id from its parent's."""
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_send_session, args=(queue,))
    child.start()
    found = queue.get(timeout=30)
    child.join()
    assert found != current_session().session_id

"""monitor_performance measures every kind of callable and changes none."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import leadlog
from leadlog.recording.capture.meter import count_api_call

Logged = Callable[..., list[dict[str, Any]]]


def spin(seconds: float) -> None:
    """Use the CPU for a given time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_function_keeps_its_result_signature_and_name(logged: Logged) -> None:
    """The decorated function looks and behaves as before, and is measured."""

    @leadlog.monitor_performance("lead.import")
    def load(path: str, *, limit: int = 3) -> int:
        """Loads."""
        spin(0.02)
        return limit

    assert load("a", limit=5) == 5
    assert load.__name__ == "load"
    assert load.__doc__ == "Loads."
    assert str(inspect.signature(load)) == "(path: str, *, limit: int = 3) -> int"
    (event,) = logged("performance_metrics")
    assert event["event_name"] == "performance.lead.import"
    info, data = event["operation_info"], event["performance_data"]
    assert info["operation_name"] == "lead.import"
    assert info["success"] is True
    assert info["parent_operation_id"] is None
    assert info["total_duration_ms"] >= data["cpu_time_ms"] >= 20
    assert data["memory_usage_mb"] > 1
    assert data["database_queries"] == data["api_calls"] == 0
    assert data["disk_io_mb"] is None or data["disk_io_mb"] >= 0
    assert data["network_io_mb"] is None
    assert event["system_info"]["system_load"] is not None
    assert info["start_time"] < info["end_time"]


def test_waiting_is_not_cpu_time(logged: Logged) -> None:
    """Wall and CPU time are measured separately: a wait of 50 ms uses almost no CPU."""
    with leadlog.monitor_performance("wait"):
        time.sleep(0.05)
    (event,) = logged("performance_metrics")
    assert event["operation_info"]["total_duration_ms"] >= 50
    assert event["performance_data"]["cpu_time_ms"] < 40


def test_a_failure_is_logged_twice_and_raised_on(logged: Logged) -> None:
    """The measurement has success false; an error_log has the same operation_id."""

    @leadlog.monitor_performance()
    def fail() -> None:
        raise KeyError("email")

    with pytest.raises(KeyError, match="email"):
        fail()
    (event,), (error,) = logged("performance_metrics"), logged("error_logs")
    assert event["operation_info"]["success"] is False
    assert event["level"] == "error"
    assert error["error_details"]["error_type"] == "performance_error"
    assert error["error_details"]["exception_class"] == "KeyError"
    assert error["context"]["operation_id"] == event["operation_info"]["operation_id"]
    assert event["operation_info"]["operation_name"].endswith("fail")


def test_methods_and_classmethods_work(logged: Logged) -> None:
    """`self` and `cls` are passed."""

    class Importer:
        size = 2

        @leadlog.monitor_performance("method")
        def run(self) -> int:
            return self.size

        @classmethod
        @leadlog.monitor_performance("classmethod")
        def make(cls) -> int:
            return cls.size

    assert Importer().run() + Importer.make() == 4
    assert len(logged("performance_metrics")) == 2


def test_nested_operations_do_not_count_twice(logged: Logged) -> None:
    """The outer operation counts the inner's calls once; the outermost alone has the sum."""

    @leadlog.monitor_performance("inner")
    def inner() -> None:
        count_api_call()

    @leadlog.monitor_performance("outer")
    def outer() -> None:
        count_api_call()
        inner()
        inner()

    outer()
    first, second, last = logged("performance_metrics")
    assert [e["performance_data"]["api_calls"] for e in (first, second, last)] == [1, 1, 3]
    assert first["operation_info"]["parent_operation_id"] == last["operation_info"]["operation_id"]
    total = sum(
        e["performance_data"]["api_calls"]
        for e in (first, second, last)
        if e["operation_info"]["parent_operation_id"] is None
    )
    assert total == 3


def test_of_a_generator_only_its_own_time_counts(logged: Logged) -> None:
    """The consumer's time between items is excluded, and its calls are not the generator's."""

    @leadlog.monitor_performance("rows")
    def rows() -> Iterator[int]:
        for i in range(3):
            count_api_call()
            yield i

    with leadlog.monitor_performance("consumer"):
        for _ in rows():
            count_api_call()
            time.sleep(0.01)
    generator, consumer = logged("performance_metrics")
    assert generator["performance_data"]["api_calls"] == 3
    assert consumer["performance_data"]["api_calls"] == 6
    assert generator["operation_info"]["total_duration_ms"] < 20
    assert generator["operation_info"]["suspended_ms"] >= 30
    assert consumer["operation_info"]["suspended_ms"] is None


def test_a_generator_takes_what_is_sent_and_thrown(logged: Logged) -> None:
    """send, throw, return values and close behave as without the decorator."""

    @leadlog.monitor_performance("echo")
    def echo() -> Any:
        got = []
        try:
            while True:
                try:
                    got.append((yield len(got)))
                except ValueError as error:
                    got.append(str(error))
                if len(got) == 3:
                    return got
        finally:
            count_api_call()

    generator = echo()
    assert next(generator) == 0
    assert generator.send("a") == 1
    assert generator.throw(ValueError("b")) == 2
    with pytest.raises(StopIteration) as stop:
        generator.send("c")
    assert stop.value.value == ["a", "b", "c"]
    abandoned = echo()
    next(abandoned)
    abandoned.close()
    finished, closed = logged("performance_metrics")
    assert finished["operation_info"]["success"] is True
    assert closed["operation_info"]["success"] is True
    assert closed["performance_data"]["api_calls"] == 1


def test_a_coroutine_is_measured_with_its_waits_but_its_own_cpu(logged: Logged) -> None:
    """While it waits another task uses CPU; the wait counts only as wall time."""

    @leadlog.monitor_performance("fetch")
    async def fetch() -> str:
        count_api_call()
        await asyncio.sleep(0.05)
        return "ok"

    async def burn() -> None:
        await asyncio.sleep(0)
        spin(0.3)

    async def main() -> str:
        result, _ = await asyncio.gather(fetch(), burn())
        return result

    assert inspect.iscoroutinefunction(fetch)
    assert asyncio.run(main()) == "ok"
    (event,) = logged("performance_metrics")
    assert event["operation_info"]["total_duration_ms"] >= 50
    assert event["performance_data"]["cpu_time_ms"] < 200
    assert event["performance_data"]["api_calls"] == 1


def test_a_cancelled_coroutine_is_no_success(logged: Logged) -> None:
    """Cancellation is propagated and recorded."""

    @leadlog.monitor_performance("forever")
    async def forever() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (event,) = logged("performance_metrics")
    assert event["operation_info"]["success"] is False


def test_an_asynchronous_generator_is_measured(logged: Logged) -> None:
    """Its own waits count, its consumer's do not; an exception ends it."""

    @leadlog.monitor_performance("pages")
    async def pages() -> AsyncIterator[int]:
        for i in range(2):
            await asyncio.sleep(0.02)
            yield i
        raise ValueError("no more")

    async def main() -> list[int]:
        found = []
        try:
            async for page in pages():
                found.append(page)
                await asyncio.sleep(0.02)
        except ValueError as error:
            assert str(error) == "no more"  # noqa: PT017 - the loop is what may raise
        async with leadlog.monitor_performance("block"):
            await asyncio.sleep(0)
        return found

    assert asyncio.run(main()) == [0, 1]
    event, block = logged("performance_metrics")
    assert event["operation_info"]["success"] is False
    assert event["operation_info"]["total_duration_ms"] >= 40
    assert event["operation_info"]["suspended_ms"] >= 40
    assert block["operation_info"]["operation_name"] == "block"


def test_switched_off_it_measures_nothing(logged: Logged) -> None:
    """With `enabled=False` the callable runs unchanged."""
    leadlog.configure(enabled=False)

    @leadlog.monitor_performance("off")
    def work() -> int:
        return 1

    assert work() == 1
    assert logged("performance_metrics") == []


def test_a_forgotten_call_is_told() -> None:
    """`@monitor_performance` without parentheses raises an error that shows the correct form."""
    with pytest.raises(TypeError, match=r"monitor_performance\(\)"):
        leadlog.monitor_performance(lambda: None)  # type: ignore[arg-type]  # the mistake itself

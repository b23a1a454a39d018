"""monitor_performance: measures functions, coroutines, generators and blocks.

Each run is one performance_metrics record; a run that raises also writes an error_log with
the same operation_id and re-raises. Counts are inclusive: a monitored operation includes the
statements and calls of monitored operations inside it, each once. `parent_operation_id` marks
the inner ones, so sums over records must use only those where it is null.
"""

import functools
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from leadlog.core.clock import format_us, new_id, now_us
from leadlog.core.records import shape
from leadlog.recording.capture.emit import mark_recorded
from leadlog.recording.capture.meter import Meter
from leadlog.recording.pipeline import get_logger, is_enabled, report_failure
from leadlog.recording.resources import disk_bytes, peak_mb, resident_mb

F = TypeVar("F", bound=Callable[..., Any])

_log = get_logger()
current_measured: ContextVar[str | None] = ContextVar("leadlog_monitored", default=None)
"""Id of the measured operation that the running code belongs to."""


class _Run:
    """One run of a monitored operation."""

    def __init__(self, name: str, *, suspends: bool = False) -> None:
        self.name = name
        self.operation_id = new_id()
        self.meter = Meter(timed=True)
        self.suspends = suspends
        self.error: BaseException | None = None
        self.parent_id = current_measured.get()
        self.peak_before = peak_mb()
        self.disk_before = None if suspends else disk_bytes()
        self.started_us = now_us()
        self.started_ns = time.perf_counter_ns()
        self.awaited_ns = 0

    def enter(self) -> None:
        """Start or resume the clocks."""
        self._token = current_measured.set(self.operation_id)
        self.meter.__enter__()

    def leave(self) -> None:
        """Pause or stop the clocks."""
        self.meter.__exit__()
        try:
            current_measured.reset(self._token)
        except ValueError:  # ended in another context than it began in
            current_measured.set(None)

    def finish(self) -> None:
        """Write the record; never raises."""
        try:
            self.meter.close()
            self._write(now_us())
        except Exception as error:  # noqa: BLE001 - measuring never breaks what is measured
            report_failure(error)

    def _write(self, ended_us: int) -> None:
        meter = self.meter
        elapsed_ms = (time.perf_counter_ns() - self.started_ns) / 1e6
        peak = peak_mb()
        disk = None if self.disk_before is None else disk_bytes()
        rose = peak is not None and self.peak_before is not None and peak > self.peak_before
        # The time a coroutine waits is its own; the time a generator's consumer takes is not.
        total_ms = meter.wall_ms + self.awaited_ns / 1e6 if self.suspends else elapsed_ms
        cpu_ms = meter.cpu_ms
        success = self.error is None
        event = shape.performance_metrics(
            self.name,
            {
                "operation_id": self.operation_id,
                "parent_operation_id": self.parent_id,
                "start_time": format_us(self.started_us),
                "end_time": format_us(ended_us),
                "total_duration_ms": total_ms,
                "suspended_ms": max(elapsed_ms - total_ms, 0.0) if self.suspends else None,
                "success": success,
                "cpu_time_ms": cpu_ms,
                "cpu_usage_percent": (
                    round(100 * cpu_ms / total_ms, 1) if cpu_ms is not None and total_ms else None
                ),
                "memory_usage_mb": resident_mb(),
                "memory_peak_mb": peak if rose else None,
                "disk_io_mb": (
                    None
                    if disk is None or self.disk_before is None
                    else (disk - self.disk_before) / 1e6
                ),
                "database_queries": meter.queries,
                "api_calls": meter.api_calls,
            },
        )
        event["timestamp"] = ended_us
        _log.emit("info" if success else "error", f"performance.{self.name}", event)
        if self.error is not None:
            mark_recorded(self.error)
            failure = shape.error_log(
                "performance_error",
                self.error,
                {"operation": self.name, "operation_id": self.operation_id},
            )
            failure["timestamp"] = ended_us
            _log.emit("error", "error.performance", failure)


class monitor_performance:  # noqa: N801 - used as a decorator and in `with`, as contextlib's are
    """Decorator or context manager that measures a function or a block.

    Works on functions, methods, coroutine functions, generator functions and asynchronous
    generator functions, and as `with` and `async with`. Signatures and types are kept,
    results and exceptions are passed through unchanged. For a generator, the time inside it is
    its duration, and its consumer's time between items is `suspended_ms`.

    Args:
        name: the operation's name; the function's qualified name by default.

    Example:
        >>> @monitor_performance("lead.import")
        ... def import_leads(path: str) -> int:
        ...     return 3
        >>> import_leads("leads.json")
        3
    """

    def __init__(self, name: str | None = None) -> None:
        if callable(name):
            raise TypeError("write @monitor_performance() or @monitor_performance('name')")
        self._name = name
        self._runs: list[_Run | None] = []

    def __enter__(self) -> Self:
        run = _start(self._name or "block")
        self._runs.append(run)
        if run is not None:
            run.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        run = self._runs.pop()
        if run is not None:
            run.leave()
            run.error = error
            run.finish()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Wrap a callable, keeping its type."""
        name: str = self._name or getattr(function, "__qualname__", "") or repr(function)
        if inspect.isasyncgenfunction(function):
            return cast(F, _wrap_async_generator(function, name))
        if inspect.iscoroutinefunction(function):
            return cast(F, _wrap_coroutine(function, name))
        if inspect.isgeneratorfunction(function):
            return cast(F, _wrap_generator(function, name))
        return cast(F, _wrap_function(function, name))


def _start(name: str, *, suspends: bool = False) -> _Run | None:
    try:
        return _Run(name, suspends=suspends) if is_enabled() else None
    except Exception as error:  # noqa: BLE001 - measuring never breaks what is measured
        report_failure(error)
        return None


def _wrap_function(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = _start(name)
        if run is None:
            return function(*args, **kwargs)
        run.enter()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            run.error = error
            raise
        finally:
            run.leave()
            run.finish()

    return call


def _wrap_generator(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = _start(name, suspends=True)
        items = function(*args, **kwargs)
        if run is None:
            return (yield from items)
        return (yield from _drive(items, run))

    return iterate


def _drive(items: Any, run: _Run) -> Generator[Any, Any, Any]:
    """Run a generator or an awaited coroutine to its end, and write the record."""
    try:
        return (yield from _steps(items, run))
    except GeneratorExit:
        raise
    except BaseException as error:
        run.error = error
        raise
    finally:
        run.finish()


def _steps(items: Any, run: _Run) -> Generator[Any, Any, Any]:
    """Step a generator or an awaited coroutine; the clocks run only during its steps."""
    step, value = items.send, None
    while True:
        run.enter()
        try:
            item = step(value)
        except StopIteration as stop:
            return stop.value
        finally:
            run.leave()
        try:
            value, step = (yield item), items.send
        except GeneratorExit:
            run.enter()
            try:
                items.close()
            finally:
                run.leave()
            raise
        except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, passed on
            value, step = error, items.throw


class _Measured:
    """An awaitable that steps a coroutine to measure only the coroutine's own CPU time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], run: _Run) -> None:
        self._coroutine = coroutine
        self._run = run

    def __await__(self) -> Generator[Any, Any, Any]:
        return _drive(self._coroutine.__await__(), self._run)


def _wrap_coroutine(function: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        run = _start(name)
        coroutine = cast(Coroutine[Any, Any, Any], function(*args, **kwargs))
        if run is None:
            return await coroutine
        return await _Measured(coroutine, run)

    return call


def _wrap_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], name: str
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def iterate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = _start(name, suspends=True)
        items = function(*args, **kwargs)
        if run is None:
            async for item in items:
                yield item
            return
        step: Awaitable[Any] = items.__anext__()
        try:
            while True:
                try:
                    item = await _Step(step, run)
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await _Step(items.aclose(), run)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer
                    step = items.athrow(error)
                else:
                    step = items.asend(sent)
        except GeneratorExit:
            raise
        except BaseException as error:
            run.error = error
            raise
        finally:
            run.finish()

    return iterate


class _Step:
    """One step of an asynchronous generator; time spent waiting counts as the generator's."""

    def __init__(self, step: Awaitable[Any], run: _Run) -> None:
        self._step = step
        self._run = run

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self._run
        started, active = time.perf_counter_ns(), run.meter.wall_ns
        try:
            return (yield from _steps(_iterator(self._step), run))
        finally:
            elapsed = time.perf_counter_ns() - started
            run.awaited_ns += elapsed - (run.meter.wall_ns - active)


def _iterator(step: Awaitable[Any]) -> Any:
    return step.__await__()

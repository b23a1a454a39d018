"""Work: one request, task or command of an instrumented application, from start to record.

The contract between the recorder and the frameworks' modules is small. A framework's module calls
`Recorder.begin` when a unit of work begins, enters the result, sets what only the framework knows
(route, status, an exception that the framework handles itself) and exits it, which writes the
record. It calls nothing else, and never changes the application's input or output.
"""

import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Final, Self

import structlog

from leadlog.core.clock import format_us, new_id, now_us
from leadlog.core.records import shape
from leadlog.recording.capture.emit import (
    already_recorded,
    error_facts,
    is_concealed,
    mark_recorded,
)
from leadlog.recording.capture.meter import Meter
from leadlog.recording.performance import current_measured
from leadlog.recording.pipeline import get_logger, is_enabled, report_failure
from leadlog_processors.failure import describe
from leadlog_processors.fingerprint import own_place
from leadlog_processors.session import OpenSession, current_session, enter_session, leave_session
from leadlog_processors.tracing import continued

__all__ = ["RecordedWork", "Recorder", "current_work"]

_log = get_logger()

EVENT_NAMES: Final = {
    "http": "http.request",
    "websocket": "websocket.connection",
    "task": "task.run",
    "command": "command.run",
}
"""Kind of work to the event name of its record."""

_ERROR_TYPES: Final = {
    "http": "request_error",
    "websocket": "request_error",
    "task": "task_error",
    "command": "command_error",
}
_STOPPED: Final = ("CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit")

_current: ContextVar["RecordedWork | None"] = ContextVar("leadlog_work", default=None)


def current_work() -> "RecordedWork | None":
    """Return the innermost request, task or command that the running code belongs to."""
    return _current.get()


class RecordedWork:
    """One unit of work, as a context manager; entered once.

    While it is entered, every logged event carries its session, the bound values and its trace.
    Values bound inside it with `structlog.contextvars` are unbound when it ends.

    Args:
        kind: http, websocket, task or command.
        framework: the interface that it came through.
        name: name of the operation if no route is found.
        timed: whether the CPU time of the calling thread is the work's.
        traceparent: the caller's `traceparent` header.
        context: values bound to every event inside it.
        details: further keys of `request_info`.

    Attributes:
        session: the session of every event inside it.
        name: name of the operation; set by the framework's module when the route is known.
        route: template of the route, or the name of the task or command.
        status: HTTP status, close code or exit code.
        outcome: outcome set by the framework's module; None derives it from exception and status.
        success: see `outcome`.
        was_left: whether nothing reported its end, so that the time after the response is unknown.
    """

    def __init__(
        self,
        kind: str,
        framework: str,
        name: str,
        *,
        timed: bool,
        traceparent: object = None,
        context: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.route: str | None = None
        self.status: int | None = None
        self.outcome: str | None = None
        self._framework = framework
        self._details = details or {}
        self._failure: dict[str, str | None] | None = None
        self._raised_at: str | None = None
        self._stopped = False
        self._write_error = False
        self._responded_ns: int | None = None
        self.was_left = False
        outer_session, outer = current_session(), _current.get()
        self.session = OpenSession(
            **({} if outer is None else {"session_id": outer_session.session_id}),
            context={**outer_session.context, **(context or {})},
            trace=(
                outer_session.trace
                if outer is not None and traceparent is None
                else continued(traceparent)
            ),
        )
        self._operation_id = new_id()
        self._parent_id = current_measured.get()
        self._meter = Meter(timed=timed)
        self._timed = timed

    def __enter__(self) -> Self:
        self._bound = structlog.contextvars.get_contextvars()
        self._tokens: list[tuple[ContextVar[Any], Token[Any]]] = [
            (current_measured, current_measured.set(self._operation_id)),
            (_current, _current.set(self)),
        ]
        self._session_token = enter_session(self.session)
        self._meter.__enter__()
        self._started_us = now_us()
        self._started_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.fail(error)
        try:
            self._meter.__exit__()
            self._meter.close()
            self._write()
        except Exception as failure:  # noqa: BLE001 - recording never breaks what is recorded
            report_failure(failure)
        finally:
            leave_session(self._session_token)
            for variable, token in reversed(self._tokens):
                try:
                    variable.reset(token)
                except ValueError:  # exited in another context than it was entered in
                    variable.set(None)
            self._unbind()

    def _unbind(self) -> None:
        """Unbind what the work bound, because servers and workers reuse their threads."""
        now = structlog.contextvars.get_contextvars()
        if now != self._bound:
            structlog.contextvars.unbind_contextvars(*now)
            structlog.contextvars.bind_contextvars(**self._bound)

    def responded(self, at_ns: int | None = None) -> None:
        """Note that the whole response was sent; later time counts as background work.

        Args:
            at_ns: when it was, by `time.perf_counter_ns`; now by default.
        """
        self._responded_ns = time.perf_counter_ns() if at_ns is None else at_ns

    @property
    def task_id(self) -> object:
        """Id of the task; None if the work is not a task."""
        return self._details.get("task_id")

    @property
    def has_failed(self) -> bool:
        """Whether an exception was noted."""
        return self._failure is not None

    @property
    def has_responded(self) -> bool:
        """Whether the whole response was sent."""
        return self._responded_ns is not None

    def fail(self, error: BaseException, *, unhandled: bool = True) -> None:
        """Note the exception that ended the work; only the first one is recorded.

        Args:
            error: the exception. It is not kept, because its frames hold the application's
                objects.
            unhandled: whether to write an error_log; False for exceptions the framework expects.
        """
        if self._failure is not None or self._stopped:
            return
        if any(one.__name__ in _STOPPED for one in type(error).__mro__):
            self._stopped = True
            return
        try:
            self._write_error = unhandled and not already_recorded(error)
            self._failure = _described(error)
            self._raised_at = own_place(error)
            mark_recorded(error)
        except Exception as failure:  # noqa: BLE001 - recording never breaks what is recorded
            report_failure(failure)

    def _outcome(self) -> str:
        if self.outcome is not None:
            return self.outcome
        if self._failure is not None:
            return "failed"
        if self._stopped:
            return "cancelled"
        if self.kind == "http" and (self.status is None or self.status >= 500):
            return "failed"
        return "completed"

    def _write(self) -> None:
        ended_us, ended_ns = now_us(), None if self.was_left else time.perf_counter_ns()
        responded_ns = self._responded_ns or ended_ns
        measured_ns = None if responded_ns is None else responded_ns - self._started_ns
        total_ms, outcome = None if measured_ns is None else measured_ns / 1e6, self._outcome()
        success = outcome in ("completed", "ignored")
        failure = self._failure or {}
        cpu_ms = None if self.was_left else self._meter.cpu_ms
        event = shape.performance_metrics(
            self.name,
            {
                "operation_id": self._operation_id,
                "parent_operation_id": self._parent_id,
                "start_time": format_us(self._started_us),
                "end_time": (
                    None
                    if measured_ns is None
                    else format_us(self._started_us + measured_ns // 1000)
                ),
                "total_duration_ms": total_ms,
                "success": success,
                "cpu_time_ms": cpu_ms,
                "cpu_usage_percent": (
                    round(100 * cpu_ms / total_ms, 1) if cpu_ms is not None and total_ms else None
                ),
                "database_queries": self._meter.queries,
                "api_calls": self._meter.api_calls,
            },
        )
        trace, details = self.session.trace, self._details.get
        event["request_info"] = {
            "kind": self.kind,
            "framework": self._framework,
            "method": details("method"),
            "route": self.route,
            "path": details("path"),
            "status": self.status,
            "outcome": outcome,
            "exception_class": failure.get("exception_class"),
            "error_message": failure.get("error_message"),
            "raised_at": self._raised_at,
            "task_id": details("task_id"),
            "retries": details("retries"),
            "parent_span_id": None if trace is None else trace.parent_id,
            "background_ms": (
                None
                if self._responded_ns is None or ended_ns is None
                else (ended_ns - self._responded_ns) / 1e6
            ),
        }
        event["timestamp"] = ended_us
        level = "info" if success else "warning" if outcome != "failed" else "error"
        if self.kind == "http" and success and (self.status or 0) >= 400:
            level = "warning"
        _log.emit(level, EVENT_NAMES[self.kind], event)
        if self._write_error:
            self._write_failure(failure, ended_us)

    def _write_failure(self, failure: Mapping[str, Any], ended_us: int) -> None:
        context = {"operation": self.name, "operation_id": self._operation_id}
        if self._raised_at is not None:
            context["called_from"] = self._raised_at
        _write_error(_ERROR_TYPES[self.kind], failure, context, ended_us)


def _described(error: BaseException) -> dict[str, str | None]:
    if is_concealed(error):
        return error_facts(error, concealed=True).details
    return describe(error, own_first=True)


def _write_error(
    error_type: str, failure: Mapping[str, Any], context: Mapping[str, Any], time_us: int
) -> None:
    error = shape.error_log(error_type, {}, context)
    error["error_details"].update(failure)
    error["timestamp"] = time_us
    _log.emit("error", f"error.{error_type.removesuffix('_error')}", error)


class Recorder:
    """Factory of the units of work of one instrumented application.

    Args:
        ignore: paths, task names or commands that are not recorded; `*` matches any text.
        response_header: response header in which a caller gets the session id; None for none.
    """

    def __init__(self, ignore: Iterable[str] = (), response_header: str | None = None) -> None:
        self._ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        self.response_header = response_header
        self.active = True

    def begin(
        self, kind: str, framework: str, name: str, subject: str, **options: Any
    ) -> RecordedWork | None:
        """Return a new unit of work; None if it is not recorded. Never raises.

        Args:
            kind: http, websocket, task or command.
            framework: the interface that it came through.
            name: name of the operation, as far as it is known.
            subject: the text that is matched with `ignore`.
            options: further arguments of `RecordedWork`.
        """
        try:
            if not self.active or not is_enabled():
                return None
            if any(fnmatchcase(subject, pattern) for pattern in self._ignore):
                return None
            return RecordedWork(kind, framework, name, **options)
        except Exception as error:  # noqa: BLE001 - recording never breaks what is recorded
            report_failure(error)
            return None

    def failed(self, phase: str, error: BaseException) -> None:
        """Record the exception that ended an application outside any unit of work. Never raises.

        Args:
            phase: startup or shutdown.
            error: the exception. If it was recorded already, nothing is written.
        """
        try:
            if not self.active or not is_enabled() or already_recorded(error):
                return
            context = {"operation": phase}
            place = own_place(error)
            if place is not None:
                context["called_from"] = place
            _write_error(f"{phase}_error", _described(error), context, now_us())
            mark_recorded(error)
        except Exception as failure:  # noqa: BLE001 - recording never breaks what is recorded
            report_failure(failure)

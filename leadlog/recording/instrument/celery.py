"""Celery: one record for each run of a task, in the trace of its sender."""

from collections.abc import Callable
from typing import Any

import celery
from celery import signals

from leadlog.recording.instrument.work import RecordedWork, Recorder, current_work
from leadlog.recording.pipeline import flush
from leadlog_processors.session import current_session

_OUTCOMES = {
    "SUCCESS": "completed",
    "FAILURE": "failed",
    "RETRY": "retried",
    "IGNORED": "ignored",
    "REJECTED": "rejected",
}
"""Celery's state of a task run to the outcome of its record."""


def install(app: celery.Celery, recorder: Recorder) -> Callable[[], None]:
    """Record the tasks of a Celery application.

    Args:
        app: the application.
        recorder: begins the records.

    Returns:
        A function that undoes it.
    """
    tasks = _Tasks(app, recorder)
    listeners = {
        signals.before_task_publish: tasks.publish,
        signals.task_prerun: tasks.begin,
        signals.task_retry: tasks.retried,
        signals.task_failure: tasks.failed,
        signals.task_postrun: tasks.end,
        signals.worker_process_shutdown: tasks.stopped,
    }
    for signal, listener in listeners.items():
        signal.connect(listener, weak=False)

    def undo() -> None:
        recorder.active = False
        for signal, listener in listeners.items():
            signal.disconnect(listener)

    return undo


class _Tasks:
    """Listener to Celery's signals about the tasks of one application."""

    def __init__(self, app: celery.Celery, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    def publish(self, headers: Any = None, **_: Any) -> None:
        """Add the sender's trace to a task that is being sent."""
        trace = current_session().trace
        if self._recorder.active and trace is not None and isinstance(headers, dict):
            headers.setdefault("traceparent", trace.traceparent)

    def begin(self, task_id: Any = None, task: Any = None, **_: Any) -> None:
        """Begin the record of a task."""
        if task is None or task.app is not self._app:
            return
        work = self._recorder.begin(
            "task",
            "celery",
            task.name,
            task.name,
            timed=True,
            traceparent=getattr(task.request, "traceparent", None),
            context={"task": task.name, "task_id": task_id},
            details={"task_id": task_id, "retries": getattr(task.request, "retries", None)},
        )
        if work is not None:
            work.route = task.name
            work.__enter__()

    def _work(self, task_id: Any) -> RecordedWork | None:
        work = current_work()
        return work if work is not None and work.task_id == task_id else None

    def failed(self, task_id: Any = None, exception: Any = None, **_: Any) -> None:
        """Note the unexpected exception of a task."""
        work = self._work(task_id)
        if work is not None and isinstance(exception, BaseException):
            work.fail(exception)

    def retried(self, request: Any = None, reason: Any = None, **_: Any) -> None:
        """Note the exception for which a task will be retried."""
        work = self._work(getattr(request, "id", None))
        cause = getattr(reason, "exc", None)
        if work is not None and isinstance(cause, BaseException):
            work.fail(cause, unhandled=False)

    def end(self, task_id: Any = None, state: Any = None, **_: Any) -> None:
        """End the record of a task, whatever its outcome."""
        work = self._work(task_id)
        if work is not None:
            work.outcome = _OUTCOMES.get(str(state))
            work.__exit__(None, None, None)

    def stopped(self, **_: Any) -> None:
        """Flush the log of a worker process that stops, since it runs no exit functions."""
        flush()

"""Dramatiq: one record for each run of an actor, in the trace of the message's sender."""

from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware, Retries

from leadlog.recording.instrument.work import RecordedWork, Recorder, current_work
from leadlog_processors.session import current_session


def install(broker: dramatiq.Broker, recorder: Recorder) -> Callable[[], None]:
    """Record the messages of a broker.

    Args:
        broker: the broker.
        recorder: begins the records.

    Returns:
        A function that undoes it.
    """
    messages = _Messages(recorder)
    if broker.middleware:
        broker.add_middleware(messages, before=type(broker.middleware[0]))
    else:
        broker.add_middleware(messages)

    def undo() -> None:
        recorder.active = False
        broker.middleware.remove(messages)

    return undo


class _Messages(Middleware):
    """The first of a broker's middleware, which therefore sees the outcome of a message last."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def before_enqueue(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
        """Add the sender's trace to a message that is being sent."""
        del broker, delay
        trace = current_session().trace
        if self._recorder.active and trace is not None:
            message.options.setdefault("traceparent", trace.traceparent)

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        """Begin the record of an actor."""
        del broker
        name, retries = message.actor_name, message.options.get("retries", 0)
        work = self._recorder.begin(
            "task",
            "dramatiq",
            name,
            name,
            timed=True,
            traceparent=message.options.get("traceparent"),
            context={"task": name, "task_id": message.message_id},
            details={"task_id": message.message_id, "retries": retries},
        )
        if work is not None:
            work.route = name
            work.__enter__()

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: Any,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """End the record of an actor, whatever its outcome."""
        del result
        work = _work(message)
        if work is None:
            return
        if exception is not None:
            again = not message.failed and any(isinstance(m, Retries) for m in broker.middleware)
            work.outcome = "retried" if again else "failed"
            work.fail(exception, unhandled=not again)
        work.__exit__(None, None, None)

    def after_skip_message(self, broker: dramatiq.Broker, message: Any) -> None:
        """Discard the record of a message that was skipped."""
        del broker
        work = _work(message)
        if work is not None:
            work.outcome = "ignored"
            work.__exit__(None, None, None)


def _work(message: Any) -> RecordedWork | None:
    work = current_work()
    return work if work is not None and work.task_id == message.message_id else None

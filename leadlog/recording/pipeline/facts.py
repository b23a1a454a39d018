r"""Facts: the part of an event that only its caller knows, in one frame for the ring.

A frame is `\x01`, a JSON object and a newline. The object begins with the event's id, at a fixed
position, followed by time, method, name, writer and context, and by the payload of its kind:

| kind | payload | meaning |
|---|---|---|
| event | `event` | an unfinished record, as made by `leadlog.core.records.shape` |
| call | `call` | the name of a function of `shape`, and its arguments |
| operation | `operation` | a captured operation, see `leadlog.core.records.captured` |
| free | `values` | the values of an application's own log call |

Everything else, from lookups to masking, happens when the frame is finished; see
`leadlog.recording.pipeline.finish`.
"""

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson

from leadlog_processors.clock import new_id
from leadlog_processors.envelope import this_process, trace_ids
from leadlog_processors.failure import describe_exc_info
from leadlog_processors.rendering import render
from leadlog_processors.session import OpenSession, bound_values, current_session

Facts = dict[str, Any]

PREFIX: Final = b"\x01"
"""First byte of a frame of facts; a finished line begins with `{`."""

_ID: Final = slice(len(PREFIX) + len('{"id":"'), len(PREFIX) + len('{"id":"') + 30)
_current_thread = threading.current_thread


def context_of(session: OpenSession) -> dict[str, Any] | None:
    """Return the values bound for the running code, by `structlog.contextvars` and the session."""
    bound = bound_values()
    if not bound:
        return dict(session.context) if session.context else None
    return {**bound, **session.context}


def open_facts(kind: str, method: str, name: Any, at: Any = None, event_id: Any = None) -> Facts:
    """Return the facts common to every event.

    Args:
        kind: one of the module's kinds.
        method: the logger's method.
        name: the event's name or text.
        at: time when it ended, microseconds since 1970; now by default.
        event_id: the event's id; a new one by default.
    """
    if at is None:
        at = time.time_ns() // 1000
    session = current_session()
    facts = {
        "id": event_id or new_id(at if type(at) is int else None),
        "at": at,
        "kind": kind,
        "method": method,
        "name": name,
        "session": session.session_id,
    }
    context = context_of(session)
    if context is not None:
        facts["context"] = context
    add_writer(facts, session)
    return facts


def add_writer(facts: Facts, session: OpenSession) -> None:
    """Add process, thread and the active OpenTelemetry span, or the span of the session."""
    facts["pid"] = this_process.pid
    facts["thread"] = _current_thread().name
    if "opentelemetry.trace" in sys.modules:
        trace = trace_ids()
        if trace is not None:
            facts["trace"] = trace
            return
    if session.trace is not None:
        facts["trace"] = (session.trace.trace_id, session.trace.span_id)


def add_failure(facts: Facts, exc_info: object) -> None:
    """Add the facts of an exception, which are available only in the thread that handles it."""
    failure = describe_exc_info(exc_info)
    if failure is not None:
        facts["failure"] = failure


def frame_of(facts: Mapping[str, Any]) -> bytes:
    """Return the frame of facts; never raises."""
    return PREFIX + render(facts, orjson.OPT_APPEND_NEWLINE)


def joined(late: Mapping[str, Any], known: bytes) -> bytes:
    """Return the frame of facts of which one part was rendered earlier.

    Args:
        late: the first facts, beginning with `id`.
        known: the other facts, as a JSON object.
    """
    return b"%b%b,%b\n" % (PREFIX, render(late)[:-1], known[1:])


def is_facts(frame: bytes) -> bool:
    """Return whether a frame holds facts rather than a finished line."""
    return frame[:1] == PREFIX


def event_id_of(frame: bytes) -> str:
    """Return the id of the event in a frame of facts."""
    return frame[_ID].decode("ascii", "replace")

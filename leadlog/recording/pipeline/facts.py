r"""Facts: what only the caller of an event knows, in one frame for the ring.

A frame is `\x01`, a JSON object and a newline. The object begins with the event's id, at a fixed
place; then come time, method, name, writer and context, and what the event is about:

| kind | payload | what it is |
|---|---|---|
| event | `event` | a record in the making, as `leadlog.core.records.shape` makes it |
| call | `call` | the name of a function of `shape`, and what to call it with |
| operation | `operation` | a captured operation, see `leadlog.core.records.captured` |
| free | `values` | what an application logs in its own words |

Everything else, from the look-ups to the masks, happens when the frame is finished; see
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
    """Return the facts that every event has.

    Args:
        kind: one of the module's kinds.
        method: the logger's method.
        name: the event's name or text.
        at: when it ended, microseconds since 1970; now by default.
        event_id: a new one by default.
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
    """Add what an exception says, which only the thread that handles it can ask."""
    failure = describe_exc_info(exc_info)
    if failure is not None:
        facts["failure"] = failure


def frame_of(facts: Mapping[str, Any]) -> bytes:
    """Return the frame of facts; never raises."""
    return PREFIX + render(facts, orjson.OPT_APPEND_NEWLINE)


def joined(late: Mapping[str, Any], known: bytes) -> bytes:
    """Return the frame of facts of which a part was rendered before.

    Args:
        late: the first facts, `id` first of all.
        known: the others, as a JSON object.
    """
    return b"%b%b,%b\n" % (PREFIX, render(late)[:-1], known[1:])


def is_facts(frame: bytes) -> bool:
    """Return whether this is a frame of facts, not a finished line."""
    return frame[:1] == PREFIX


def event_id_of(frame: bytes) -> str:
    """Return the id of the event in a frame of facts."""
    return frame[_ID].decode("ascii", "replace")

"""Sessions: an id that correlates related events, and the values bound to it.

A process has a session of its own; `open_session` replaces it for a block. The session is kept in
a context variable: asyncio tasks and threads started through `contextvars.copy_context().run`
inherit it, and nested sessions restore the outer one. `loop.run_in_executor` does not pass the
context on (Python's own rule), so a function that should log in the session must be passed as
`contextvars.copy_context().run, function`.

>>> with open_session(user="ana") as session_id:
...     event = Session()(None, "info", {"event": "lead.add"})
>>> event["session_id"] == session_id, event["context"]
(True, {'user': 'ana'})
"""

import secrets
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from leadlog_processors import forks
from leadlog_processors.fields import ERROR_LOG
from leadlog_processors.tracing import Trace

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_session_id() -> str:
    """Return a random session id: 8 characters of `[0-9a-z]`."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session and its context.

    Attributes:
        session_id: 8 characters of `[0-9a-z]`.
        context: the bound values, including those of outer sessions; `bind` adds to it.
        trace: the trace that the session belongs to; None without a trace.
    """

    session_id: str = field(default_factory=new_session_id)
    context: Mapping[str, Any] = field(default_factory=dict)
    trace: Trace | None = None


class _ProcessSession:
    """The session of a process outside any opened one; a forked child gets its own."""

    __slots__ = ("session",)

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.session = OpenSession()


_process = _ProcessSession()
forks.in_child(_process.renew)

_current: ContextVar[OpenSession | None] = ContextVar("leadlog_session", default=None)


def current_session() -> OpenSession:
    """Return the innermost open session, or else the process's own."""
    return _current.get() or _process.session


@contextmanager
def open_session(**context: Any) -> Iterator[str]:
    """Open a session for a block and yield its id.

    Args:
        context: values bound to every event inside, under `context`; an inner session inherits the
            outer one's values.
    """
    outer = current_session()
    session = OpenSession(context={**outer.context, **context}, trace=outer.trace)
    token = _current.set(session)
    try:
        yield session.session_id
    finally:
        _current.reset(token)


def bind(**context: Any) -> None:
    """Bind values to the innermost open session, for every event logged in it from now on.

    They apply to all code of the session, in whatever thread or task it runs, whereas a context
    variable set in a thread of a pool is lost with that thread's context. If no session is open,
    they are bound to the running context, as by `structlog.contextvars.bind_contextvars`.

    Args:
        context: values bound to every later event of the session, under `context`.

    Example:
        >>> with open_session(job="nightly"):
        ...     bind(user="ana")
        ...     dict(current_session().context)
        {'job': 'nightly', 'user': 'ana'}
    """
    session = _current.get()
    if session is None:
        structlog.contextvars.bind_contextvars(**context)
    else:
        cast(dict[str, Any], session.context).update(context)


@contextmanager
def resume_session(session: OpenSession) -> Iterator[None]:
    """Resume a session that was current earlier, for a block.

    Args:
        session: the earlier result of `current_session`.
    """
    token = _current.set(session)
    try:
        yield
    finally:
        _current.reset(token)


def enter_session(session: OpenSession) -> Token[OpenSession | None]:
    """Make a session the current one until `leave_session`, where a `with` block is impossible.

    Args:
        session: the session.

    Returns:
        The token for `leave_session`.
    """
    return _current.set(session)


def leave_session(token: Token[OpenSession | None]) -> None:
    """Restore the session before the current one.

    Args:
        token: result of `enter_session`; with one from another context, no session is open then.
    """
    try:
        _current.reset(token)
    except ValueError:
        _current.set(None)


def merge_context(section: MutableMapping[str, Any], bound: Mapping[str, Any]) -> None:
    """Add bound values to an error's own `context` section without replacing any.

    If the section has the name already, the value is added as `bound_<name>`.
    """
    for name, value in bound.items():
        section[f"bound_{name}" if name in section else name] = value


# Private to structlog, pinned by a test: empty until a value is bound in this process, which saves
# a walk over all context variables for every event.
_ever_bound: Mapping[str, Any] = structlog.contextvars._CONTEXT_VARS


def bound_values() -> dict[str, Any]:
    """Return the values bound by `structlog.contextvars` for the running code."""
    return structlog.contextvars.get_contextvars() if _ever_bound else {}


class Session:
    """Adds `session_id`, and `context` if values are bound.

    In: nothing. Out: `session_id`; `context` (an error_log's own `context` section is
    extended, see `merge_context`). Cost: 0.18 µs.
    """

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        session = _current.get() or _process.session
        event_dict["session_id"] = session.session_id
        if session.context:
            own = event_dict.get("context")
            if event_dict.get("log_type") == ERROR_LOG and isinstance(own, MutableMapping):
                merge_context(own, session.context)
            else:
                event_dict["context"] = {**session.context, **(own or {})}
        return event_dict

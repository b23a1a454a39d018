r"""Failure: an exception as facts: message, code, class, stack trace, fingerprint.

| key | value |
|---|---|
| error_message | the exception's text, at most 2000 characters; null if it has none |
| error_code | sqlstate, SQLite's error name, HTTP status or errno name, see `error_code` |
| exception_class | with its module; built-in classes without |
| stack_trace | as printed by Python, without values of variables, at most 8000 characters |
| fingerprint | 16 hex digits, equal for the same bug, see `leadlog_processors.fingerprint` |

>>> try:
...     int("abc")
... except ValueError as error:
...     facts = describe(error)
>>> facts["error_message"], facts["exception_class"], facts["error_code"]
("invalid literal for int() with base 10: 'abc'", 'ValueError', None)
>>> facts["stack_trace"].splitlines()[-1]
"ValueError: invalid literal for int() with base 10: 'abc'"
"""

import sys
from collections.abc import Sequence
from types import FrameType, TracebackType

from structlog.typing import EventDict, WrappedLogger

from leadlog_processors.exceptions import class_name, error_code, message_of
from leadlog_processors.fields import ERROR_LOG
from leadlog_processors.fingerprint import fingerprint, fingerprint_text
from leadlog_processors.stacktrace import stack_trace

__all__ = [
    "Failure",
    "describe",
    "describe_exc_info",
    "error_code",
    "fingerprint",
    "fingerprint_text",
    "stack_trace",
]


def describe(
    exc: BaseException,
    trace: TracebackType | None = None,
    callers: Sequence[FrameType] = (),
    *,
    own_first: bool = False,
) -> dict[str, str | None]:
    """Return the facts of an exception.

    Args:
        exc: any exception.
        trace: its traceback, if the exception does not carry it.
        callers: frames still running that led to it, the outermost first.
        own_first: whether the application's own frames precede the whole stack trace.

    Returns:
        `error_message`, `error_code`, `exception_class`, `stack_trace` and `fingerprint`, as
        described in the module.
    """
    return {
        "error_message": message_of(exc) or None,
        "error_code": error_code(exc),
        "exception_class": class_name(exc),
        "stack_trace": stack_trace(exc, trace, callers, own_first=own_first),
        "fingerprint": fingerprint(exc, trace, callers),
    }


def _resolve(exc_info: object) -> tuple[BaseException | None, TracebackType | None]:
    """Return the exception and traceback of `exc_info`, as structlog and logging accept it."""
    if isinstance(exc_info, BaseException):
        return exc_info, None
    if not isinstance(exc_info, tuple):
        return sys.exc_info()[1], None
    exc = exc_info[1] if len(exc_info) > 1 else None
    trace = exc_info[2] if len(exc_info) > 2 else None
    return (
        exc if isinstance(exc, BaseException) else None,
        trace if isinstance(trace, TracebackType) else None,
    )


def describe_exc_info(exc_info: object) -> dict[str, str | None] | None:
    """Return the facts of an `exc_info` value, as `describe` does; None without an exception.

    Args:
        exc_info: an exception, a tuple like `sys.exc_info()`, or True for the one being handled.
    """
    exc, trace = _resolve(exc_info) if exc_info else (None, None)
    return None if exc is None else describe(exc, trace)


class Failure:
    """Turns an exception into `error_details`.

    In: `exc_info` (an exception, a tuple like `sys.exc_info()`, or True for the one being
    handled), `log_type`. Out: `exc_info` is removed. With an exception, the keys of
    `error_details` that are null or missing get the facts of `describe`; the section is created
    if missing, for any log type. An error_log without an exception gets the `fingerprint` of its
    `error_type` and `error_message`. Never raises. Cost: 0.13 µs for an event without an
    exception, 20 to 60 for one with an exception, mostly for the stack trace.
    """

    __slots__ = ()

    def __call__(
        self, _logger: WrappedLogger, _method_name: str, event_dict: EventDict
    ) -> EventDict:
        """Replace `exc_info` in the event by its facts."""
        if "exc_info" not in event_dict and event_dict.get("log_type") != ERROR_LOG:
            return event_dict
        described = describe_exc_info(event_dict.pop("exc_info", None))
        details = event_dict.get("error_details")
        known = details if isinstance(details, dict) else {}
        if described is not None:
            facts = described
        elif event_dict.get("log_type") == ERROR_LOG and known.get("fingerprint") is None:
            error_type, message = known.get("error_type"), known.get("error_message")
            if error_type is None and message is None:
                return event_dict
            facts = {"fingerprint": fingerprint_text(_text(error_type), _text(message))}
        else:
            return event_dict
        # Create a new section: the existing one may be the caller's.
        missing = {key: fact for key, fact in facts.items() if known.get(key) is None}
        event_dict["error_details"] = known | missing
        return event_dict


def _text(value: object) -> str | None:
    try:
        return None if value is None else str(value)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        return None

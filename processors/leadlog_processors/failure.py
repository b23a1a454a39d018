r"""Failure: what went wrong, as facts: message, code, class, stack trace, fingerprint.

| key | value |
|---|---|
| error_message | the exception's text, at most 2000 characters; null if it has none |
| error_code | sqlstate, SQLite's error name, HTTP status or errno name, see `error_code` |
| exception_class | with its module; built-in ones without |
| stack_trace | as Python prints it, without the values of variables, at most 8000 characters |
| fingerprint | 16 hex digits: same bug, same value |

A fingerprint is made of the exception's class, the innermost function of the application's own (not
of the standard library, not of site-packages) in its module, and the first line of the message
without what changes from one occurrence to the next: numbers, words with a digit in them (ids,
addresses, dates), UUIDs, e-mail addresses and quoted texts; then of class and message of the
exception that explicitly caused it. Line numbers, paths and callers play no part; of an endless
recursion the functions that recur do.

>>> try:
...     int("abc")
... except ValueError as error:
...     facts = describe(error)
>>> facts["error_message"], facts["exception_class"], facts["error_code"]
("invalid literal for int() with base 10: 'abc'", 'ValueError', None)
>>> facts["stack_trace"].splitlines()[-1]
"ValueError: invalid literal for int() with base 10: 'abc'"
>>> fingerprint_text("sync_error", "lead 17 of 'Ana' timed out after 3.5 s") == fingerprint_text(
...     "sync_error", "lead 942 of 'Bob' timed out after 12 s"
... )
True
"""

import errno
import hashlib
import linecache
import re
import sys
import sysconfig
from collections import Counter, deque
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from leadlog_processors.fields import ERROR_LOG

MESSAGE_LIMIT: Final = 2_000
"""Most characters of a message."""
TRACE_LIMIT: Final = 8_000
"""Most characters of a stack trace; what is cut are whole lines from its middle."""
OUTER_FRAMES: Final = 5
INNER_FRAMES: Final = 15
"""Frames of one exception that are shown, from the outside and from the inside."""
CHAIN_LIMIT: Final = 5
"""Exceptions of one chain of causes that are shown."""

_SOURCE_LIMIT: Final = 200
_GROUP_LIMIT: Final = 10
_NOTE_LIMIT: Final = 5
_RECURRING: Final = 10
_BY_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_BY_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


# ------------------------------------------------------------------------------- single facts


def _get(value: object, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody else's exception may raise anything
        return None


def _class_of(exc: BaseException) -> str:
    kind = type(exc)
    module = kind.__module__
    if module == "builtins" or not isinstance(module, str):
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


def _message_of(exc: BaseException) -> str:
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return f"<unprintable {type(exc).__qualname__}>"
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _caused_by(exc: BaseException) -> Iterator[BaseException]:
    """The exception, and what explicitly caused it, as far as the chain may go."""
    error: BaseException | None = exc
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(seen) < CHAIN_LIMIT:
        yield error
        seen.add(id(error))
        error = error.__cause__


def _code_of(error: object) -> str | None:
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        value = _get(error, name)
        if isinstance(value, str) and value:
            return value
    response = _get(error, "response")
    for holder, name in ((response, "status_code"), (response, "status"), (error, "status_code")):
        value = _get(holder, name)
        if isinstance(value, int) and 100 <= value <= 599:
            return str(int(value))
    # urllib's HTTPError and aiohttp's ClientResponseError; a bare `code` may be anything.
    if _get(error, "headers") is not None:
        for name in ("code", "status"):
            value = _get(error, name)
            if isinstance(value, int) and 100 <= value <= 599:
                return str(int(value))
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0)
    return None


def error_code(exc: BaseException) -> str | None:
    """The code by which others know the error.

    Asked of the exception, of the driver's exception that it wraps (`orig`) and of what explicitly
    caused it, by the names of their attributes: a SQLSTATE ("23505"), SQLite's name
    ("SQLITE_CONSTRAINT_UNIQUE"), an HTTP status ("422") or the name of an errno ("ENOSPC").
    """
    for error in _caused_by(exc):
        for holder in (error, _get(error, "orig")):
            code = None if holder is None else _code_of(holder)
            if code is not None:
                return code
    return None


# ------------------------------------------------------------------------------- stack trace


def _source_line(frame: FrameType, line: int) -> str:
    try:
        source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    except Exception:  # noqa: BLE001 - a loader's own code may raise anything
        return ""
    return source.strip()[:_SOURCE_LIMIT]


def _frame_lines(trace: TracebackType | None) -> Iterator[str]:
    outer: list[TracebackType] = []
    inner: deque[TracebackType] = deque(maxlen=INNER_FRAMES)
    count = 0
    while trace is not None:
        if count < OUTER_FRAMES:
            outer.append(trace)
        else:
            inner.append(trace)
        count += 1
        trace = trace.tb_next
    left_out = count - len(outer) - len(inner)
    for number, shown in enumerate((*outer, *inner)):
        if number == OUTER_FRAMES and left_out:
            yield f"  … {left_out} frames left out …\n"
        code = shown.tb_frame.f_code
        yield f'  File "{code.co_filename}", line {shown.tb_lineno}, in {code.co_name}\n'
        source = _source_line(shown.tb_frame, shown.tb_lineno)
        if source:
            yield f"    {source}\n"


def _last_lines(exc: BaseException) -> Iterator[str]:
    message = _message_of(exc)
    yield f"{_class_of(exc)}: {message}\n" if message else f"{_class_of(exc)}\n"
    notes = _get(exc, "__notes__")
    if isinstance(notes, list):
        for note in notes[:_NOTE_LIMIT]:
            if isinstance(note, str):
                yield f"{note[:MESSAGE_LIMIT]}\n"
    if isinstance(exc, BaseExceptionGroup):
        for number, part in enumerate(exc.exceptions[:_GROUP_LIMIT], 1):
            first_line = _message_of(part).partition("\n")[0]
            yield f"  {number}. {_class_of(part)}: {first_line}\n"
        if len(exc.exceptions) > _GROUP_LIMIT:
            yield f"  … {len(exc.exceptions) - _GROUP_LIMIT} exceptions left out …\n"


def _chain(exc: BaseException) -> list[tuple[BaseException, str]]:
    """The chain as Python would print it, with the sentence that leads to the next; root first."""
    chain = [(exc, "")]
    seen = {id(exc)}
    while len(chain) < CHAIN_LIMIT:
        last = chain[-1][0]
        before, link = last.__cause__, _BY_CAUSE
        if before is None and not last.__suppress_context__:
            before, link = last.__context__, _BY_CONTEXT
        if before is None or id(before) in seen:
            break
        seen.add(id(before))
        chain.append((before, link))
    return chain[::-1]


def _without_middle(text: str) -> str:
    if len(text) <= TRACE_LIMIT:
        return text
    # At the end of a line, so that no secret is cut into pieces that nobody recognises.
    head_end = text.rfind("\n", 0, TRACE_LIMIT // 4) + 1
    tail_start = text.find("\n", len(text) - TRACE_LIMIT * 3 // 4 + 50) + 1
    left_out = text[head_end:tail_start].count("\n")
    return f"{text[:head_end]}… {left_out} lines left out …\n{text[tail_start:]}"


def stack_trace(exc: BaseException, trace: TracebackType | None = None) -> str:
    """The traceback of an exception and its causes as Python prints it, limited.

    Args:
        exc: any exception; long tracebacks, long or cyclic chains of causes, groups and exceptions
            that cannot be printed are fine.
        trace: its traceback, if the exception does not carry it.

    Returns:
        At most `TRACE_LIMIT` characters, without the values of variables. Messages and source lines
        are in it, so secrets may be: mask it before it leaves the process.
    """
    lines: list[str] = []
    for error, link in _chain(exc):
        found = error.__traceback__
        if found is None and error is exc:
            found = trace
        if found is not None:
            lines.append("Traceback (most recent call last):\n")
            lines.extend(_frame_lines(found))
        lines.extend(_last_lines(error))
        lines.append(link)
    return _without_middle("".join(lines).rstrip("\n"))


# ------------------------------------------------------------------------------- fingerprint

_QUOTED: Final = re.compile(
    r"(?<!\w)'.*?'(?!\w)|(?<!\w)\".*?\"(?!\w)|`[^`]*`|“[^”]*”|‘[^’]*’|«[^»]*»"
)
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\"'=]+@[^\s@<>()\[\],;:\"'=]+")
_UUID: Final = re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_HEX: Final = re.compile(r"(?i)\b[0-9a-f]{8,}\b")
_WITH_DIGIT: Final = re.compile(r"[-+]?\b\w*\d\w*")
_SERIES: Final = re.compile(r"#(?:(?:[-+.,:/]|, ?| )#)+")
_COMPREHENSION: Final = re.compile(r"\.<locals>\.<(?:listcomp|setcomp|dictcomp|genexpr)>")
_FOREIGN_DIRECTORIES: Final = tuple(
    {str(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib")}
)


def _first_line(text: str) -> str:
    """The first line without what changes from one occurrence to the next."""
    line = text.strip().partition("\n")[0][:MESSAGE_LIMIT]
    line = _QUOTED.sub("#", line)
    line = _ADDRESS.sub("#", line)
    line = _UUID.sub("#", line)
    line = _HEX.sub("#", line)
    line = _WITH_DIGIT.sub("#", line)
    return " ".join(_SERIES.sub("#", line).casefold().split())


@lru_cache(maxsize=1024)
def _is_foreign(file: str) -> bool:
    """Whether a file belongs to the standard library or to an installed package."""
    return (
        file.startswith(_FOREIGN_DIRECTORIES)
        or "site-packages" in file
        or "dist-packages" in file
        or file.startswith("<frozen ")
    )


def _function(frame: FrameType) -> str:
    """Module and qualified name of a frame's function."""
    module = frame.f_globals.get("__name__")
    if not isinstance(module, str) or module == "__main__":
        module = Path(frame.f_code.co_filename).stem
    return f"{module}.{_COMPREHENSION.sub('', frame.f_code.co_qualname)}"


def _place(exc: BaseException, trace: TracebackType | None) -> str:
    """The innermost function of the application's own, else the innermost."""
    own = innermost = None
    functions: Counter[str] = Counter()
    recurs = isinstance(exc, RecursionError)
    while trace is not None:
        innermost = trace.tb_frame
        if not _is_foreign(innermost.f_code.co_filename):
            own = innermost
        if recurs:
            functions[_function(innermost)] += 1
        trace = trace.tb_next
    if recurs:
        # Where the stack ended is chance.
        recurring = sorted(name for name, count in functions.items() if count >= _RECURRING)
        if recurring:
            return ",".join(recurring)
    frame = own or innermost
    return "" if frame is None else _function(frame)


def _digest(parts: list[str]) -> str:
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


def fingerprint(exc: BaseException, trace: TracebackType | None = None) -> str:
    """16 hex digits, the same for the same bug; the module says what they are made of.

    Args:
        exc: any exception.
        trace: its traceback, if the exception does not carry it.
    """
    parts = [_place(exc, exc.__traceback__ or trace)]
    for error in _caused_by(exc):
        parts += (_class_of(error), _first_line(_message_of(error)))
    return _digest(parts)


def fingerprint_text(error_type: str | None, message: str | None) -> str:
    """As `fingerprint`, of an error that is no exception: of its type and message.

    Args:
        error_type: for example sync_error.
        message: its text; the first line counts, without what changes.
    """
    return _digest([error_type or "", _first_line(message or "")])


# ------------------------------------------------------------------------------- together


def describe(exc: BaseException, trace: TracebackType | None = None) -> dict[str, str | None]:
    """An exception as facts.

    Args:
        exc: any exception.
        trace: its traceback, if the exception does not carry it.

    Returns:
        `error_message`, `error_code`, `exception_class`, `stack_trace`, `fingerprint`, as the
        module describes them.
    """
    return {
        "error_message": _message_of(exc) or None,
        "error_code": error_code(exc),
        "exception_class": _class_of(exc),
        "stack_trace": stack_trace(exc, trace),
        "fingerprint": fingerprint(exc, trace),
    }


def _resolve(exc_info: object) -> tuple[BaseException | None, TracebackType | None]:
    """The exception that `exc_info` means, as structlog and logging understand it."""
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


class Failure:
    """Turns an exception into `error_details`.

    In: `exc_info` (an exception, a tuple as of `sys.exc_info()`, or True for the one being
    handled), `log_type`. Out: `exc_info` is gone. With an exception, the keys of `error_details`
    that are null or missing have the facts of `describe`; the section is created if missing, for
    any log type. An error_log without an exception gets the `fingerprint` of its `error_type` and
    `error_message`. Never raises. Cost: COST.
    """

    __slots__ = ()

    def __call__(
        self, _logger: WrappedLogger, _method_name: str, event_dict: EventDict
    ) -> EventDict:
        """Take `exc_info` out of the event and put in what it says."""
        if "exc_info" not in event_dict and event_dict.get("log_type") != ERROR_LOG:
            return event_dict
        exc_info = event_dict.pop("exc_info", None)
        exc, trace = _resolve(exc_info) if exc_info else (None, None)
        details = event_dict.get("error_details")
        known = details if isinstance(details, dict) else {}
        if exc is not None:
            facts = describe(exc, trace)
        elif event_dict.get("log_type") == ERROR_LOG and known.get("fingerprint") is None:
            error_type, message = known.get("error_type"), known.get("error_message")
            if error_type is None and message is None:
                return event_dict
            facts = {"fingerprint": fingerprint_text(_text(error_type), _text(message))}
        else:
            return event_dict
        # A new section: the one at hand may be the caller's.
        missing = {key: fact for key, fact in facts.items() if known.get(key) is None}
        event_dict["error_details"] = known | missing
        return event_dict


def _text(value: object) -> str | None:
    try:
        return None if value is None else str(value)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        return None

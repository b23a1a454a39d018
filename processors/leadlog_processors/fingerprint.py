r"""Fingerprint: 16 hex digits of an error, equal for the same bug.

It is a hash of the exception's class, the innermost function of the application's own code (not
of the standard library or site-packages) with its module, and the first line of the message
without the parts that vary between occurrences: numbers, words containing a digit (ids,
addresses, dates), UUIDs, e-mail addresses and quoted texts; then of class and message of the
exception's explicit cause; for a group also of the function and of class and message of the
first exception inside it. Line numbers, paths and callers are ignored; for an endless recursion,
the recurring functions are used.

>>> fingerprint_text("sync_error", "lead 17 of 'Ana' timed out after 3.5 s") == fingerprint_text(
...     "sync_error", "lead 942 of 'Bob' timed out after 12 s"
... )
True
"""

import hashlib
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

from leadlog_processors.exceptions import (
    CHAIN_LIMIT,
    MESSAGE_LIMIT,
    caused_by,
    class_name,
    message_of,
)

_RECURRING: Final = 10

_QUOTED: Final = re.compile(r"(?<!\w)'.*?'(?!\w)|(?<!\w)\".*?\"(?!\w)|`[^`]*`|“[^”]*”|«[^»]*»")
_NO_END: Final = r"[^\s@<>()\[\],;:\"=]"
_ADDRESS: Final = re.compile(rf"(?<!{_NO_END}){_NO_END}+@{_NO_END}+")
_UUID: Final = re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_HEX: Final = re.compile(r"(?i)\b[0-9a-f]{8,}\b")
_WITH_DIGIT: Final = re.compile(r"[-+]?\b\w*\d\w*")
_SERIES: Final = re.compile(r"#(?:(?:[-+.,:/]|, ?| )?#)+")
_COMPREHENSION: Final = re.compile(r"\.<locals>\.<(?:listcomp|setcomp|dictcomp|genexpr)>")
_FOREIGN_DIRECTORIES: Final = tuple(
    {str(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib")}
)


def _first_line(text: str) -> str:
    """Return the first line without the parts that vary between occurrences."""
    line = text.strip().partition("\n")[0][:MESSAGE_LIMIT]
    for changing in (_ADDRESS, _QUOTED, _UUID, _WITH_DIGIT, _HEX):
        line = changing.sub("#", line)
    return " ".join(_SERIES.sub("#", line).casefold().split())


@lru_cache(maxsize=1024)
def is_foreign(file: str) -> bool:
    """Return whether a file belongs to the standard library or to an installed package."""
    return (
        file.startswith((*_FOREIGN_DIRECTORIES, "<frozen ", "<sqlalchemy "))
        or "site-packages" in file
        or "dist-packages" in file
    )


def is_own(frame: FrameType) -> bool:
    """Return whether a frame belongs to the application's own code, excluding leadlog's."""
    module = frame.f_globals.get("__name__")
    if isinstance(module, str) and module.startswith(("leadlog.", "leadlog_processors.")):
        return False
    if is_foreign(frame.f_code.co_filename):
        return False
    # Cython's frames name their file relative to the source tree.
    file = frame.f_globals.get("__file__")
    return not isinstance(file, str) or not is_foreign(file)


def frames_of(exc: BaseException) -> Iterator[TracebackType]:
    """Yield the entries of an exception's traceback, the outermost first.

    For a group, such as a task group's, the entries of its first exception follow.
    """
    error: BaseException | None = exc
    for _ in range(CHAIN_LIMIT):
        if error is None:
            return
        trace = error.__traceback__
        while trace is not None:
            yield trace
            trace = trace.tb_next
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None


def own_place(exc: BaseException) -> str | None:
    """Return `file:line in function` of the application's code that raised an exception.

    None if no frame of its traceback belongs to the application.
    """
    found = None
    for trace in frames_of(exc):
        if is_own(trace.tb_frame):
            code = trace.tb_frame.f_code
            found = f"{code.co_filename}:{trace.tb_lineno} in {code.co_qualname}"
    return found


def _function(frame: FrameType) -> str:
    """Return the module and qualified name of a frame's function."""
    module = frame.f_globals.get("__name__")
    if not isinstance(module, str) or module == "__main__":
        module = Path(frame.f_code.co_filename).stem
    return f"{module}.{_COMPREHENSION.sub('', frame.f_code.co_qualname)}"


def _place(
    exc: BaseException, trace: TracebackType | None, callers: Sequence[FrameType] = ()
) -> str:
    """Return the innermost function of the application, or else the innermost of all."""
    own = next((frame for frame in reversed(callers) if is_own(frame)), None)
    innermost = None
    functions: Counter[str] = Counter()
    recurs = isinstance(exc, RecursionError)
    while trace is not None:
        innermost = trace.tb_frame
        if is_own(innermost):
            own = innermost
        if recurs:
            functions[_function(innermost)] += 1
        trace = trace.tb_next
    if recurs:
        # The depth at which the stack ended is arbitrary.
        recurring = sorted(name for name, count in functions.items() if count >= _RECURRING)
        if recurring:
            return ",".join(recurring)
    frame = own or innermost
    return "" if frame is None else _function(frame)


def _digest(parts: list[str]) -> str:
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


def fingerprint(
    exc: BaseException, trace: TracebackType | None = None, callers: Sequence[FrameType] = ()
) -> str:
    """Return 16 hex digits that are equal for the same bug; the module describes the input.

    Args:
        exc: any exception.
        trace: its traceback, if the exception does not carry it.
        callers: frames still running that led to it, the outermost first.
    """
    parts = [_place(exc, exc.__traceback__ or trace, callers)]
    inner: BaseException = exc
    for _ in range(CHAIN_LIMIT):
        if not isinstance(inner, BaseExceptionGroup):
            break
        inner = inner.exceptions[0]
        parts.append(_place(inner, inner.__traceback__))
    for error in caused_by(exc):
        parts += (class_name(error), _first_line(message_of(error)))
    return _digest(parts)


def fingerprint_text(error_type: str | None, message: str | None) -> str:
    """Return the fingerprint of an error without an exception, from its type and message.

    Args:
        error_type: type of the error, for example sync_error.
        message: its text; only the first line, without varying parts, is used.
    """
    return _digest([error_type or "", _first_line(message or "")])

"""Stack trace: Python's output, but limited in length and without the values of variables.

>>> try:
...     raise ValueError("no name") from KeyError("name")
... except ValueError as error:
...     print(stack_trace(error).splitlines()[0], stack_trace(error).splitlines()[-1], sep="; ")
KeyError: 'name'; ValueError: no name
"""

import linecache
from collections import deque
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Final

from leadlog_processors.exceptions import CHAIN_LIMIT, MESSAGE_LIMIT, class_name, message_of, read
from leadlog_processors.fingerprint import frames_of, is_own

TRACE_LIMIT: Final = 8_000
"""Maximum number of characters of a stack trace; whole lines are cut from its middle."""
OUTER_FRAMES: Final = 5
INNER_FRAMES: Final = 15
"""Maximum number of frames shown for one exception, from the outside and from the inside."""

_SOURCE_LIMIT: Final = 200
_GROUP_LIMIT: Final = 10
_GROUP_DEPTH: Final = 3
_GROUP_FRAMES: Final = 24
"""Innermost frames shared by the exceptions of a group; each shows at least three."""
_NOTE_LIMIT: Final = 5
_BY_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_BY_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


def _source_line(frame: FrameType, line: int) -> str:
    try:
        source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    except Exception:  # noqa: BLE001 - a loader's own code may raise anything
        return ""
    return source.strip()[:_SOURCE_LIMIT]


def _place_lines(frame: FrameType, line: int) -> Iterator[str]:
    code = frame.f_code
    yield f'  File "{code.co_filename}", line {line}, in {code.co_name}\n'
    source = _source_line(frame, line)
    if source:
        yield f"    {source}\n"


def _frame_lines(
    trace: TracebackType | None, outer_most: int = OUTER_FRAMES, inner_most: int = INNER_FRAMES
) -> Iterator[str]:
    outer: list[TracebackType] = []
    inner: deque[TracebackType] = deque(maxlen=inner_most)
    count = 0
    while trace is not None:
        if count < outer_most:
            outer.append(trace)
        else:
            inner.append(trace)
        count += 1
        trace = trace.tb_next
    left_out = count - len(outer) - len(inner)
    for number, shown in enumerate((*outer, *inner)):
        if number == outer_most and left_out:
            yield f"  … {left_out} frames left out …\n"
        yield from _place_lines(shown.tb_frame, shown.tb_lineno)


def _last_lines(exc: BaseException, depth: int = 0) -> Iterator[str]:
    message = message_of(exc)
    yield f"{class_name(exc)}: {message}\n" if message else f"{class_name(exc)}\n"
    notes = read(exc, "__notes__")
    if isinstance(notes, list):
        for note in notes[:_NOTE_LIMIT]:
            if isinstance(note, str):
                yield f"{note[:MESSAGE_LIMIT]}\n"
    if isinstance(exc, BaseExceptionGroup):
        parts = exc.exceptions[:_GROUP_LIMIT]
        for number, part in enumerate(parts, 1):
            first_line = message_of(part).partition("\n")[0]
            yield f"  {number}. {class_name(part)}: {first_line}\n"
            if depth < _GROUP_DEPTH:
                inner = max(3, _GROUP_FRAMES // len(parts))
                yield from (f"    {line}" for line in _part_lines(part, depth + 1, inner))
        if len(exc.exceptions) > _GROUP_LIMIT:
            yield f"  … {len(exc.exceptions) - _GROUP_LIMIT} exceptions left out …\n"


def _part_lines(part: BaseException, depth: int, frames: int) -> Iterator[str]:
    """Yield the frames of an exception in a group, beginning with those of its causes."""
    for error, link in _chain(part):
        yield from _frame_lines(error.__traceback__, 0, frames)
        if error is not part or isinstance(part, BaseExceptionGroup):
            lines = list(_last_lines(error, depth))
            yield from lines if error is not part else lines[1:]
        if link:
            yield f"{link.strip()}\n"


def _chain(exc: BaseException) -> list[tuple[BaseException, str]]:
    """Return the chain as Python would print it, with the sentence that links to the next.

    The root cause is first.
    """
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
    # Cut at the end of a line, so that no secret is split into unrecognisable parts.
    head_end = text.rfind("\n", 0, TRACE_LIMIT // 4) + 1
    tail_start = text.find("\n", len(text) - TRACE_LIMIT * 3 // 4 + 50) + 1
    left_out = text[head_end:tail_start].count("\n")
    return f"{text[:head_end]}… {left_out} lines left out …\n{text[tail_start:]}"


def _own_lines(exc: BaseException) -> Iterator[str]:
    """Yield the application's own frames, if there are any."""
    found = [trace for trace in frames_of(exc) if is_own(trace.tb_frame)]
    if found:
        yield "The application's own frames (most recent call last):\n"
        for trace in found[-INNER_FRAMES:]:
            yield from _place_lines(trace.tb_frame, trace.tb_lineno)
        yield "\n"


def stack_trace(
    exc: BaseException,
    trace: TracebackType | None = None,
    callers: Sequence[FrameType] = (),
    *,
    own_first: bool = False,
) -> str:
    """Return the traceback of an exception and its causes as Python prints it, limited in length.

    Args:
        exc: any exception; long tracebacks, long or cyclic chains of causes, groups and
            exceptions that cannot be printed are supported.
        trace: its traceback, if the exception does not carry it.
        callers: frames still running that led to it, the outermost first, which the traceback
            does not contain until the exception has passed them. They are shown first.
        own_first: whether to show the application's own frames once more before the rest.

    Returns:
        At most `TRACE_LIMIT` characters, without values of variables. It contains messages and
        source lines, and so possibly secrets: mask it before it leaves the process.
    """
    lines: list[str] = []
    own = "".join(_own_lines(exc)) if own_first else ""
    for error, link in _chain(exc):
        found = error.__traceback__
        if found is None and error is exc:
            found = trace
        shown = () if lines else callers  # they led to the whole chain
        if found is not None or shown:
            lines.append("Traceback (most recent call last):\n")
            for frame in shown[-INNER_FRAMES:]:
                lines.extend(_place_lines(frame, frame.f_lineno))
            lines.extend(_frame_lines(found))
        lines.extend(_last_lines(error))
        lines.append(link)
    return _without_middle(own + "".join(lines).rstrip("\n"))

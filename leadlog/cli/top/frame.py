"""The frame of `leadlog top`: lines for a terminal of any size.

Stored values are escaped before they get into a line, and every line is measured in cells, so no
operation name or error message can draw outside its place.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import attrs

from leadlog.cli.terminal import Styled, cells, fit, line, safe
from leadlog.dashboard.wording import UNKNOWN, duration, figure, moment, percent, span

__all__ = ["SORTS", "ErrorLine", "FigureTile", "LogView", "OperationLine", "Sort", "frame"]

Sort = Literal["trouble", "calls", "p95", "name"]
SORTS: Final[tuple[Sort, ...]] = ("trouble", "calls", "p95", "name")
"""The sort orders of operations; `s` cycles through them in this order."""

State = Literal["good", "warning", "bad", "unknown"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_COLOURS: Final = {"good": "green", "warning": "yellow", "bad": "red", "unknown": None}
_SIGNS: Final = {"good": "●", "warning": "▲", "bad": "■", "unknown": "○"}
_TILE_CELLS: Final = 19
_TREND_CELLS: Final = 20
_NARROW, _SHORT = 72, 20
_LEAST_NAME: Final = 14


@attrs.frozen
class FigureTile:
    """One of the tiles at the top.

    Attributes:
        label: name of the figure.
        value: the figure, formatted.
        change: its change from the earlier value; empty if there is none to compare with.
        series: its values over time, oldest first; None where unknown.
        state: rating of the figure.
    """

    label: str
    value: str
    change: str = ""
    series: tuple[float | None, ...] = ()
    state: State = "unknown"


@attrs.frozen
class OperationLine:
    """One operation.

    Attributes:
        name: `Class.operation`, as stored.
        calls: number of calls.
        failed: share of failed calls, 0 to 1; None if unknown.
        p50: median duration in milliseconds.
        p95: 95th percentile of the durations in milliseconds.
        series: calls over time, oldest first.
    """

    name: str
    calls: float
    failed: float | None
    p50: float | None
    p95: float | None
    series: tuple[float | None, ...] = ()


@attrs.frozen
class ErrorLine:
    """A kind of error.

    Attributes:
        last_us: time of the last occurrence, microseconds since 1970.
        name: class of the error, as stored.
        text: message of the error, as stored.
        count: number of occurrences.
        fingerprint: its fingerprint, for `leadlog errors`.
    """

    last_us: int
    name: str
    text: str
    count: float
    fingerprint: str


@attrs.frozen
class LogView:
    """One snapshot of the log.

    Attributes:
        log: the log directory.
        window: the period of the figures, in words.
        now_us: time of the snapshot, microseconds since 1970.
        last_us: time of the newest event, microseconds since 1970; None if there is none.
        sentence: summary of the state.
        state: rating of the state.
        tiles: the figures at the top.
        operations: the operations with calls in the window.
        errors: kinds of errors in the window, most recent first.
        notice: a caveat about the figures, such as how much is not yet indexed; empty for none.
    """

    log: str
    window: str
    now_us: int
    last_us: int | None
    sentence: str
    state: State
    tiles: tuple[FigureTile, ...]
    operations: tuple[OperationLine, ...]
    errors: tuple[ErrorLine, ...]
    notice: str = ""


_HELP: Final = (
    ("q", "quit"),
    ("p", "pause: the figures stay until p is pressed again"),
    ("s", "sort operations by trouble, calls, p95 or name"),
    ("?", "this help; any key leaves it"),
    ("Ctrl-Z", "back to the shell for a time; `fg` returns"),
)
_WORDS: Final = (
    "trouble: failed calls first, then the slowest",
    "p50, p95: of the calls in the window, at most 1 % off",
    f"{UNKNOWN}: not known, which is not 0",
    "More of an error: leadlog errors FINGERPRINT",
)


def frame(
    view: LogView,
    width: int,
    height: int | None = None,
    *,
    sort: Sort = "trouble",
    paused: bool = False,
    helping: bool = False,
    keys: bool = True,
) -> list[str]:
    """Return the lines of one frame.

    Args:
        view: the snapshot to show.
        width: maximum width of a line in cells.
        height: number of lines available; None for no limit.
        sort: sort order of the operations.
        paused: whether updates are paused.
        helping: whether to show the help instead.
        keys: whether to show the key hints at the bottom.
    """
    head = [*_head(view, width, paused=paused)]
    foot = [_keys(width, sort)] if keys else []
    room = None if height is None else max(height - len(head) - len(foot), 0)
    body = [*(_help(width) if helping else _body(view, width, room, sort))]
    if height is None:
        return [*head, *body, *foot]
    shown = [*head, *body][: height - len(foot)]
    return [*shown, *([""] * (height - len(foot) - len(shown))), *foot]


def _head(view: LogView, width: int, *, paused: bool) -> Iterator[str]:
    age = "no events yet"
    if view.last_us is not None:
        past = max(view.now_us - view.last_us, 0) / 1000
        age = f"last event {span(past)} ago" if past >= 1000 else "last event just now"
    clock = moment(view.now_us, seconds=True).rpartition(" ")[2]
    right = Styled("paused", {"fg": "black", "bg": "yellow"}) if paused else Styled("")
    yield line(
        [
            Styled("leadlog top", {"bold": True}),
            right,
            f"{clock} UTC",
            view.window,
            age,
            Styled(safe(view.log), {"dim": True}),
        ],
        width,
    )
    sign = _SIGNS[view.state]
    yield line([Styled(f"{sign} {safe(view.sentence)}", {"fg": _COLOURS[view.state]})], width)
    if view.notice:
        yield line([Styled(safe(view.notice), {"dim": True})], width)
    yield ""


def _body(view: LogView, width: int, room: int | None, sort: Sort) -> Iterator[str]:
    tiles = [*_tiles(view.tiles, width, short=room is not None and room < _SHORT)]
    yield from tiles
    errors = [*_errors(view.errors, width, view.now_us)]
    operations = [*_operations(view.operations, width, sort)]
    if room is None:
        yield from (*operations, "", *errors)
        return
    left = room - len(tiles) - 1
    # Errors get a third of the remaining lines, plus those that operations do not need.
    for_errors = min(len(errors), max(left // 3, left - len(operations), 2))
    yield from _cut(operations, left - for_errors, width)
    yield ""
    yield from _cut(errors, for_errors, width)


def _cut(lines: list[str], room: int, width: int) -> list[str]:
    """Return the lines that fit; the last one says how many are left out."""
    if len(lines) <= room:
        return lines
    if room < 2:
        return lines[: max(room, 0)]
    more = f"  and {len(lines) - room + 1} more"
    return [*lines[: room - 1], line([Styled(more, {"dim": True})], width)]


def _tiles(tiles: Sequence[FigureTile], width: int, *, short: bool) -> Iterator[str]:
    columns = max(1, min(len(tiles), width // _TILE_CELLS))
    size = width // columns
    for start in range(0, len(tiles), columns):
        row = tiles[start : start + columns]
        yield _columns([Styled(one.label, {"dim": True}) for one in row], size)
        yield _columns(
            [
                Styled(
                    f"{one.value}  {one.change}" if one.change else one.value,
                    {"bold": True, "fg": _COLOURS[one.state] if one.state != "good" else None},
                )
                for one in row
            ],
            size,
        )
        if not short:
            yield _columns(
                [Styled(spark(one.series, size - 2), {"fg": "blue"}) for one in row], size
            )
            yield ""


def _columns(texts: Sequence[Styled], size: int) -> str:
    shown = []
    for text, style in texts:
        cut = fit(text, size - 2)
        shown.append(line([Styled(cut, style)]) + " " * (size - cells(cut)))
    return "".join(shown).rstrip()


def spark(series: Sequence[float | None], width: int) -> str:
    """Return a series as one row of bars, at most `width` cells wide; an unknown value is a gap.

    >>> spark([0, 1, None, 4], 10), spark([1, 1, 8, 8], 2), spark([], 5)
    ('▁▃ █', '▂█', '')
    """
    size = -(-len(series) // width) if width > 0 else 0
    if not size:
        return ""
    merged = []
    for start in range(0, len(series), size):
        known = [one for one in series[start : start + size] if one is not None]
        merged.append(max(known) if known else None)
    most = max((one for one in merged if one is not None), default=0)
    return "".join(" " if one is None else _BARS[_height(one, most)] for one in merged)


def _height(value: float, most: float) -> int:
    return 0 if most <= 0 or value <= 0 else max(1, round(value / most * (len(_BARS) - 1)))


def _in_order(operations: Sequence[OperationLine], sort: Sort) -> list[OperationLine]:
    if sort == "name":
        return sorted(operations, key=lambda one: one.name)
    if sort == "calls":
        return sorted(operations, key=lambda one: (-one.calls, one.name))
    if sort == "p95":
        return sorted(operations, key=lambda one: (-(one.p95 or 0), one.name))
    return sorted(
        operations,
        key=lambda one: (-(one.failed or 0) * one.calls, -(one.p95 or 0), one.name),
    )


def _operations(operations: Sequence[OperationLine], width: int, sort: Sort) -> Iterator[str]:
    narrow = width < _NARROW
    figures = ["calls", "failed", "p95"] if narrow else ["calls", "failed", "p50", "p95"]
    rows = [
        (
            safe(one.name),
            {
                "calls": figure(one.calls),
                "failed": percent(one.failed),
                "p50": duration(one.p50),
                "p95": duration(one.p95),
            },
            one,
        )
        for one in _in_order(operations, sort)
    ]
    sizes = {
        name: max(len(name) + (name == sort), *(cells(row[1][name]) for row in rows), 6)
        if rows
        else 8
        for name in figures
    }
    taken = sum(size + 2 for size in sizes.values())
    trend = 0 if narrow else min(_TREND_CELLS, max(0, width - taken - _LEAST_NAME - 2))
    name_size = max(width - taken - (trend + 2 if trend else 0), _LEAST_NAME)
    name_size = min(name_size, max([_LEAST_NAME, *(cells(row[0]) for row in rows)]))
    title = [Styled(_padded("operation" + "↑" * (sort == "name"), name_size), {"bold": True})]
    title += [
        Styled(f"{name}{'↓' * (name == sort)}".rjust(sizes[name]), {"bold": True})
        for name in figures
    ]
    yield line(title, width)
    for name, shown, one in rows:
        parts = [Styled(_padded(name, name_size))]
        for column in figures:
            bad = column == "failed" and (one.failed or 0) > 0
            text = shown[column]
            parts.append(
                Styled(" " * (sizes[column] - cells(text)) + text, {"fg": "red"} if bad else {})
            )
        parts.append(Styled(spark(one.series, trend), {"fg": "blue"}))
        yield line(parts, width)
    if not rows:
        yield line([Styled("no calls in this time", {"dim": True})], width)


def _padded(text: str, size: int) -> str:
    cut = fit(text, size)
    return cut + " " * (size - cells(cut))


def _errors(errors: Sequence[ErrorLine], width: int, now_us: int) -> Iterator[str]:
    yield line([Styled("last errors", {"bold": True})], width)
    for one in errors:
        times = f"×{figure(one.count)}" if one.count > 1 else ""
        yield line(
            [
                _when(one.last_us, now_us),
                Styled(times.rjust(6) if width >= _NARROW else times),
                Styled(one.fingerprint[:8], {"dim": True}) if width >= _NARROW else "",
                Styled(safe(one.name), {"fg": "red"}),
                safe(one.text.strip().partition("\n")[0]),
            ],
            width,
        )
    if not errors:
        yield line([Styled("none in this time", {"dim": True})], width)


def _when(us: int, now_us: int) -> str:
    """Return the time of day, with the date if it is not today."""
    text = moment(us, seconds=True)
    day, _, clock = text.rpartition(", ")
    return clock if moment(now_us).startswith(f"{day},") else text[: -len(":00")]


def _keys(width: int, sort: Sort) -> str:
    parts = [("q", "quit"), ("p", "pause"), ("s", f"sort: {sort}"), ("?", "help")]
    return line(
        [Styled(f"{key} {word}", {"dim": True}) for key, word in parts],
        width,
    )


def _help(width: int) -> Iterator[str]:
    for key, word in _HELP:
        yield line([Styled(key.ljust(7), {"bold": True}), word], width)
    yield ""
    for word in _WORDS:
        yield line([word], width)

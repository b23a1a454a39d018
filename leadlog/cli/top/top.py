"""`leadlog top`: watch the store live in the terminal."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.reading.indexed import indexing
from leadlog.cli.terminal import message, print_json, terminal_width

if TYPE_CHECKING:
    from leadlog.cli.top.frame import FigureTile as FrameTile
    from leadlog.cli.top.frame import LogView, State
    from leadlog.dashboard.model import Log, Now, Tile

__all__ = ["top"]

_QUIT: Final = frozenset(("q", "Q", "\x04"))
_STATES: Final[dict[str, "State"]] = {
    "ok": "good",
    "warning": "warning",
    "critical": "bad",
    "unknown": "unknown",
}
_PIPE_CELLS: Final = 100
# ASCII replacements for an encoding that lacks these characters.
_ASCII: Final = str.maketrans("▁▂▃▄▅▆▇█–−×…↓↑●▲■○≈", "_.:-=+*#--x.v^*!#o~")


@click.command()
@directory_option
@click.option("--once", is_flag=True, help="Print one frame, and exit.")
@click.option(
    "--since",
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Count events at TIME or later.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Interval between two updates.",
)
@json_option
@click.pass_context
def top(
    ctx: click.Context,
    *,
    directory: Path | None,
    once: bool,
    since: str,
    every: float,
    as_json: bool,
) -> None:
    """Watch the store at work: figures, operations by Class.operation, and the last errors.

    \b
    Keys:
      q  quit
      p  pause, and go on
      s  sort operations by trouble, calls, p95 or name
      ?  help

    \b
    Examples:
      leadlog top
      leadlog top --since 24h --every 5
      leadlog top --once | head
      leadlog top --json | jq '.operations[] | select(.failed > 0) | .name'

    TIME is 2026-11-23T10:00:00Z, today, or 2h for two hours ago, which goes on with the clock.
    The figures are read from the index of the log; building it the first time takes a while. In a
    pipe, and on a terminal without cursor control, it prints one frame.
    """  # noqa: D301 - click wants real backspaces
    root = existing_log(directory)
    _check(since)
    from leadlog.dashboard.model import Log

    with Log(root) as log:
        with indexing() as progress:
            log.catch_up(progress)
        if as_json:
            print_json(_now(log, since))
            return
        from leadlog.cli.top.screen import can_draw

        drawable = can_draw()
        if once or not drawable:
            if not once and sys.stdout.isatty():
                message("this terminal cannot be drawn on; this is one frame")
            _print_one(log, since)
            return
        _watch(log, since, every, colour=ctx.color is not False)


def _check(since: str) -> None:
    from leadlog.dashboard.model import WindowError, window

    try:
        window(since)
    except WindowError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error


def _now(log: "Log", since: str) -> "Now":
    from leadlog.dashboard.model import firing, now, window

    return now(log, window(since), firing(log))


def _look(log: "Log", since: str, notice: str = "") -> "LogView":
    """Return a snapshot of the log."""
    from leadlog.cli.top.frame import ErrorLine, LogView, OperationLine
    from leadlog.core.clock import now_us, parse

    found = _now(log, since)
    return LogView(
        str(log.directory),
        f"since {since}" if not since[:1].isdigit() or "-" in since else f"last {since}",
        now_us(),
        None if found.last is None else parse(found.last),
        found.state.sentence,
        _STATES[found.state.word],
        tuple(map(_tile, found.tiles)),
        tuple(
            OperationLine(one.name, one.n, one.failed_share, one.p50, one.p95, one.spark)
            for one in found.operations
        ),
        tuple(
            ErrorLine(
                parse(one.last_seen),
                (one.exception or one.error_type or "unknown").rpartition(".")[2],
                one.message or "",
                one.events,
                one.fingerprint,
            )
            for one in found.errors
        ),
        notice,
    )


def _tile(tile: "Tile") -> "FrameTile":
    from leadlog.cli.top.frame import FigureTile as FrameTile
    from leadlog.dashboard.wording import change, duration, figure, percent

    shown = {"count": figure, "share": percent, "ms": duration}[tile.unit](tile.value)
    bad = tile.rising is True and tile.unit != "ms" and bool(tile.value)
    return FrameTile(
        tile.name.lower(),
        shown,
        "" if tile.before is None else change(tile.value, tile.before),
        tile.spark,
        "warning" if bad else "good",
    )


def _known(lines: list[str]) -> list[str]:
    """Return the lines with only characters that the encoding of standard output has."""
    try:
        "▁█–●".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return [one.translate(_ASCII) for one in lines]
    return lines


def _print_one(log: "Log", since: str) -> None:
    from leadlog.cli.top.frame import frame

    width = terminal_width() or _PIPE_CELLS
    for one in _known(frame(_look(log, since), width, keys=False)):
        click.echo(one)


def _watch(log: "Log", since: str, every: float, *, colour: bool) -> None:
    from leadlog.cli.top.frame import SORTS, frame
    from leadlog.cli.top.screen import RESIZED, Screen

    sort, paused, helping = SORTS[0], False, False
    with Screen() as screen:
        view = _look(log, since)
        due = time.monotonic() + every
        while True:
            lines = frame(
                view, screen.width, screen.height, sort=sort, paused=paused, helping=helping
            )
            lines = _known(lines if colour else [click.unstyle(one) for one in lines])
            try:
                screen.draw(lines)
                key = screen.key(max(due - time.monotonic(), 0) if not paused else every)
            except (EOFError, OSError):  # the terminal is gone
                return
            if key is None:
                if not paused and time.monotonic() >= due:
                    began = time.monotonic()
                    view = _look(log, since, _catch_up(log))
                    # If an update takes long, wait longer before the next.
                    due = time.monotonic() + max(every, time.monotonic() - began)
            elif key in _QUIT:
                return
            elif key == RESIZED:
                continue
            elif helping:
                helping = False
            elif key == "?":
                helping = True
            elif key == "p":
                paused = not paused
                due = time.monotonic()
            elif key == "s":
                sort = SORTS[(SORTS.index(sort) + 1) % len(SORTS)]


def _catch_up(log: "Log") -> str:
    """Index new events; return the problem as text, or "" if there is none."""
    from leadlog.core.errors import LeadlogError

    try:
        log.catch_up()
    except LeadlogError as error:  # most likely gone by the next update
        return str(error)
    return ""

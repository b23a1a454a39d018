"""`leadlog tail`: the last events across all categories in time order, and new ones."""

import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import directory_option, existing_log, log_directory
from leadlog.cli.reading.event_line import event_line
from leadlog.cli.reading.skipped import say_skipped
from leadlog.cli.terminal import message, safe_json, terminal_width
from leadlog.core.layout import CATEGORIES
from leadlog.reading.events import Event
from leadlog.reading.tail import POLL_SECONDS, Tail
from leadlog.reading.where import Condition, WhereError, known_paths, parse, suggestion

__all__ = ["tail"]

_EVENTS_LEARNT_FROM = 200


def _conditions(
    ctx: click.Context, parameter: click.Parameter, expressions: Iterable[str]
) -> list[Condition]:
    try:
        return [parse(expression) for expression in expressions]
    except WhereError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


@click.command()
@directory_option
@click.option(
    "--category",
    "categories",
    multiple=True,
    type=click.Choice(CATEGORIES),
    help="Only this category; may be given several times.  [default: all]",
)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="EXPRESSION",
    callback=_conditions,
    help="Only events that match; may be given several times, and all must match.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0, max=sys.maxsize),
    default=10,
    show_default=True,
    help="Number of last events to show.",
)
@click.option("-f", "--follow", is_flag=True, help="Show new events as they arrive, until Ctrl-C.")
@click.option(
    "--json/--pretty",
    "as_json",
    default=None,
    help="JSON lines, or one readable line each.  [default: readable on a terminal only]",
)
def tail(
    *,
    directory: Path | None,
    categories: tuple[str, ...],
    conditions: list[Condition],
    lines: int,
    follow: bool,
    as_json: bool | None,
) -> None:
    """Show the last events of all categories in time order.

    \b
    Examples:
      leadlog tail -f
      leadlog tail --category error_logs -n 100
      leadlog tail --where operation_details.success=false | jq .
      leadlog tail -f --where 'operation_details.execution_time_ms>=200'

    \b
    EXPRESSION is a path, an operator and a value:
      training_labels.data_quality=low           equal; also !=
      operation_details.execution_time_ms>=200   also < <= >
      lead_identifier.company~gmbh               contains, whatever the case
      operation_details.error_message!=null      a missing key counts as null
      trace_id exists                            the key is present

    Times are UTC. JSON lines are printed as in the log, with control characters escaped.
    """  # noqa: D301 - click wants real backspaces
    root = log_directory(directory) if follow else existing_log(directory)
    if not root.is_dir():
        message(f"waiting for {root} to appear")
    learning = _Learning(conditions)
    found = Tail(root, categories or None, learning, message)
    write = _writer(as_json)
    last = found.last(lines)
    write(last)
    if not last and lines and not follow:
        _say_why_nothing(learning, conditions)
    if follow:
        for batch in found.follow(_wait_for_reader()):
            write(batch)
    say_skipped(found.skipped)


class _Learning:
    """All conditions as one predicate, which collects the paths of the events it has seen."""

    def __init__(self, conditions: list[Condition]) -> None:
        self._conditions = conditions
        self.seen = 0
        self.paths: set[str] = set()

    def __call__(self, event: Mapping[str, Any]) -> bool:
        self.seen += 1
        if self.seen <= _EVENTS_LEARNT_FROM and self._conditions:
            self.paths.update(known_paths(event))
        return all(condition(event) for condition in self._conditions)


def _writer(as_json: bool | None) -> Callable[[list[Event]], None]:
    """Return a function that prints a batch of events and flushes."""
    out = sys.stdout.buffer
    if as_json is None:
        as_json = not sys.stdout.isatty()
    if as_json:

        def write(events: list[Event]) -> None:
            out.writelines(safe_json(event.raw) + b"\n" for event in events)
            out.flush()

    else:

        def write(events: list[Event]) -> None:
            width = terminal_width()
            for event in events:
                click.echo(event_line(event.data, width))

    return write


def _wait_for_reader() -> Callable[[], None]:
    """Return a function that waits for one poll interval, or raises BrokenPipeError.

    It raises when standard output is no longer read: without it, `leadlog tail -f | head` would
    not end before the next event.
    """
    try:
        descriptor = sys.stdout.fileno()
        poll = select.poll()
    except (OSError, AttributeError):  # no real file, or a system without poll
        return lambda: time.sleep(POLL_SECONDS)
    poll.register(descriptor, 0)  # errors and hang-ups are always reported

    def wait() -> None:
        if poll.poll(POLL_SECONDS * 1000):
            raise BrokenPipeError

    return wait


def _say_why_nothing(learning: _Learning, conditions: list[Condition]) -> None:
    if not learning.seen:
        message("there are no events yet")
        return
    for condition in conditions:
        near = suggestion(condition, learning.paths)
        if near is not None:
            message(f"no event has {'.'.join(condition.path)}; did you mean {near}?")
            return
    message("no event matches")

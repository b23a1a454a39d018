"""`leadlog errors`: errors by cause, with their marks."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import (
    directory_option,
    engine_options,
    existing_log,
    json_option,
    log_directory,
    moment_option,
    opened_engine,
)
from leadlog.cli.reading.skipped import say_skipped
from leadlog.cli.terminal import count, fit, message, print_json, safe, terminal_width

__all__ = ["errors"]

_COLOURS = {"open": "red", "reopened": "red", "resolved": "green", "ignored": None}
_TEXT = 120
_IGNORED_DAYS = 30


@click.command()
@click.argument("fingerprint", required=False)
@click.option("--all", "everything", is_flag=True, help="Also show resolved and ignored ones.")
@click.option("--resolve", metavar="FINGERPRINT", help="Mark as resolved until it occurs again.")
@click.option("--ignore", metavar="FINGERPRINT", help="Ignore for the time given by --days.")
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=_IGNORED_DAYS,
    show_default=True,
    help="How long --ignore lasts.",
)
@click.option("--reopen", metavar="FINGERPRINT", help="Remove its mark.")
@moment_option("--since", "Only errors at TIME or later.")
@moment_option("--until", "Only errors before TIME.")
@engine_options
@directory_option
@json_option
@click.pass_context
def errors(
    ctx: click.Context,
    /,
    *,
    fingerprint: str | None,
    everything: bool,
    resolve: str | None,
    ignore: str | None,
    days: int,
    reopen: str | None,
    since: str | None,
    until: str | None,
    directory: Path | None,
    as_json: bool,
    **where: str | None,
) -> None:
    """Show errors by cause: first and last time, count, number of sessions, and a sample.

    The same error has the same fingerprint, even if line numbers change. With FINGERPRINT (or the
    beginning of one), its last occurrence is shown in full, with the stack trace.

    --resolve marks an error until it occurs again; --ignore for the number of days in --days.
    Marks are kept in error-marks.json in the log directory.

    \b
    Examples:
      leadlog errors --since 7d
      leadlog errors d9bc397b
      leadlog errors --resolve d9bc397ba5d67b39
      leadlog errors --json | jq '.[] | select(.state == "reopened")'

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.

    Exits with 1 when an error is open.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.reading.analytics.reports import error_report

    marking = [one for one in (resolve, ignore, reopen) if one is not None]
    if len(marking) > 1 or (marking and fingerprint is not None):
        raise click.UsageError("give only one of FINGERPRINT, --resolve, --ignore and --reopen")
    with opened_engine(directory, since, until, **where) as opened:
        found = error_report(opened, log_directory(directory))
        skipped = opened.damaged()
    if marking:
        one = _the_one(found, marking[0])
        _mark(existing_log(directory), one["fingerprint"], resolve, ignore, days)
        return
    if fingerprint is not None:
        found = [_the_one(found, fingerprint)]
    elif not everything:
        found = [one for one in found if one["state"] in {"open", "reopened"}]
    if as_json:
        print_json(found)
    else:
        for one in found:
            for line in _lines(one, whole=fingerprint is not None):
                click.echo(line)
        if not found:
            message("no open errors; --all shows resolved and ignored ones")
    say_skipped(skipped)
    ctx.exit(1 if any(one["state"] in {"open", "reopened"} for one in found) else 0)


def _the_one(found: list[dict[str, Any]], begins: str) -> dict[str, Any]:
    matching = [one for one in found if one["fingerprint"].startswith(begins)]
    if len(matching) != 1:
        known = ", ".join(one["fingerprint"] for one in (matching or found)[:5])
        raise click.UsageError(
            f"{len(matching)} errors have a fingerprint that begins with {begins!r}; "
            f"there are {known or 'none'}"
        )
    return matching[0]


def _mark(root: Path, fingerprint: str, resolve: str | None, ignore: str | None, days: int) -> None:
    from leadlog.core.clock import format_us, now_us
    from leadlog.reading.analytics.marks import Mark, set_mark

    now = format_us(now_us())
    mark: Mark | None = None
    if resolve is not None:
        mark = Mark("resolved", now)
    elif ignore is not None:
        mark = Mark("ignored", now, days)
    set_mark(root, fingerprint, mark)
    message(f"{fingerprint} is {'open' if mark is None else mark.word} now")


def _near(place: str) -> str:
    """Return a place in the code, relative to the working directory if it is below it."""
    path, colon, rest = place.rpartition(":")
    with suppress(OSError, ValueError):  # removed, or not below it
        return f"{Path(path).relative_to(Path.cwd())}{colon}{rest}"
    return place


def _lines(one: dict[str, Any], *, whole: bool) -> Iterator[str]:
    state = click.style(one["state"].ljust(9), fg=_COLOURS[one["state"]])
    name = safe(one["exception_class"] or one["error_type"] or "unknown")
    yield f"{click.style(safe(one['fingerprint']), bold=True)}  {state} {name}"
    times = "once" if one["events"] == 1 else count(one["events"], "time")
    yield (
        f"    {times} in {count(one['sessions'], 'session')}, "
        f"first {one['first_seen'][:19]}, last {one['last_seen'][:19]}"
    )
    if one["operation"]:
        place = f", called from {safe(_near(one['called_from']))}" if one["called_from"] else ""
        yield f"    in {safe(one['operation'])}{place}"
    session = safe(one["last_session_id"] or "-")
    yield f"    last event {safe(one['last_event_id'])} (session {session})"
    text = one["error_message"] or ""
    if not whole:
        width = terminal_width()
        text = fit(text.partition("\n")[0], _TEXT if width is None else width - 4)
    for line in text.splitlines():
        yield f"    {safe(line)}"
    if whole and one["stack_trace"]:
        for line in one["stack_trace"].splitlines():
            yield f"    {safe(line)}"

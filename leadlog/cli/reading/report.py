"""`leadlog report`: a period of the log as one HTML file, to read, print and share."""

import datetime as dt
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadlog.cli.options import directory_option, existing_log, json_option, note_export
from leadlog.cli.reading.indexed import indexing
from leadlog.cli.terminal import message, print_json

if TYPE_CHECKING:
    from leadlog.dashboard.model import TimeWindow

__all__ = ["report"]

_A_DAY = re.compile(r"today|yesterday|\d{4}-\d{2}-\d{2}", re.IGNORECASE | re.ASCII)


@click.command()
@directory_option
@click.option(
    "--from",
    "first",
    metavar="TIME",
    help="Start of the period.  [default: six days before today]",
)
@click.option(
    "--to", "last", metavar="TIME", help="End of the period; a day counts whole.  [default: now]"
)
@click.option("--week", metavar="WEEK", help="One week instead: 2026-W48, or any day in it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    metavar="FILE",
    help="File to write; - is standard output.",
)
@click.option("--masked", is_flag=True, help="Mask personal data, even if the settings do not.")
@json_option
def report(
    *,
    directory: Path | None,
    first: str | None,
    last: str | None,
    week: str | None,
    output: Path,
    masked: bool,
    as_json: bool,
) -> None:
    """Write a period of the log as one HTML file.

    Shows the store's state, operations, errors, data quality, syncs and migrations, with charts.
    The file is self-contained and makes no network request; it is readable without JavaScript, on
    a phone and on paper. It contains no log records. Personal data in messages are treated as the
    setting `pii` says. Sealed days are listed, but not counted.

    \b
    Examples:
      leadlog report -o report.html
      leadlog report --week 2026-W48 --masked -o week.html
      leadlog report --from 2026-11-01 --to 2026-11-30 -o november.html
      leadlog report --from 24h -o - | mail -a 'Content-Type: text/html' -s Leads team@example.com

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, today, yesterday, or 2h for two hours ago. Times and
    days are UTC.
    """  # noqa: D301 - click wants real backspaces
    period = _period(first, last, week)
    root = existing_log(directory)
    from leadlog.core.settings import load
    from leadlog.dashboard.report import page, report_of

    with indexing() as progress:
        found = report_of(
            root,
            period,
            load().settings,
            command=_command(first, last, week, masked=masked),
            version=_version(),
            masked=masked,
            shrink=first is None and week is None,
            progress=progress,
        )
    content = page(found).encode()
    if str(output) == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    from leadlog.core.files import output_file

    with output_file(output) as stream:
        stream.write(content)
    note_export(root, output)
    if as_json:
        print_json(
            {
                "file": str(output),
                "bytes": len(content),
                "since": period.since_text,
                "until": period.until_text,
                "events": found.events,
                "state": found.now.state.word,
                "notices": found.notices,
            }
        )
        return
    for notice in found.notices:
        message(notice)
    message(f"{output} is written")


def _period(first: str | None, last: str | None, week: str | None) -> "TimeWindow":
    from leadlog.cli.reading.period import asked_days
    from leadlog.core.clock import now_us
    from leadlog.dashboard.model import WindowError, window

    if week is not None:
        if first is not None or last is not None:
            raise click.UsageError("give either --week, or --from and --to")
        begin, end = asked_days(None, week, None, None)
        first, last = begin.isoformat(), end.isoformat()
    now = now_us()
    try:
        if last is not None and _A_DAY.fullmatch(last.strip()):
            last = _end_of(last, now)
        return window(first or _six_days_before(now), last, now=now)
    except WindowError as error:
        raise click.UsageError(str(error)) from error


def _end_of(day: str, now: int) -> str | None:
    """Return the end of a day; None, which means now, if it has not ended."""
    from leadlog.core.clock import format_us
    from leadlog.reading.moments import MomentError, moment, shifted

    try:
        begin = dt.date.fromisoformat(format_us(moment(day, now))[:10])
    except MomentError as error:
        raise click.UsageError(str(error)) from error
    end = shifted(begin, 1).isoformat()
    return None if moment(end) > now else end


def _six_days_before(now: int) -> str:
    from leadlog.core.clock import format_us
    from leadlog.reading.moments import shifted

    return shifted(dt.date.fromisoformat(format_us(now)[:10]), -6).isoformat()


def _command(first: str | None, last: str | None, week: str | None, *, masked: bool) -> str:
    import shlex

    said: list[str] = ["leadlog", "report"]
    for name, value in (("--from", first), ("--to", last), ("--week", week)):
        if value is not None:
            said += [name, shlex.quote(value)]
    return " ".join([*said, *(["--masked"] if masked else []), "-o FILE"])


def _version() -> str:
    import leadlog

    try:
        return leadlog.__version__
    except ImportError:  # run from a source tree that was never installed
        return "(not installed)"

"""`leadlog archive`: compress, seal and remove old log files, or preview it."""

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadlog.cli.options import directory_option, json_option
from leadlog.cli.terminal import count, message, print_json, safe, shows_progress, table
from leadlog.core.layout import LogFile
from leadlog.core.limits import TOTAL, bytes_by_category, days_by_category

if TYPE_CHECKING:
    from leadlog.reading.archive import JanitorReport

__all__ = ["archive"]


def _limits(read: Callable[[object], dict[str, int]]) -> Callable[..., dict[str, int]]:
    """Return a click callback that merges `90`, `error_logs=365` and the like into one mapping."""

    def callback(
        ctx: click.Context, parameter: click.Parameter, texts: Iterable[str]
    ) -> dict[str, int]:
        limits: dict[str, int] = {}
        for text in texts:
            try:
                limits.update(read(text))
            except ValueError as error:
                raise click.BadParameter(str(error), ctx, parameter) from error
        return limits

    return callback


@click.command()
@directory_option
@click.option(
    "--compress-after-days",
    type=click.IntRange(min=0),
    metavar="N",
    help="Compress files older than N days; 0: none.  [default: the setting, or 7]",
)
@click.option(
    "--parquet-after-days",
    type=click.IntRange(min=0),
    metavar="N",
    help="Seal files older than N days as Parquet, compressed or not; 0: none.  [default: the "
    "setting, or none]",
)
@click.option(
    "--retention-days",
    multiple=True,
    metavar="[CATEGORY=]N",
    callback=_limits(days_by_category),
    help="Remove files older than N days, of this category or of all without their own "
    "limit; 0: none. May be given several times.  [default: the setting, or none]",
)
@click.option(
    "--retention-bytes",
    multiple=True,
    metavar="[CATEGORY=]SIZE",
    callback=_limits(bytes_by_category),
    help="Remove the oldest files of this category, or of all together, beyond SIZE (500MB, "
    "10GiB, …); 0: none. May be given several times.  [default: the setting, or none]",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be done.")
@json_option
@click.pass_context
def archive(
    ctx: click.Context,
    *,
    directory: Path | None,
    compress_after_days: int | None,
    parquet_after_days: int | None,
    retention_days: dict[str, int],
    retention_bytes: dict[str, int],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compress and seal old log files, and remove the oldest.

    Files that are no longer written are compressed (to `.jsonl.zst`, which every command can
    read) and, if a limit is set, removed, oldest first. Today's files, files in use, other
    programs' files and daily summaries are never touched. It is safe to kill at any time; the
    next run continues.

    A file is older than N days when its UTC day ended at least N days ago. An option replaces
    the same entry of the settings; the other entries stay in force.

    \b
    Examples:
      leadlog archive --dry-run
      leadlog archive --retention-days 90 --retention-days error_logs=365
      leadlog archive --retention-bytes 20GB --json | jq .freed_bytes

    Exits with 1 when a limit cannot be kept or a file needs attention, and with 3 when a file
    could not be read or written.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.reading import archive as janitor

    settings = load(directory=directory).settings
    policy = janitor.Policy(
        compress_after_days=settings.compress_after_days
        if compress_after_days is None
        else compress_after_days,
        parquet_after_days=settings.parquet_after_days
        if parquet_after_days is None
        else parquet_after_days,
        retention_days={**settings.retention_days, **retention_days},
        retention_bytes={**settings.retention_bytes, **retention_bytes},
    )
    with ExitStack() as bars:
        progress = _progress_in(bars) if shows_progress() else None
        report = janitor.run(settings.directory, policy, dry_run, progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    _say(report)
    ctx.exit(3 if report.errors else 1 if report.findings else 0)


def _progress_in(bars: ExitStack) -> Callable[[int, int], None]:
    """Return a callback that draws a progress bar on standard error, from its first call on."""
    shown: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not shown:
            bar = click.progressbar(length=total, label="compressing", file=sys.stderr)
            shown.append(bars.enter_context(bar))
        shown[0].length = total
        shown[0].update(done - shown[0].pos)

    return progress


def _show(report: "JanitorReport") -> None:
    """Print the report as text."""
    freed = "would free" if report.dry_run else "freed"
    rows = [
        (
            "failed" if result.error else result.action.verb,
            _name(result.action.found.file),
            _size(result.action.found.size_bytes),
            _size(result.freed_bytes_estimate if report.dry_run else result.freed_bytes),
            result.error or result.action.reason,
        )
        for result in report.results
    ]
    _section("Files", table(rows, ("", "file", "size", freed, "why"), right=(2, 3)) if rows else [])
    _section("Left alone", table((_name(one.file), one.hindrance.reason) for one in report.kept))
    if report.buckets_stored:
        click.echo(f"Made the bucket tables of {count(len(report.buckets_stored), 'day')}.")
    where = safe(str(report.directory))
    if not report.results:
        click.echo(f"Nothing to do; {where} holds {_size(report.bytes_before)}.")
    elif report.dry_run:
        about = f"about {_size(report.freed_bytes_estimate)} of {_size(report.bytes_before)}"
        click.echo(f"Would free {about} in {where}; nothing was changed.")
    else:
        click.echo(f"Freed {_size(report.freed_bytes)}; {where} holds {_size(report.bytes_after)}.")


def _section(title: str, lines: list[str]) -> None:
    if lines:
        click.secho(title, bold=True)
        for line in lines:
            click.echo(f"  {line}")
        click.echo()


def _say(report: "JanitorReport") -> None:
    """Print the problems that need attention, each with a remedy."""
    if report.errors:
        first = report.errors[0]
        message(
            f"{count(len(report.errors), 'file')} could not be worked on, the first is "
            f"{_name(first.action.found.file)}: {first.error}; nothing of them is lost: repair the "
            "cause and run this again"
        )
    for day, reason in report.buckets_failed.items():
        message(
            f"the bucket table of {day} could not be made: {reason}; summaries read its events "
            "until it is"
        )
    for excess in report.excess:
        what = "all files" if excess.scope == TOTAL else excess.scope
        message(
            f"{what} take {_size(excess.bytes)}, which is more than {_size(excess.limit_bytes)}, "
            "and the rest may not be touched yet: raise retention_bytes, or log less"
        )


def _name(file: LogFile) -> str:
    return f"{file.category}/{file.path.name}"


def _size(count: int | None) -> str | None:
    """Return a number of bytes with a decimal unit: `1.2 MB` is 1,200,000 bytes."""
    if count is None:
        return None
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if abs(count) >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"

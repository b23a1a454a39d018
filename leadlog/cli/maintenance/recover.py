"""`leadlog recover`: write the events that killed processes left in memory to the files."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadlog.cli.options import directory_option, json_option
from leadlog.cli.terminal import count, message, print_json, safe

if TYPE_CHECKING:
    from leadlog.recording.sinks.recover import Recovery

__all__ = ["recover"]


@click.command()
@directory_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Recover every log directory of this user, and remove memory that belongs to none.",
)
@json_option
@click.pass_context
def recover(ctx: click.Context, *, directory: Path | None, everything: bool, as_json: bool) -> None:
    """Write the events that killed processes left in memory to the log files.

    Every process that logs into the directory does this by itself when it starts and every few
    seconds; for other directories, a minute after its start and every hour. This command is for
    when no such process runs. Events for a directory that no longer exists are kept for a week.

    \b
    Examples:
      leadlog recover
      leadlog recover --directory /var/log/leads --json | jq .lines
      leadlog recover --all

    Exits with 1 when a line was lost, and with 3 when something could not be recovered now.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.recording.pipeline.policy import finisher_of
    from leadlog.recording.sinks.recover import recover as bring_in
    from leadlog.recording.sinks.strays import Swept, sweep

    settings = load(directory=directory).settings
    finishing = partial(finisher_of, key=settings.pseudonym_key)
    here = settings.directory.absolute()
    found = bring_in(
        here,
        host=settings.host,
        segment_bytes=settings.segment_bytes,
        file_mode=settings.file_mode,
        directory_mode=settings.directory_mode,
        finisher_of=finishing,
    )
    swept = sweep(finishing, but=here.resolve()) if everything else Swept()
    if as_json:
        print_json(
            {
                **asdict(found),
                "others": {str(path): asdict(one) for path, one in swept.recovered.items()},
                "removed": {str(one.directory): one.waiting for one in swept.removed},
            }
        )
    else:
        _show(found)
        for path, one in swept.recovered.items():
            click.echo(f"\n{safe(str(path))}:")
            _show(one)
        for gone in swept.removed:
            click.echo(
                f"\n{count(gone.waiting, 'event')} removed from memory: their log directory "
                f"{safe(str(gone.directory))} has been gone for a week"
            )
    reports = (found, *swept.recovered.values())
    for error in (error for one in reports for error in one.errors):
        message(f"not recovered: {safe(error)}")
    lost = swept.lost or any(one.lost for one in reports)
    ctx.exit(3 if any(one.errors for one in reports) else 1 if lost else 0)


def _show(found: "Recovery") -> None:
    click.echo(
        f"{count(found.lines, 'event')} recovered from {count(found.rings, 'ring')}; "
        f"in use: {count(found.alive, 'ring')}"
    )
    if found.unsettled:
        click.echo(
            f"{count(found.unsettled, 'event')} of transactions that were about to commit "
            "recovered; their outcome is unknown"
        )
    if found.lost:
        click.echo(f"{count(found.lost, 'event')} lost with the memory of killed processes")

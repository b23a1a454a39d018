"""`leadlog recover`: bring into files what processes that were killed left in memory."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from leadlog.cli.options import directory_option, json_option
from leadlog.cli.terminal import message, print_json, safe

__all__ = ["recover"]


@click.command()
@directory_option
@json_option
@click.pass_context
def recover(ctx: click.Context, directory: Path | None, as_json: bool) -> None:
    """Bring into the log files what processes that were killed left in memory.

    Every process that logs into the directory does this by itself, when it starts and every few
    seconds. This command does it where none runs.

    \b
    Examples:
      leadlog recover
      leadlog recover --directory /var/log/leads --json | jq .lines

    Exits with 1 where a line was lost, and with 3 where something could not be recovered now.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.recording.pipeline.policy import finisher_of
    from leadlog.recording.sinks.recover import recover as bring_in

    settings = load(directory=directory).settings
    found = bring_in(
        settings.directory.absolute(),
        host=settings.host,
        segment_bytes=settings.segment_bytes,
        file_mode=settings.file_mode,
        directory_mode=settings.directory_mode,
        finisher_of=partial(finisher_of, key=settings.pseudonym_key),
    )
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(
            f"{found.lines} events recovered from {found.rings} rings; "
            f"{found.alive} rings are in use"
        )
        if found.unsettled:
            click.echo(
                f"{found.unsettled} events of transactions that were about to commit recovered; "
                "their outcome is unknown"
            )
        if found.lost:
            click.echo(f"{found.lost} events were lost with the memory of killed processes")
    for error in found.errors:
        message(f"not recovered: {safe(error)}")
    ctx.exit(3 if found.errors else 1 if found.lost else 0)

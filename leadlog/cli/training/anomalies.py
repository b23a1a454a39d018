"""`leadlog anomalies`: runs that took unusually long."""

from pathlib import Path

import click

from leadlog.cli.options import directory_option, existing_log, json_option, moment_option
from leadlog.cli.terminal import message, print_json, table

__all__ = ["anomalies"]


@click.command()
@moment_option("--since", "Runs that began at TIME or later.  [default: a day ago]")
@moment_option("--until", "Runs that began before TIME.  [default: now]")
@click.option(
    "--limit",
    type=click.FloatRange(min=1),
    default=6.0,
    show_default=True,
    help="Robust standard deviations above the median from which a run counts.",
)
@click.option(
    "-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, help="How many."
)
@directory_option
@json_option
def anomalies(
    *,
    since: str | None,
    until: str | None,
    limit: float,
    lines: int,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Show runs that took unusually long for their operation at that hour.

    No model is needed: each run is compared with the median and MAD of the same operation at the
    same UTC hour on the 28 days before, or, with fewer than 20 such runs, with all its runs of
    those days.

    \b
    Examples:
      leadlog anomalies
      leadlog anomalies --since 2026-11-20 --json | jq '.[].event_id'

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.clock import format_us, now_us
    from leadlog.training.anomalies import anomalies as found_in

    now = now_us()
    found = found_in(
        existing_log(directory),
        since=since or format_us(now - 86_400_000_000),
        until=until or format_us(now + 1),
        limit=limit,
        most=lines,
    )
    if as_json:
        print_json(found)
        return
    if not found:
        message("nothing took unusually long in that time")
        return
    rows = [
        (
            one["started_at"],
            one["operation"],
            f"{one['ms']:.1f}",
            f"{one['median_ms']:.1f}",
            f"{one['score']:.1f}",
            one["event_id"],
        )
        for one in found
    ]
    header = ("began", "operation", "ms", "median", "deviations", "event")
    for line in table(rows, header, right=(2, 3, 4)):
        click.echo(line)

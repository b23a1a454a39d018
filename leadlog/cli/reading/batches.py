"""`leadlog batches`: the sync's throughput by batch size."""

from pathlib import Path

import click

from leadlog.cli.options import (
    directory_option,
    engine_options,
    json_option,
    moment_option,
    opened_engine,
)
from leadlog.cli.reading.skipped import say_skipped
from leadlog.cli.terminal import message, print_json, table

__all__ = ["batches"]


@click.command()
@moment_option("--since", "Only events that ended at TIME or later.")
@moment_option("--until", "Only events that ended before TIME.")
@engine_options
@directory_option
@json_option
def batches(
    *,
    since: str | None,
    until: str | None,
    directory: Path | None,
    as_json: bool,
    **where: str | None,
) -> None:
    """Show the sync's throughput by batch size, and name the best one.

    The best size has the most leads per second; sizes that ran less than three times count only
    if no size ran more often.

    \b
    Examples:
      leadlog batches --since 7d
      leadlog batches --json | jq .best

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.reading.analytics.reports import batches_report

    with opened_engine(directory, since, until, **where) as opened:
        report = batches_report(opened)
        skipped = opened.damaged()
    if as_json:
        print_json(report)
    elif not report["sizes"]:
        message("no sync with a batch size is in the log, or none at that time")
    else:
        header = tuple(report["sizes"][0])
        rows = [tuple(one.values()) for one in report["sizes"]]
        titles = [title.replace("_", " ") for title in header]
        for line in table(rows, titles, right=range(len(header))):
            click.echo(line)
        if report["best"] is not None:
            click.secho(f"Best batch size: {report['best']}", bold=True)
    say_skipped(skipped)

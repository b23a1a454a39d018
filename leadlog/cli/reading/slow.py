"""`leadlog slow`: the operations that take the most time."""

from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import (
    directory_option,
    engine_options,
    json_option,
    moment_option,
    opened_engine,
)
from leadlog.cli.reading.skipped import say_skipped
from leadlog.cli.terminal import count, fit, message, print_json, safe, table, terminal_width

__all__ = ["slow"]

_FIELDS_SHOWN = 4
_LINES_OF_SQL = 6
_WIDE = 200


@click.command()
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of operations and shapes to show.",
)
@moment_option("--since", "Only events that ended at TIME or later.")
@moment_option("--until", "Only events that ended before TIME.")
@engine_options
@directory_option
@json_option
def slow(
    *,
    lines: int,
    since: str | None,
    until: str | None,
    directory: Path | None,
    as_json: bool,
    **where: str | None,
) -> None:
    """Show which operations take the most time, by kind and by the shape of their statements.

    A shape is an operation, a class and a set of columns. Calls of 100 ms or more (`statement_ms`
    of `leadlog.capture`) have their SQL in the log, without values: the slowest are shown.
    Percentiles are by rank, within 1 %. Hints name calls that run once per row where a single call
    would do (N+1).

    \b
    Examples:
      leadlog slow --since yesterday
      leadlog slow --json | jq '.hints[].hint'

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.reading.analytics.reports import slow_report

    with opened_engine(directory, since, until, **where) as opened:
        report = slow_report(opened, lines)
        skipped = opened.damaged()
    if as_json:
        print_json(report)
    else:
        _show(report)
    say_skipped(skipped)


def _show(report: dict[str, Any]) -> None:
    if not report["operations"]:
        message("no durations are in the log, or none at that time")
        return
    keys = ("operation", "n", "failed", "total_ms", "mean_ms", "p50_ms", "p95_ms", "max_ms")
    header = ("operation", "n", "failed", "total ms", "mean", "p50", "p95", "max", "queries/run")
    rows = [
        [*(_rounded(one[key]) for key in keys), one["queries_per_run"]]
        for one in report["operations"]
    ]
    for line in table(rows, header, right=range(1, len(header))):
        click.echo(line)
    click.echo()
    numbers = ("n", "total_ms", "mean_ms", "max_ms", "database_ms")
    titles = ("shape", "n", "total ms", "mean", "max", "in database")
    rows = [[_name(one), *(_rounded(one[key]) for key in numbers)] for one in report["shapes"]]
    for line in table(rows, titles, right=range(1, len(titles))):
        click.echo(line)
    for one in report["statements"]:
        click.echo()
        times = "once" if one["n"] == 1 else count(one["n"], "time")
        title = f"{one['max_ms']:.1f} ms at most, {times} (session {safe(one['session_id'])})"
        click.secho(title, fg="yellow")
        click.echo(fit(f"  {safe(one['statement'])}", _LINES_OF_SQL * (terminal_width() or _WIDE)))
    if report["hints"]:
        click.echo()
    for one in report["hints"]:
        click.secho(f"{safe(one['hint'])} (event {safe(str(one['event_id']))})", fg="yellow")


def _rounded(value: Any) -> Any:
    return f"{value:.1f}" if isinstance(value, float) else value


def _name(shape: dict[str, Any]) -> str:
    name = " ".join(filter(None, (shape["operation"], shape["entity"])))
    fields = shape["fields"] or []
    more = f", … {len(fields)} in all" if len(fields) > _FIELDS_SHOWN else ""
    columns = f" ({', '.join(fields[:_FIELDS_SHOWN])}{more})" if fields else ""
    return f"{name}{' of many' if shape['bulk'] else ''}{columns}"

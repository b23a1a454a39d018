"""`leadlog trends`: how latency and resource use changed, and when."""

from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.reading.skipped import collect_nothing
from leadlog.cli.terminal import print_json, safe, table
from leadlog.core.clock import now_us, utc_date

__all__ = ["trends"]

_DAY_US = 86_400_000_000


@click.command()
@directory_option
@click.option(
    "--days", type=click.IntRange(1, 366), default=28, show_default=True, help="How many days."
)
@click.option(
    "--until", metavar="DATE", help="Last UTC day, such as 2026-11-23.  [default: yesterday]"
)
@click.option(
    "--least",
    type=click.FloatRange(min=1),
    default=25.0,
    show_default=True,
    metavar="PERCENT",
    help="Ignore smaller changes.",
)
@json_option
@click.pass_context
def trends(
    ctx: click.Context,
    *,
    directory: Path | None,
    days: int,
    until: str | None,
    least: float,
    as_json: bool,
) -> None:
    """Show latency and resource use day by day, against the store's size, and what changed when.

    Exits with 1 when something got worse. Today is left out because it is not over; `leadlog
    health` compares the last minutes with the week before.

    \b
    Examples:
      leadlog trends
      leadlog trends --days 60 --least 50
      leadlog trends --json | jq '.changes[] | select(.percent > 100)'
    """  # noqa: D301 - click wants real backspaces
    from leadlog.reading.analytics.trends import trends as find

    collect_nothing(ctx)
    root = existing_log(directory)
    try:
        found = find(
            root, until=until or utc_date(now_us() - _DAY_US), days=days, least_percent=least
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until") from error
    if as_json:
        print_json(found)
    else:
        _show(found)
    ctx.exit(1 if any(change["percent"] > 0 for change in found["changes"]) else 0)


def _show(found: dict[str, Any]) -> None:
    if not found["days"]:
        click.echo(f"There are no operations from {found['since']} to {found['until']}.")
        return
    rows = [
        (
            row["date"],
            row["events"],
            row["total_leads"],
            row["memory_mb"],
            row["cpu_ms"],
            _slowest(row["operations"]),
        )
        for row in found["days"]
    ]
    header = ("day", "events read", "leads", "memory MB", "CPU ms", "highest p95")
    click.echo("\n".join(table(rows, header, right=(1, 2, 3, 4))))
    if found["growth"]:
        click.secho("\nWith the number of leads n", bold=True)
        for one in found["growth"]:
            click.echo(f"  {safe(one['series'])} grows as n^{one['exponent']:.2f}")
    if not found["changes"]:
        click.secho("\nNothing changed.", fg="green", bold=True)
    for change in found["changes"]:
        click.secho(
            f"\n{safe(change['series'])} changed by {change['percent']:+.0f} % "
            f"on {change['date']}: {change['before']:g} before, {change['after']:g} since",
            fg="red" if change["percent"] > 0 else "green",
            bold=True,
        )


def _slowest(operations: dict[str, Any]) -> str | None:
    if not operations:
        return None
    name = max(operations, key=lambda one: operations[one]["p95_ms"] or 0)
    return f"{name} {operations[name]['p95_ms']:.1f} ms"

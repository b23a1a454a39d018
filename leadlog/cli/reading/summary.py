"""`leadlog summary`: totals of a day, a week or any days, compared with the period before."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadlog.cli.options import (
    directory_option,
    engine_options,
    json_option,
    on_spark,
    source_directory,
    spark_engine,
)
from leadlog.cli.reading.period import as_many_before, asked_days
from leadlog.cli.terminal import Styled, count, line, print_json, safe, table

if TYPE_CHECKING:
    from leadlog.reading.analytics.summary import Period

__all__ = ["summary"]

_BARS = "▁▂▃▄▅▆▇█"
_TIER_COLOURS = {
    "excellent": "green",
    "good": "green",
    "acceptable": "yellow",
    "slow": "red",
    "very_slow": "red",
}


@click.command()
@directory_option
@click.option("--date", metavar="DAY", help="One UTC day: 2026-11-23, today, yesterday.")
@click.option("--week", metavar="WEEK", help="One week: 2026-W48, or any day in it.")
@click.option("--from", "first", metavar="DAY", help="First UTC day.")
@click.option("--to", "last", metavar="DAY", help="Last UTC day.  [default: today]")
@click.option("--exact", is_flag=True, help="Read every event, for exact percentiles.")
@engine_options
@json_option
def summary(
    *,
    directory: Path | None,
    date: str | None,
    week: str | None,
    first: str | None,
    last: str | None,
    exact: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Sum up a day, a week or any days of the log.

    Shows counts, durations by operation, syncs, migrations, errors and peaks, compared with the
    period of the same length before. The default is today. Sealed days (`leadlog archive`) are read
    from their bucket tables instead of their events; percentiles are then at most 1 % off, and
    marked with ≈. Events kept by sampling are weighted. Spark reads sealed days only, from their
    events instead of their bucket tables, and gives the same summary. `leadlog report` writes a
    period as a file to read and print.

    \b
    Examples:
      leadlog summary
      leadlog summary --week 2026-W48
      leadlog summary --from 2026-11-01 --to 2026-11-30 --json | jq .operation_summary
      leadlog summary --week today --engine spark --remote sc://host:15002 --source s3a://logs/archive
    """  # noqa: D301 - click wants real backspaces
    begin, end = asked_days(date, week, first, last)
    days = [(begin, end), as_many_before(begin, end)]
    from leadlog.reading.analytics.summary import count_days, count_days_on_spark

    if on_spark(**where):
        with spark_engine(directory, None, None, **where) as opened:
            periods = [count_days_on_spark(opened, *one, exact=exact) for one in days]
    else:
        oldest, newest = days[1][0].isoformat(), end.isoformat()
        with source_directory(directory, where["source"], oldest, newest) as root:
            periods = [count_days(root, *one, exact=exact) for one in days]
    report = _report(*periods)
    if as_json:
        print_json(report)
    else:
        _show(report)


def _report(now: "Period", before: "Period") -> dict[str, Any]:
    from leadlog.reading.analytics.summary import events_of, summary_of

    found = summary_of(now)
    earlier = summary_of(before)
    return {
        "summary_info": {
            "first_day": now.first,
            "last_day": now.last,
            "percentiles": "exact" if now.exact is not None else "buckets",
            "days_from_buckets": list(now.from_buckets),
            **events_of(now.tally),
        },
        **found,
        "days": [
            {"date": day, **_day_line(now.days[day])}
            if day in now.days
            else {"date": day, "events": 0, "operations": 0, "failed": 0, "errors": 0}
            for day in _between(now.first, now.last)
        ],
        "previous": {
            "first_day": before.first,
            "last_day": before.last,
            **events_of(before.tally),
            **earlier,
        },
    }


def _between(first: str, last: str) -> list[str]:
    begin = dt.date.fromisoformat(first)
    count = (dt.date.fromisoformat(last) - begin).days + 1
    return [(begin + dt.timedelta(days=number)).isoformat() for number in range(count)]


def _day_line(tally: Any) -> dict[str, int | None]:
    from leadlog.reading.analytics.sections import sections
    from leadlog.reading.analytics.summary import events_of

    found = sections(tally)
    return {
        "events": events_of(tally)["events_read"],
        "operations": found["operation_summary"]["total_database_operations"],
        "failed": found["operation_summary"]["failed_operations"],
        "errors": found["error_summary"]["total_errors"],
    }


def sparkline(values: list[int]) -> str:
    """Return numbers as one row of bars; the highest is full."""
    most = max(values, default=0)
    if most == 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[value * (len(_BARS) - 1) // most] for value in values)


def change(now: float | None, before: float | None) -> str:
    """Return the change of a number in percent, or `same`, `new`, or `-` if unknown."""
    if now is None or before is None:
        return "-"
    if before == 0:
        return "same" if now == 0 else "new"
    share = 100 * (now - before) / before
    return "same" if now == before else f"{share:+.1f} %"


HEADLINES = (
    ("operations", "operation_summary", "total_database_operations"),
    ("failed", "operation_summary", "failed_operations"),
    ("success, %", "operation_summary", "success_rate_percent"),
    ("mean time, ms", "operation_summary", "average_operation_time_ms"),
    ("syncs", "sync_summary", "total_sync_operations"),
    ("leads synced", "sync_summary", "leads_synced"),
    ("API calls", "performance_summary", "total_api_calls"),
    ("migrations", "migration_summary", "total_migration_operations"),
    ("records migrated", "migration_summary", "records_migrated"),
    ("errors", "error_summary", "total_errors"),
    ("critical errors", "error_summary", "critical_errors"),
    ("peak memory, MB", "performance_summary", "peak_memory_usage_mb"),
    ("slowest, ms", "performance_summary", "slowest_operation_ms"),
)
"""Label, section and key of each figure at the top."""


def percentile(one: Mapping[str, Any], name: str) -> str:
    """Return a percentile in milliseconds; ≈ marks one that is estimated from buckets."""
    exact = one[f"{name}_ms"]
    if exact is not None:
        return f"{exact:.3f}"
    near = one[f"{name}_bucket_ms"]
    return "-" if near is None else f"≈{near:.3g}" if near < 1000 else f"≈{near:.0f}"


def timed(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return an operation's cells: total, failed, n, mean and percentiles in milliseconds."""
    shares = (percentile(one, share) for share in ("p50", "p95", "p99"))
    return one["total"], one["failed"], one["n"], one["average_ms"], *shares


def _show(report: Mapping[str, Any]) -> None:
    """Print the report as text."""
    info, earlier = report["summary_info"], report["previous"]
    days = info["first_day"]
    if info["last_day"] != days:
        days += f" to {info['last_day']}"
    click.secho(f"Summary of {days} (UTC)", bold=True)
    skipped = f", {count(info['lines_skipped'], 'damaged line')}" if info["lines_skipped"] else ""
    click.echo(f"  {count(info['events_read'], 'event')}{skipped}\n")
    rows: list[tuple[Any, ...]]
    if len(report["days"]) > 1:
        rows = [
            (
                name,
                sparkline([day[name] for day in report["days"]]),
                sum(d[name] for d in report["days"]),
            )
            for name in ("events", "operations", "failed", "errors")
        ]
        _section("By day", table(rows, right=(2,)))
    rows = [
        (
            label,
            report[part][key],
            earlier[part][key],
            change(report[part][key], earlier[part][key]),
        )
        for label, part, key in HEADLINES
    ]
    _section(
        f"Beside {earlier['first_day']}", table(rows, ("", "now", "before", ""), right=(1, 2, 3))
    )
    operations = report["operation_summary"]["operations"]
    rows = [(name, *timed(one)) for name, one in operations.items()]
    header = ("operation", "total", "failed", "n", "mean ms", "p50", "p95", "p99")
    _section("Operations", table(rows, header, right=range(1, 8)) if rows else [])
    tiers = report["operation_summary"]["performance_tiers"]
    _section("Tiers", [_bar(name, number, tiers) for name, number in tiers.items()])
    causes = report["error_summary"]["most_common_errors"]
    rows = [(one["count"], one["error_type"], one["error_message"]) for one in causes]
    _section("Most common errors", table(rows, right=(0,)))
    slowest = report["performance_summary"]["slowest_operations"]
    rows = [(f"{one['duration_ms']:.1f}", one["operation"], one["timestamp"]) for one in slowest]
    _section(
        "Slowest operations", table(rows, ("ms", "operation", "ended"), right=(0,)) if rows else []
    )
    if any("≈" in percentile(one, "p50") for one in operations.values()):
        click.echo("≈: from bucket tables, at most 1 % off; --exact reads the events instead.")
    if info["sampled_events"]:
        click.echo(
            f"{info['sampled_events']} events stand for others left out by sampling, so counts are "
            "estimates."
        )


def _bar(name: str, number: int, counts: Mapping[str, int]) -> str:
    width = round(40 * number / max(1, *counts.values()))
    return line([f"{name:<11}{number:>10}", Styled("█" * width, {"fg": _TIER_COLOURS[name]})])


def _section(title: str, lines: list[str]) -> None:
    if lines:
        click.secho(safe(title), bold=True)
        for one in lines:
            click.echo(f"  {one}")
        click.echo()

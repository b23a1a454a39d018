"""`leadlog replay`: rebuild a past state of a table from the log alone."""

import sys
from collections import Counter
from pathlib import Path

import click
import orjson

from leadlog.cli.options import directory_option, existing_log, moment_option
from leadlog.cli.reading.skipped import collect_nothing, say_skipped
from leadlog.cli.terminal import count, message, safe_json
from leadlog.reading.events import Skipped
from leadlog.reading.merged import read_merged
from leadlog.reading.replay import Replay, rows_of
from leadlog.reading.replay import replay as replay_of
from leadlog.reading.table import Table

__all__ = ["replay"]


@click.command()
@moment_option("--at", "The time; a date means its beginning, in UTC.  [default: the log's end]")
@click.option(
    "--entity", metavar="NAME", default="Lead", show_default=True, help="The mapped class."
)
@directory_option
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON lines, as without it.")
@click.pass_context
def replay(ctx: click.Context, *, at: str | None, entity: str, directory: Path | None) -> None:
    """Print the leads as they were at a point in time, from the log alone.

    Each row is one line of JSON: `_key`, the primary key as text, then the columns by name.
    Columns whose values are not in the log are left out and named under `_unknown`; `*` there
    stands for every missing column. `_uncertain` is true if the row may not have existed: an
    outcome is unknown, or the row was read but never written. Gaps in the log are reported on
    standard error.

    \b
    Examples:
      leadlog replay --at 2026-11-23T10:00:00Z
      leadlog replay --at 2h | jq -r .email
      leadlog replay --at yesterday --entity Customer | wc -l

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.

    Exits with 1 when the log has no row of that class.
    """  # noqa: D301 - click wants real backspaces
    root = existing_log(directory)
    collect_nothing(ctx)
    skipped = Skipped()
    # A record may be in the next day's file: it is written when its transaction ends.
    events = read_merged(root, ("database_operations", "monitoring_data"), skipped=skipped)
    told = replay_of((event.data for event in events), at=at)
    table = told.tables.get(entity)
    if table is not None:
        out = sys.stdout.buffer
        for row in rows_of(table):
            out.write(safe_json(orjson.dumps(row)) + b"\n")
        out.flush()
        _say_doubts(told, table)
    say_skipped(skipped)
    if table is None:
        names = ", ".join(sorted(told.tables)) or "of none at all"
        message(f"the log has no call on {entity} until then; it has {names}")
        ctx.exit(1)


def _say_doubts(told: Replay, table: Table) -> None:
    doubts = [doubt for doubt in told.doubts if doubt.entity in (None, table.entity)]
    for cause, text in (
        ("blind_spot", "calls changed rows without saying which"),
        ("uncertain", "calls on unnamed rows have an unknown outcome"),
        ("dropped", "times the log notes dropped records"),
    ):
        found = [doubt for doubt in doubts if doubt.cause == cause]
        if found:
            last = found[-1]
            message(f"{len(found)} {text}, the last at {last.at} (event {last.event_id})")
    if table.gap_count:
        first = table.gaps[0]
        message(
            f"{table.gap_count} changes do not fit what went before, so something in between "
            f"is not in the log; the first is of {first.key} at {first.at} "
            f"(event {first.event_id})"
        )
    if table.lost_update_count:
        lost = table.lost_updates[0]
        message(
            f"lost updates: {table.lost_update_count}; the first is of {lost.key} at {lost.at} "
            f"(event {lost.event_id}), which overwrote event {lost.overwritten}"
        )
    for name, share in table.sampled.items():
        message(f"sampling kept {share:g} of the records of {name}")
    partial = Counter(row.why for row in table.rows.values() if not row.whole)
    if partial:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(partial.items()))
        message(f"known in part only: {count(sum(partial.values()), 'row')} ({reasons})")

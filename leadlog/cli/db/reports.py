"""`leadlog db quality`, `leadlog db duplicates` and `leadlog db merges`."""

from dataclasses import asdict
from typing import Any

import click

from leadlog.cli.db.state import opened
from leadlog.cli.options import database_option, json_option
from leadlog.cli.terminal import count, message, print_json, safe, table

__all__ = ["duplicates", "merges", "quality"]


@click.command()
@database_option
@click.option(
    "--worst", type=click.IntRange(min=0), default=10, show_default=True, help="Leads to name."
)
@json_option
def quality(*, database: str | None, worst: int, as_json: bool) -> None:
    """Score the leads' data, field by field.

    The score is the one in the log's training labels. For each field, shows the points that a
    valid value earns, the mean of the points earned, and why points were lost. If they are
    installed (pip install "leadlog[quality]"), email-validator and phonenumbers check values too.

    \b
    Examples:
      leadlog db quality
      leadlog db quality --worst 100 --json | jq -r '.worst[] | [.id, .score] | @tsv'
    """  # noqa: D301 - click wants real backspaces
    with opened(database) as store:
        report = store.explain_quality(worst=worst)
    if as_json:
        print_json(asdict(report))
        return
    mean = "-" if report.mean_score is None else f"{report.mean_score:.3f}"
    tiers = ", ".join(f"{count} {tier}" for tier, count in report.tiers.items() if count)
    click.echo(f"{count(report.leads, 'lead')}, mean score {mean}: {tiers or 'none'}")
    _section("Scores")
    most = max(report.distribution.values(), default=0) or 1
    for line in table(
        (tenth, leads, "#" * round(leads / most * 40))
        for tenth, leads in report.distribution.items()
    ):
        click.echo(f"  {line}")
    _section("Fields")
    rows = [
        (
            field,
            one.weight,
            one.earned,
            one.faultless,
            ", ".join(f"{code} {count}" for code, count in one.issues.items()),
        )
        for field, one in report.fields.items()
    ]
    for line in table(rows, ("field", "points", "earned", "faultless", "why not"), right=(1, 2, 3)):
        click.echo(f"  {line}")
    if report.worst:
        _section("Worst leads")
        worst_rows = [
            (lead["score"], lead["id"], lead["full_name"], ", ".join(lead["issues"]))
            for lead in report.worst
        ]
        for line in table(worst_rows, ("score", "id", "name", "issues")):
            click.echo(f"  {line}")
    if report.validators:
        message(f"{' and '.join(report.validators)} looked at the values as well")


def _section(title: str) -> None:
    click.echo()
    click.secho(title, bold=True)


@click.command()
@database_option
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.85,
    show_default=True,
    help="Leave out pairs with a lower similarity.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Maximum number of pairs.",
)
@json_option
@click.pass_context
def duplicates(
    ctx: click.Context, *, database: str | None, min_score: float, limit: int, as_json: bool
) -> None:
    """Suggest leads that may be the same person, most similar first.

    Nothing is merged: leads are merged only when they are added, and only by equal keys. Exits
    with 1 when there are suggestions.

    \b
    Examples:
      leadlog db duplicates
      leadlog db duplicates --min-score 0.95 --json | jq -r '.pairs[] | .reason'
    """  # noqa: D301 - click wants real backspaces
    import heapq

    best: list[tuple[float, int, Any]] = []
    found = 0
    with opened(database) as store:
        for number, pair in enumerate(store.find_all_duplicates(min_score)):
            found += 1
            push = heapq.heappush if len(best) < limit else heapq.heappushpop
            push(best, (pair.score, -number, pair))
    pairs = [pair for _, _, pair in sorted(best, key=lambda item: (-item[0], -item[1]))]
    if as_json:
        print_json({"found": found, "pairs": [asdict(pair) for pair in pairs]})
    else:
        rows = [
            (
                f"{pair.score:.3f}",
                *(
                    f"{lead['full_name']} ({lead['company'] or lead['email'] or '-'}, {lead['id']})"
                    for lead in (pair.first, pair.second)
                ),
                pair.reason,
            )
            for pair in pairs
        ]
        for line in table(rows, ("score", "one", "other", "why") if rows else ()):
            click.echo(line)
        click.echo(f"{found} pairs of leads may be the same person.")
    ctx.exit(1 if found else 0)


@click.command()
@database_option
@click.option("--lead", "lead_id", metavar="ID", help="Only merges into this lead.")
@click.option("--undo", type=int, metavar="MERGE", help="Undo the merge with this number.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@click.pass_context
def merges(
    ctx: click.Context,
    *,
    database: str | None,
    lead_id: str | None,
    undo: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the values that duplicates overwrote, newest first, or undo one merge.

    Exits with 1 when there is nothing to undo.

    \b
    Examples:
      leadlog db merges --lead 01a2b3
      leadlog db merges --undo 17
    """  # noqa: D301 - click wants real backspaces
    with opened(database) as store:
        if undo is not None:
            done = store.undo_merge(undo)
            if as_json:
                print_json(None if done is None else asdict(done))
            elif done is None:
                message(f"there is no merge {undo} to undo; see: leadlog db merges")
            else:
                click.echo(f"restored {', '.join(done.restored) or 'nothing'} of {done.lead['id']}")
                if done.kept:
                    click.echo(f"left as they were changed since: {safe(', '.join(done.kept))}")
            ctx.exit(1 if done is None else 0)
        found = store.get_merges(lead_id, limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            merge["merge_id"],
            f"{merge['merged_at']:%Y-%m-%d %H:%M:%S}",
            merge["lead_id"],
            merge["matched_on"],
            "undone" if merge["undone_at"] else "",
            ", ".join(merge["new_values"]),
        )
        for merge in found
    ]
    header = ("merge", "when", "lead", "matched on", "", "changed")
    for line in table(rows, header if rows else ()):
        click.echo(line)

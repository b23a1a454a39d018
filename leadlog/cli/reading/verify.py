"""`leadlog verify`: compare the log with the database."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from leadlog.cli.options import database_option, directory_option, existing_log, json_option
from leadlog.cli.reading.skipped import collect_nothing
from leadlog.cli.terminal import count, print_json, safe, table

if TYPE_CHECKING:
    from leadlog.verification import Difference, VerificationReport

__all__ = ["verify"]

_VALUE_LIMIT = 60
_SHOWN = 50


@click.command()
@database_option
@click.option(
    "--entity",
    "entities",
    metavar="NAME",
    multiple=True,
    default=("Lead",),
    show_default="Lead",
    help="The mapped class; may be repeated for classes that share a table.",
)
@click.option("--table", "table_name", metavar="TABLE", help="Its table.  [default: by its name]")
@click.option("--ignore", metavar="COLUMN", multiple=True, help="Ignore a column; may be repeated.")
@directory_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    database: str | None,
    entities: tuple[str, ...],
    table_name: str | None,
    ignore: tuple[str, ...],
    directory: Path | None,
    as_json: bool,
) -> None:
    """Compare the table according to the log with the real one.

    Replays the log and reads the table, without changing either. Each difference is shown with its
    likely cause: a call that does not name the rows it changed, dropped records, a change that does
    not follow from the one before, a log that begins too late, or, if none of these apply, another
    program, a trigger or a cascade in the database. Values that are not in the log, such as masked
    ones, are counted but not compared.

    Run it while nothing writes: calls that end during the comparison appear as differences.

    \b
    Examples:
      leadlog verify
      leadlog verify --database postgresql+psycopg://ana@db/leads
      leadlog verify --entity Customer --table customers --ignore updated_at
      leadlog verify --entity Person --entity Manager --table people
      leadlog verify --json | jq .causes

    Exits with 0 when log and table are equal, with 1 when they differ, and with 3 when one of them
    cannot be read.
    """  # noqa: D301 - click wants real backspaces
    root = existing_log(directory)
    collect_nothing(ctx)
    if database is None:
        from leadlog.core.settings import load

        database = load().settings.database
    from leadlog.verification import verify as compare

    report = compare(root, database, entity=entities, table=table_name, ignore=ignore)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    ctx.exit(1 if report.difference_count else 0)


def _show(report: "VerificationReport") -> None:
    for difference in report.differences[:_SHOWN]:
        click.echo(_line(difference))
    if report.difference_count > _SHOWN:
        click.echo(f"and {report.difference_count - _SHOWN} more (--json has the first 1000)")
    if report.differences:
        click.echo()
    if report.gaps:
        click.secho("The log has gaps", bold=True)
        for gap in report.gaps[:_SHOWN]:
            click.echo(f"  {safe(gap)}")
        click.echo()
    if report.lost_updates:
        click.secho(f"Lost updates: {report.lost_update_count}", bold=True)
        for lost in report.lost_updates[:_SHOWN]:
            click.echo(f"  {safe(lost)}")
        click.echo()
    unknown = ", ".join(f"{count} {why}" for why, count in sorted(report.values_unknown.items()))
    rows = [
        ("log", f"{count(report.events, 'event')}, {report.log_first} to {report.log_last}"),
        ("rows", f"{report.rows_logged} in the log, {report.rows_found} in {report.table}"),
        (
            "equal",
            f"{count(report.rows_equal, 'row')}, {count(report.values_compared, 'value')} compared",
        ),
    ]
    if unknown:
        rows.append(("not compared", f"the log does not have {unknown}"))
    if report.values_either:
        rows.append(("either", f"{report.values_either} values as a call on many rows left them"))
    if report.rows_uncertain:
        rows.append(
            (
                "uncertain",
                f"{count(report.rows_uncertain, 'row')} that only the table could show",
            )
        )
    if report.columns_gone:
        rows.append(("no column", ", ".join(report.columns_gone)))
    for line in table(rows):
        click.echo(line)
    if report.difference_count:
        causes = ", ".join(f"{count} {cause}" for cause, count in report.causes.most_common())
        click.secho(f"{report.difference_count} differences: {causes}", fg="red")
    else:
        click.secho("No difference.", fg="green")


def _line(difference: "Difference") -> str:
    key = safe(difference.key)
    match difference.what:
        case "missing":
            what = "is in the log, but not in the table"
        case "extra":
            what = "is in the table, but not in the log"
        case _:
            what = (
                f"{safe(str(difference.column))}: log {_value(difference.logged)}, "
                f"table {_value(difference.found)}"
            )
    why = click.style(f"{difference.cause}: {safe(difference.explanation)}", dim=True)
    return f"{key}  {what}\n    {why}"


def _value(value: object) -> str:
    text = safe(orjson.dumps(value).decode())
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 1]}…"

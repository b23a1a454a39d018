"""`leadlog sync status` and `leadlog sync schema`."""

from typing import Any

import click

from leadlog.cli.db.state import opened
from leadlog.cli.options import database_option, json_option
from leadlog.cli.terminal import print_json, safe, table

__all__ = ["schema", "status"]

_LISTS = ("failures", "last_runs", "wire")


@click.command()
@database_option
@json_option
def status(*, database: str | None, as_json: bool) -> None:
    """Show pending changes, leads set aside, and the last runs; makes no API call.

    \b
    Examples:
      leadlog sync status
      leadlog sync status --json | jq .failures
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.leads.airtable.mapping import names_of
    from leadlog.leads.airtable.statistics import statistics
    from leadlog.leads.store.sync_links import SyncLinks

    with opened(database) as store:
        names = names_of(load().settings.airtable_fields)
        found: dict[str, Any] = {
            "database": str(store.url),
            **statistics(SyncLinks(store), names),
        }
    if as_json:
        print_json(found)
        return
    rows = [(key.replace("_", " "), value) for key, value in found.items() if key not in _LISTS]
    for line in table(rows):
        click.echo(line)
    if found["failures"]:
        click.echo("")
    for one in found["failures"]:
        click.echo(f"set aside {safe(one['lead_id'] or one['record_id'])}: {safe(one['reason'])}")
    if found["last_runs"]:
        click.echo("")
        for line in _runs(found["last_runs"]):
            click.echo(line)


def _runs(runs: list[dict[str, Any]]) -> list[str]:
    header = ("started", "type", "result", "synced", "failed", "calls")
    result = {True: "ok", False: "failed", None: "interrupted"}
    rows = [
        (
            f"{run['started_at']:%Y-%m-%d %H:%M:%S}",
            run["sync_type"],
            result[run["success"]],
            *(run["counts"].get(name) for name in ("synced", "failed", "api_calls")),
        )
        for run in runs
    ]
    return table(rows, header, right=(3, 4, 5))


@click.command()
@click.option("--create", is_flag=True, help="Create the fields that are missing.")
@database_option
@json_option
@click.pass_context
def schema(ctx: click.Context, *, create: bool, database: str | None, as_json: bool) -> None:
    """Check that the table has the fields to sync, with suitable types.

    Exits with 1 when fields are missing, computed or of the wrong type.

    \b
    Examples:
      leadlog sync schema
      leadlog sync schema --create
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.airtable import AirtableSyncManager

    with opened(database) as store:
        manager = AirtableSyncManager(store)
        created = manager.create_missing_fields() if create else []
        binding = manager.check_schema()
    wrong = {problem.field: problem for problem in binding.problems}
    fields = [
        {
            "lead_field": one.name,
            "airtable_field": one.title,
            "field_id": one.id or None,
            "type": one.kind if one.id else None,
            "problem": wrong[one.name].problem if one.name in wrong else None,
            "message": wrong[one.name].message if one.name in wrong else None,
        }
        for one in (binding.key, *binding.fields)
    ]
    if as_json:
        print_json(
            {
                "table_id": binding.table_id,
                "fields": fields,
                "created": created,
                "renamed": dict(binding.renamed),
            }
        )
    else:
        for name in created:
            click.echo(f"created {safe(name)}")
        rows = [
            (one["lead_field"], one["airtable_field"], one["type"], one["problem"] or "ok")
            for one in fields
        ]
        for line in table(rows, ("lead field", "Airtable field", "type", "")):
            click.echo(line)
        for problem in binding.problems:
            click.echo(safe(problem.message))
    ctx.exit(1 if binding.problems else 0)

"""`leadlog migrate status`, `leadlog migrate validate`, `backups` and `rollback`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from leadlog.cli.db.state import opened
from leadlog.cli.options import database_option, json_option
from leadlog.cli.terminal import count, print_json, safe, table

__all__ = ["backups", "rollback", "status", "validate"]

_backups_option = click.option(
    "--backups",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Directory of backups.  [default: migration_backups next to the SQLite file]",
)


@click.command()
@database_option
@json_option
def status(*, database: str | None, as_json: bool) -> None:
    """List the migrations of the store.

    `running` is one that is running, or that was interrupted: give its files again to resume it.

    \b
    Examples:
      leadlog migrate status
      leadlog migrate status --json | jq '.migrations[-1]'
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.migration import MigrationManager

    with opened(database) as store:
        found = MigrationManager(store).get_migration_status()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            run["migration_id"],
            run["status"],
            source["path"],
            source["migrated"],
            source["duplicate"],
            source["rejected"],
            "yes" if source["complete"] else "no",
        )
        for run in found["migrations"]
        for source in run["sources"]
    ]
    if not rows:
        click.echo("No file was migrated into this store.")
        return
    header = ("migration", "status", "file", "migrated", "duplicates", "rejected", "complete")
    for line in table(rows, header, right=(3, 4, 5)):
        click.echo(line)


@click.command()
@click.argument("migration_id", required=False)
@database_option
@json_option
@click.pass_context
def validate(
    ctx: click.Context, *, migration_id: str | None, database: str | None, as_json: bool
) -> None:
    """Compare the records that a migration read with the store; the last one by default.

    Exits with 1 if leads are missing or different.

    \b
    Examples:
      leadlog migrate validate
      leadlog migrate validate 20261123T100000-3f9a --json
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.migration import MigrationManager

    with opened(database) as store:
        report = MigrationManager(store).validate_migration(migration_id)
    found: dict[str, Any] = asdict(report) | {"ok": report.ok}
    if as_json:
        print_json(found)
    else:
        click.echo(
            f"{report.migration_id}: {count(report.records, 'record')}, "
            f"{report.accounted} accounted for, "
            f"{count(report.missing, 'lead')} missing, {report.different} different, "
            f"{report.changed_since} changed since"
        )
        for name in report.unread:
            click.echo(f"{safe(name)} is gone or has changed, so it was counted only.")
        for problem in report.problems:
            click.echo(safe(problem))
    ctx.exit(1 if report.ok is False else 0)


@click.command()
@database_option
@_backups_option
@json_option
def backups(*, database: str | None, root: Path | None, as_json: bool) -> None:
    """List the backups that migrations made.

    \b
    Examples:
      leadlog migrate backups
      leadlog migrate backups --backups /mnt/backups --json
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.migration import MigrationManager

    with opened(database) as store:
        found = MigrationManager(store, backups=root).backups()
    if as_json:
        print_json({"backups": [asdict(one) for one in found]})
        return
    rows = [
        (
            one.migration_id,
            one.created_at[:19],
            one.leads,
            len(one.sources),
            "yes" if one.rolled_back_at else "no",
            one.directory,
        )
        for one in found
    ]
    if not rows:
        click.echo("No migration made a backup here.")
        return
    header = ("migration", "made", "leads then", "files", "rolled back", "directory")
    for line in table(rows, header, right=(2, 3)):
        click.echo(line)


@click.command()
@click.argument("migration_id")
@database_option
@_backups_option
@click.option("--force", is_flag=True, help="Even if leads changed since; the changes are lost.")
@json_option
def rollback(
    *, migration_id: str, database: str | None, root: Path | None, force: bool, as_json: bool
) -> None:
    """Restore the store to its state before a migration.

    Refused without --force if leads were added, changed or deleted since.

    \b
    Examples:
      leadlog migrate rollback 20261123T100000-3f9a
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.migration import MigrationManager

    with opened(database) as store:
        leads = MigrationManager(store, backups=root).rollback(migration_id, force=force)
        where = str(store.url)
    if as_json:
        print_json({"migration_id": migration_id, "database": where, "leads": leads})
    else:
        click.echo(
            f"{safe(where)} has {count(leads, 'lead')} again, as before {safe(migration_id)}."
        )

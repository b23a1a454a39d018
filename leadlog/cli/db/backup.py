"""`leadlog db backup` and `leadlog db restore`; each logs a migration_operation."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from leadlog.cli.db.state import connections_of, opened
from leadlog.cli.options import database_option, json_option
from leadlog.cli.terminal import count, message, print_json, safe

__all__ = ["backup", "restore"]


@contextmanager
def _recorded(kind: str) -> Iterator[dict[str, Any]]:
    """Log the block as a migration_operation; the yielded mapping collects its fields."""
    from leadlog.core.errors import SettingsError
    from leadlog.logger import DatabaseLogger

    found: dict[str, Any] = {"success": False}
    started = time.perf_counter_ns()
    try:
        yield found
        found["success"] = True
    except BaseException as error:
        found["error"] = str(error) or type(error).__name__
        raise
    finally:
        found["execution_time_ms"] = (time.perf_counter_ns() - started) / 1e6
        where = found.pop("backup_location", None)
        details = {
            "source_files": found.pop("source_files", None),
            "backup_created": None if where is None else kind == "backup_creation",
            "backup_location": where,
            "validation_enabled": True,
        }
        try:
            DatabaseLogger().log_migration_operation(kind, details, found)
        except (SettingsError, OSError) as error:
            message(f"this operation was not logged: {error}")


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@database_option
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the N newest backups named by the time in the directory TARGET; remove older ones.",
)
@json_option
def backup(*, target: Path, database: str | None, keep: int | None, as_json: bool) -> None:
    """Back the store up to TARGET while it is in use, and verify the backup.

    TARGET is a new file (with a suffix, such as leads.db), or a directory, in which the file is
    named by the time. SQLite is copied and checked; PostgreSQL is dumped with pg_dump.

    \b
    Examples:
      leadlog db backup backups/ --keep 7
      leadlog db backup before-import.db
      leadlog db backup backups/ --database postgresql://ana@localhost/leads --json
    """  # noqa: D301 - click wants real backspaces
    with _recorded("backup_creation") as record, opened(database) as store:
        record["source_files"] = [str(store.url)]
        made = store.backup(target, keep=keep)
        record["backup_location"] = str(made.path)
        record |= {
            "total_records": made.leads,
            "records_migrated": made.leads,
            "validation_passed": True,
        }
    if as_json:
        print_json(
            {
                "path": str(made.path),
                "size_bytes": made.size_bytes,
                "leads": made.leads,
                "removed": [str(path) for path in made.removed],
            }
        )
        return
    click.echo(
        f"{safe(str(made.path))}: {count(made.leads, 'lead')}, "
        f"{made.size_bytes / 1e6:.1f} MB, verified"
    )
    for path in made.removed:
        click.echo(f"removed {safe(str(path))}")


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@database_option
@click.option("--replace", is_flag=True, help="Replace the leads that the store has.")
@json_option
def restore(*, source: Path, database: str | None, replace: bool, as_json: bool) -> None:
    """Restore the leads from the backup SOURCE.

    A store that already has leads is not changed without --replace; with it, those leads are lost,
    so back the store up first. A backup made by an earlier version is upgraded.

    \b
    Examples:
      leadlog db restore backups/leads-20261123T100000000000Z.db --database sqlite:///leads.db
      leadlog db restore before-import.db --replace
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.store.backups import restore as bring_back

    with _recorded("rollback") as record, closing(connections_of(database)) as connections:
        record["source_files"] = [str(source)]
        leads = bring_back(connections, source, replace=replace)
        where = str(connections.url)
        record |= {"total_records": leads, "records_migrated": leads, "validation_passed": True}
    if as_json:
        print_json({"database": where, "leads": leads})
    else:
        click.echo(f"{safe(where)} has {count(leads, 'lead')} now.")

"""`leadlog migrate`: migrate files of leads into the store."""

from pathlib import Path
from typing import Any

import click

from leadlog.cli.migrate.runs import backups, rollback, status, validate
from leadlog.cli.options import database_option, directory_option, json_option, note_export
from leadlog.cli.terminal import count, print_json, safe, table
from leadlog.cli.training.expected import say_expected

__all__ = ["migrate"]

_SUBCOMMANDS = {
    "status": status,
    "validate": validate,
    "backups": backups,
    "rollback": rollback,
}
_REASONS_SHOWN = 5
_VALUE_SHOWN = 60
_COLUMNS_SHOWN = 12
_OBJECTS_BETWEEN_COLLECTIONS = 500_000


class _FilesOrCommand(click.Command):
    """A command that takes files, unless its first argument names a subcommand."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of the named subcommand, or of the command itself."""
        wanted = _SUBCOMMANDS.get(args[0]) if args else None
        if wanted is None:
            return super().make_context(info_name, args, parent, **extra)
        return wanted.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(80)) for name, command in _SUBCOMMANDS.items()]
            )
        super().format_epilog(ctx, formatter)


@click.command(cls=_FilesOrCommand, epilog="Write a file with the name of a command as ./status.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@directory_option
@database_option
@click.option("--dry-run", is_flag=True, help="Read and check the files; write nothing.")
@click.option("--preview", is_flag=True, help="A dry run that also shows columns and first leads.")
@click.option("--no-backup", is_flag=True, help="Do not copy the files or back up the store.")
@click.option("--no-verify", is_flag=True, help="Do not compare files and store at the end.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write rejected records here, to be corrected and migrated like any file.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Records in one transaction.",
)
@click.option("--encoding", metavar="NAME", help="Encoding of the files.  [default: UTF-8/16/32]")
@click.option("--csv", "as_table", is_flag=True, help="Read the files as CSV, whatever the name.")
@click.option("--delimiter", metavar="CHAR", help="Character between cells, or tab.")
@click.option("--header-row", type=click.IntRange(min=1), metavar="N", help="Line of the header.")
@click.option("--sheet", metavar="NAME", help="Sheet of a workbook, by name or number.")
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="Field for a column; raw_data for none.  [repeatable]",
)
@click.option(
    "--backups",
    "backup_directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Directory of backups.  [default: migration_backups next to the SQLite file]",
)
@json_option
@click.pass_context
def migrate(
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    directory: Path | None,
    database: str | None,
    dry_run: bool,
    preview: bool,
    no_backup: bool,
    no_verify: bool,
    rejects: Path | None,
    batch: int,
    encoding: str | None,
    as_table: bool,
    delimiter: str | None,
    header_row: int | None,
    sheet: str | None,
    mapped: tuple[str, ...],
    backup_directory: Path | None,
    as_json: bool,
) -> None:
    """Migrate files of leads into the store.

    FILE is a file, a quoted pattern, a directory (for its *lead*.json), or - for standard input:
    JSON (an array, {"leads": [...]}, one record), JSON Lines or CSV, plain, .gz or .zst, or a
    workbook (.xlsx, .xlsb, .xls, .ods).

    Every record becomes a lead, updates the lead that it duplicates, or is rejected with a
    reason. A run that was interrupted, by Ctrl-C or anything else, continues where it stopped when
    it is given the same files again; migrating a file twice changes nothing. Exits with 1 if
    records were rejected.

    \b
    Examples:
      leadlog migrate leads.json --rejects rejects.jsonl
      leadlog migrate contacts.csv --preview --map "Ansprechpartner=name"
      leadlog migrate exports/ 'old/*.csv' --database sqlite:///leads.db
      zcat leads.json.gz | leadlog migrate - --dry-run --json
      leadlog migrate rollback 20261123T100000-3f9a
    """  # noqa: D301 - click wants real backspaces
    import gc
    from contextlib import ExitStack

    import leadlog
    from leadlog.cli.interrupt import Interruptible
    from leadlog.cli.migrate.meter import ProgressMeter
    from leadlog.core.settings import load
    from leadlog.leads.migration import MigrationManager

    columns = _columns_of(mapped)
    dry_run = dry_run or preview
    settings = load(directory=directory, database=database).settings
    with ExitStack() as stack:
        if dry_run:
            store = leadlog.LeadDatabase(":memory:", capture=False)
        else:
            leadlog.configure(directory=directory, database=database)
            store = leadlog.LeadDatabase(settings.database)
        stack.enter_context(store)
        interrupt = stack.enter_context(Interruptible())
        stack.enter_context(leadlog.session(job="migrate"))
        meter = stack.enter_context(ProgressMeter(interrupt.check))
        # Records arrive by the thousand and form no cycles; collecting took a fifth of the time.
        gc.freeze()
        stack.callback(gc.unfreeze)
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        if not (dry_run or as_json):
            sizes = [file.stat().st_size for file in map(Path, files) if file.is_file()]
            say_expected(
                settings.directory, "migration.json_to_db", megabytes=sum(sizes) / 1e6 or None
            )
        try:
            result = MigrationManager(store, backups=backup_directory).migrate_json_files(
                files,
                dry_run=dry_run,
                backup=not no_backup,
                rejects=rejects,
                batch_size=batch,
                verify=not no_verify,
                encoding=encoding,
                table=as_table,
                delimiter="\t" if delimiter in {"tab", "\\t"} else delimiter,
                header_row=header_row,
                sheet=sheet,
                columns=columns,
                progress=meter.take,
            )
        except KeyboardInterrupt:
            meter.close()
            click.echo(
                "leadlog: interrupted; committed records stay, and the same command continues from "
                "there",
                err=True,
            )
            raise
    if result.rejects_file is not None:
        note_export(settings.directory, result.rejects_file)
    found = result.as_dict()
    if as_json:
        print_json(found)
    else:
        if preview:
            _show_preview(found)
        _show(found)
    lost = found["data_integrity_maintained"] is False
    ctx.exit(1 if lost or found["rejected"] else 0)


def _columns_of(mapped: tuple[str, ...]) -> dict[str, str]:
    """Return column to field, as given by --map."""
    columns = {}
    for one in mapped:
        column, sign, field = one.rpartition("=")
        if not sign or not column.strip() or not field.strip():
            raise click.BadParameter(f"{one!r} is not COLUMN=FIELD", param_hint="--map")
        columns[column] = field
    return columns


def _show_preview(found: dict[str, Any]) -> None:
    """Print each column with its field, and the first leads as they would be stored."""
    for source in found["sources"]:
        if source["columns"] or source["not_mapped"]:
            click.echo(f"Columns of {safe(source['path'])}:")
            rows = [*source["columns"].items()]
            rows += [(column, "(raw_data)") for column in source["not_mapped"]]
            for line in table(rows, ("column", "field")):
                click.echo(f"  {line}")
            click.echo("")
    if found["preview"]:
        click.echo("First leads:")
        for lead in found["preview"]:
            values = dict(lead)
            for column, value in values.pop("raw_data").items():
                values[f"{column} (raw_data)" if column in lead else column] = value
            click.echo(
                "  "
                + "; ".join(
                    f"{safe(str(field))}: {safe(str(value))[:_VALUE_SHOWN]}"
                    for field, value in values.items()
                    if value not in (None, "")
                )
            )
        click.echo("")


def _show(found: dict[str, Any]) -> None:
    """Print the result as text."""
    rows = [
        (
            source["path"],
            source["records"],
            source["migrated"],
            None if found["dry_run"] else source["duplicates"],
            source["rejected"],
            source["skipped"],
            source["encoding"],
        )
        for source in found["sources"]
    ]
    new = "valid" if found["dry_run"] else "new"
    header = ("file", "records", new, "duplicates", "rejected", "done before", "encoding")
    for line in table(rows, header, right=range(1, 6)):
        click.echo(line)
    click.echo("")
    rate = "" if found["per_second"] is None else f", {found['per_second']:.0f} records/s"
    click.echo(f"{count(found['records'], 'record')} in {found['seconds']:.2f} s{rate}")
    if found["dry_run"]:
        click.echo("Nothing was written (dry run); duplicates are found when they are migrated.")
    elif found["data_integrity_maintained"] is True:
        click.secho(
            f"Verified in {found['verify_seconds']:.2f} s: the store has what was read.", fg="green"
        )
    elif found["data_integrity_maintained"] is False:
        click.secho("The store does not have what was read:", fg="red", bold=True)
    elif found["verify_seconds"] is None:
        click.echo("Not verified.")
    for note in found["notes"]:
        click.echo(f"Note: {safe(note)}")
    for source in found["sources"]:
        for note, times in source["notes"].items():
            click.echo(f"Note: {safe(source['path'])}: {times} {safe(note)}")
        if source["not_mapped"]:
            columns = ", ".join(map(safe, source["not_mapped"][:_COLUMNS_SHOWN]))
            more = len(source["not_mapped"]) - _COLUMNS_SHOWN
            click.echo(
                f"Kept in raw_data, because no field is known for them: {columns}"
                f"{f' and {more} more' if more > 0 else ''}  (--map COLUMN=FIELD)"
            )
        if source["suggested"]:
            click.echo(
                f"{source['suggested']} new leads may be duplicates; see: leadlog db duplicates"
            )
    if found["backup"]:
        click.echo(f"Backup: {safe(found['backup'])}")
        click.echo(f"Undo it with: leadlog migrate rollback {found['migration_id']}")
    _show_rejects(found)


def _show_rejects(found: dict[str, Any]) -> None:
    for reject in found["rejects"][:_REASONS_SHOWN]:
        line = "" if reject["line"] is None else f", line {reject['line']}"
        click.echo(
            f"Rejected: {safe(reject['source'])}, record {reject['ordinal']}{line}: "
            f"{safe(reject['reason'])}"
        )
    more = found["rejected"] - _REASONS_SHOWN
    if more > 0:
        click.echo(f"… and {more} more")
    if found["rejects_file"]:
        click.echo(f"Rejected records: {safe(found['rejects_file'])}")
    elif found["rejected"]:
        click.echo("Give --rejects FILE to get the rejected records; what is done stays done.")

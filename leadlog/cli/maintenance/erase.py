"""`leadlog erase`: erase a person from the log."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import count, message, print_json, safe, table

if TYPE_CHECKING:
    from leadlog.reading.erasure import ErasureReport

__all__ = ["erase"]


@click.command()
@directory_option
@click.option(
    "--lead", "lead_ids", multiple=True, metavar="ID", help="Id of a lead; several may be given."
)
@click.option(
    "--email",
    "emails",
    multiple=True,
    metavar="ADDRESS",
    help="E-mail address; several may be given.",
)
@click.option(
    "--pseudonymise",
    is_flag=True,
    help="Replace personal data with pseudonyms, made with pseudonym_key; remove no line.",
)
@click.option("--resume", is_flag=True, help="Continue an earlier run that was not complete.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be done.")
@json_option
@click.pass_context
def erase(
    ctx: click.Context,
    *,
    directory: Path | None,
    lead_ids: tuple[str, ...],
    emails: tuple[str, ...],
    pseudonymise: bool,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Erase persons from the log: files, archive, bucket tables and daily summaries.

    Lines about them are removed; in other lines that name them, such as a sync of many leads,
    their entry is removed and their id and addresses are masked. Everything that belongs to them
    is found first: the addresses of an id, the ids of an address, the errors of their operations.

    Today's files and files in use cannot be replaced yet: they are listed, and a later run with
    --resume continues with them. It is safe to kill at any time. The erasure is recorded in
    monitoring_data, without naming the person.

    \b
    Examples:
      leadlog erase --lead 01a21ae1-5c29 --dry-run
      leadlog erase --lead 01a21ae1-5c29 --email ana@acme.example
      leadlog erase --resume --json | jq .remaining

    Exits with 1 when files remain that only a later run can change.
    """  # noqa: D301 - click wants real backspaces
    lead_ids = tuple(text for one in lead_ids if (text := one.strip()))
    emails = tuple(text for one in emails if (text := one.strip()))
    if not (lead_ids or emails or resume):
        raise click.UsageError("name a person with --lead or --email, or continue with --resume")
    if short := [text for text in (*lead_ids, *emails) if len(text) < 3]:
        raise click.UsageError(
            f"{short[0]!r} is too short and may be part of other text; give it whole"
        )
    from leadlog.core.settings import load
    from leadlog.reading import erasure

    settings = load(directory=directory).settings
    if pseudonymise and not settings.pseudonym_key:
        raise click.UsageError(
            "--pseudonymise needs the setting pseudonym_key, best through LEADLOG_PSEUDONYM_KEY"
        )
    root = existing_log(settings.directory)
    report = erasure.run(
        root,
        lead_ids=lead_ids,
        emails=emails,
        pseudonym_key=settings.pseudonym_key if pseudonymise else None,
        dry_run=dry_run,
    )
    if not dry_run:
        _record(root, report)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    for name, text in report.copies.items():
        message(f"{name}: {text}")
    if report.remaining:
        first = next(iter(report.remaining.items()))
        message(
            f"still named in {count(len(report.remaining), 'file')}, the first is {first[0]}: "
            f"{first[1]}; `leadlog erase --resume` goes on"
        )
    ctx.exit(1 if report.remaining else 0)


def _record(root: Path, report: "ErasureReport") -> None:
    """Write the audit record, which does not name the person."""
    import leadlog

    leadlog.configure(directory=root)
    leadlog.DatabaseLogger().log_monitoring_data(
        "erasure", {"metrics": report.covered(report.as_dict())}
    )
    leadlog.flush()


def _show(report: "ErasureReport") -> None:
    rows = [(one.path, one.lines_removed, one.lines_changed) for one in report.changed]
    for line in table(rows, ("file", "lines removed", "changed"), right=(1, 2)) if rows else []:
        click.echo(line)
    if rows:
        click.echo()
    where = f"{count(len(report.changed), 'file')} of {safe(str(report.directory))}"
    removed, covered = report.lines_removed, report.lines_changed
    if report.dry_run:
        click.echo(
            f"Would remove {count(removed, 'line')} and cover them in {covered} more, in {where}."
        )
    else:
        click.echo(
            f"Removed {count(removed, 'line')} and covered them in {covered} more, in {where}."
        )
    if report.summaries:
        verb = "Would make" if report.dry_run else "Made"
        made = count(len(report.summaries), "daily summary", "daily summaries")
        click.echo(f"{verb} {made} anew.")

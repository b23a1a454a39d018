"""`leadlog demo`: run the main job on a real store, and check the log against it."""

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import click

from leadlog.cli.demo.leadfile import read_leads
from leadlog.cli.options import database_option, directory_option, json_option
from leadlog.cli.terminal import print_json, safe, shows_progress, table

__all__ = ["demo"]

_TIERS = ("excellent", "good", "acceptable", "slow", "very_slow")
_COUNT = 200
_REJECTS_SHOWN = 5
_REASON_SHOWN = 100


@click.command()
@click.option(
    "--leads",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own leads: JSON, JSON Lines or CSV.  [default: made-up ones]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help=f"How many made-up leads.  [default: {_COUNT}]",
)
@click.option(
    "--airtable",
    is_flag=True,
    help="Synchronise with a fake Airtable on this machine, and see a person's edits arrive.",
)
@click.option(
    "--dashboard",
    is_flag=True,
    help="Serve the dashboard of the log afterwards, until Ctrl-C.",
)
@directory_option
@database_option
@json_option
@click.pass_context
def demo(
    ctx: click.Context,
    *,
    file: Path | None,
    count: int | None,
    airtable: bool,
    dashboard: bool,
    directory: Path | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Run the main job: fill a lead store, and show every call in the log.

    Adds made-up leads, as messy as real ones (or those in your own FILE); reads, changes, finds
    and deletes some; causes a validation error and a database error; measures an operation, logs
    an event by hand, logs a health check and writes the daily summary. Then it reads the log back
    and compares it with the calls and the store.

    The lead store and the log are kept, and a second run continues with them: leads that already
    exist are recognised. Your own leads are never changed or deleted afterwards. Rows that are
    not leads are reported and skipped.

    \b
    Examples:
      leadlog demo
      leadlog demo --leads export.json --database sqlite:///out/leads.db
      leadlog demo --count 10000 --directory /tmp/log --json | jq .leads
      leadlog demo --airtable
      leadlog demo --dashboard
    """  # noqa: D301 - click wants real backspaces
    if file is not None and count is not None:
        raise click.UsageError("--count is about made-up leads; leave it out with --leads")
    if dashboard and (airtable or as_json):
        raise click.UsageError("--dashboard goes with neither --airtable nor --json")
    if airtable:
        _airtable(ctx, file, count or _COUNT, directory, database, as_json=as_json)
    rows = None if file is None else read_leads(file)
    report = run(rows, count or _COUNT, directory, database)
    if as_json:
        print_json(report)
    else:
        _show(report, file)
    if dashboard:
        from leadlog.cli.monitor.dashboard import serve

        serve(Path(report["directory"]), port=0)
    ctx.exit(1 if report["disagreements"] else 0)


def _airtable(
    ctx: click.Context,
    file: Path | None,
    count: int,
    directory: Path | None,
    database: str | None,
    *,
    as_json: bool,
) -> NoReturn:
    if file is not None:
        raise click.UsageError("--airtable makes leads up; leave --leads out")
    from leadlog.cli.demo import airtable as demo_airtable

    report = demo_airtable.run(count, directory, database)
    if as_json:
        print_json(report)
    else:
        demo_airtable.show(report)
    ctx.exit(0 if report["equal"] and report["counts_agree"] else 1)


def run(
    rows: list[Any] | None, count: int, directory: Path | None, database: str | None
) -> dict[str, Any]:
    """Run the job and return a report as plain data.

    Args:
        rows: the user's leads; None for made-up ones.
        count: number of made-up leads.
        directory: the log directory; that of the settings by default.
        database: the store's URL; that of the settings by default.

    Raises:
        SettingsError: a setting is bad.
        StoreError: the store cannot be opened or used.
    """
    from sqlalchemy.exc import SQLAlchemyError

    import leadlog
    from leadlog.cli.demo.job import Job, read_back
    from leadlog.cli.interrupt import Interruptible
    from leadlog.core.clock import now_us, utc_date
    from leadlog.core.settings import load
    from leadlog.testing import generate_leads

    settings = load(directory=directory, database=database).settings
    place = settings.directory
    log_was_there = place.is_dir()
    pipeline = leadlog.configure(directory=directory, database=database)
    since = utc_date(now_us())
    leads: Iterable[Any] = generate_leads(count) if rows is None else rows
    total = count if rows is None else len(rows)
    try:
        with leadlog.LeadDatabase(settings.database) as store:
            before = store.stats()["total_leads"]
            with (
                Interruptible() as interrupt,
                leadlog.session(job="demo") as session_id,
                click.progressbar(
                    leads,
                    length=total,
                    label="adding leads",
                    file=sys.stderr,
                    hidden=not shows_progress(),
                ) as shown,
            ):
                job = Job(store, check=interrupt.check)
                job.run(shown, ours=rows is None)
            after = store.stats()["total_leads"]
            where = str(store.url)
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise leadlog.StoreError(f"the lead store failed: {reason}; check --database") from error
    leadlog.flush()
    found = read_back(place, session_id, since)
    dropped = pipeline.stats().dropped
    report = {
        "directory": _relative(place),
        "log_was_there": log_was_there,
        "database": where,
        "session_id": session_id,
        "leads": {
            "rows": total,
            "rejected": job.rejected_count,
            "first_rejected": [{"row": row, "reason": why} for row, why in job.rejected],
            "seconds": round(job.seconds, 3),
            "per_second": round(total / job.seconds) if job.seconds else None,
        },
        "calls": dict(sorted(job.calls.items())),
        "log": found,
        "store": {"before": before, "after": after},
        "summary": _relative(job.summary),
        "try": _commands(place),
    }
    thinned = (
        bool(settings.sampling) or not settings.enabled or settings.level not in ("debug", "info")
    )
    report["checked"] = not thinned
    report["disagreements"] = [] if thinned else _disagreements(report, dropped)
    return report


def _relative(path: Path) -> str:
    """Return the path as a user would type it in the working directory."""
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    text = str(shown)
    return f".{os.sep}{text}" if text.startswith("-") else text


def _commands(directory: Path) -> list[str]:
    """Return three jq commands that work on the files of this log."""
    root = shlex.quote(_relative(directory))
    operations = f"{root}/database_operations/*.jsonl"
    failed = (
        "select(.operation_details.success == false) | "
        "[.timestamp, .event_name, .operation_details.error_message] | @tsv"
    )
    quality = 'select(.event_name == "lead.add") | .training_labels.data_quality'
    errors = (
        "[.error_details.error_type, .error_details.fingerprint, .context.operation_in_progress] "
        "| @tsv"
    )
    return [
        f"jq -r '{failed}' {operations}",
        f"jq -r '{quality}' {operations} | sort | uniq -c",
        f"jq -r '{errors}' {root}/error_logs/*.jsonl",
    ]


def _disagreements(report: dict[str, Any], dropped: Any) -> list[str]:
    """Return the disagreements between calls, log and store; empty if they agree."""
    found: list[str] = []
    log = report["log"]
    for operation, made in report["calls"].items():
        records = log["operations"].get(operation, {}).get("records", 0)
        if records != made:
            found.append(f"{made} calls of {operation}, but {records} records")
    found.extend(
        f"{counts['records']} records of {operation}, which was not called"
        for operation, counts in log["operations"].items()
        if operation not in report["calls"]
    )
    store = report["store"]
    grown = store["after"] - store["before"]
    if grown != log["created"] - log["deleted"]:
        found.append(
            f"the store has {grown:+} leads, but the log says {log['created']} were created "
            f"and {log['deleted']} deleted"
        )
    if log["lines_skipped"]:
        found.append(f"{log['lines_skipped']} lines of the log are damaged")
    if dropped:
        found.append(f"events were dropped: {dropped}; see `leadlog doctor`")
    return found


def _show(report: dict[str, Any], file: Path | None) -> None:
    """Print the report as text."""
    leads, log, store = report["leads"], report["log"], report["store"]
    source = "made-up leads" if file is None else f"leads of {safe(str(file))}"
    state = "was there" if report["log_was_there"] else "new"
    _line(f"{leads['rows']} {source}", bold=True)
    _line(f"  into   {safe(report['database'])}  (held {store['before']} leads)")
    _line(f"  log    {safe(report['directory'])}  ({state}), session {report['session_id']}")
    _line("")
    _line("What happened", bold=True)
    _line(
        f"  {leads['rows']} rows in {leads['seconds']:.2f} s ({leads['per_second']} leads/s), "
        f"{leads['rejected']} of them rejected"
    )
    for reject in leads["first_rejected"][:_REJECTS_SHOWN]:
        _line(f"    row {reject['row']}: {_cut(safe(reject['reason']))}")
    if leads["rejected"] > _REJECTS_SHOWN:
        _line(f"    … and {leads['rejected'] - _REJECTS_SHOWN} more (--json lists the first 20)")
    _line(
        f"  in the log: {log['created']} created, {log['updated']} recognised as duplicates, "
        f"{log['deleted']} deleted (the demo's own Dana is among each)"
    )
    events = ", ".join(f"{count} {name}" for name, count in log["events"].items() if count)
    _line(f"  {events}")
    _line("")
    _line("Operations by tier, counted in the files", bold=True)
    rows = [
        (kind, counts["records"], counts["failed"], *(counts.get(tier, 0) for tier in _TIERS))
        for kind, counts in log["operations"].items()
    ]
    header = ("operation", "records", "failed", *_TIERS)
    for line in table(rows, header, right=range(1, len(header))):
        _line(f"  {line}")
    _line("")
    _line("Where it is", bold=True)
    _line(f"  log      {safe(report['directory'])}/<category>/<UTC date>.jsonl")
    _line(f"  summary  {safe(report['summary'])}")
    _line("")
    _line("Try", bold=True)
    for command in report["try"]:
        _line(f"  {command}")
    _line(f"  leadlog tail -f --directory {shlex.quote(report['directory'])}")
    _line("")
    if not report["checked"]:
        _line("Calls and log were not compared: the settings leave events out on purpose.")
    elif report["disagreements"]:
        for one in report["disagreements"]:
            click.secho(f"Does not agree: {safe(one)}", fg="red", bold=True)
    else:
        click.secho(
            "Calls, log and store agree: every call has exactly one record, and the store holds "
            f"{store['after']} = {store['before']} + {log['created']} - {log['deleted']} leads.",
            fg="green",
            bold=True,
        )
    _line("")
    _line("See it in a browser, live", bold=True)
    _line(f"  leadlog dashboard --directory {shlex.quote(report['directory'])}")


def _cut(text: str) -> str:
    return text if len(text) <= _REASON_SHOWN else f"{text[: _REASON_SHOWN - 1]}…"


def _line(text: str, *, bold: bool = False) -> None:
    click.echo(click.style(text, bold=True) if bold else text)

"""`leadlog doctor`: the settings in force, the state of the log directory, and its problems."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from leadlog.cli.maintenance.damaged import list_lines
from leadlog.cli.maintenance.rings import COLUMNS, SINK_COLUMNS, row_of, sink_row_of
from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import count, print_json, safe, table
from leadlog.core.clock import now_us, utc_date
from leadlog.core.errors import ReadError, SettingsError
from leadlog.core.layout import CATEGORIES, COMPRESSED, LogFile, category_directory, log_files
from leadlog.monitor.health.checks import Check
from leadlog.monitor.health.log import directory_checks, ring_checks, sink_checks
from leadlog.reading.events import Event, Skipped, read_backwards, read_events
from leadlog.reading.oddities import oddities
from leadlog.recording.sinks.board import sink_reports
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.sidecar import seated_key
from leadlog.recording.sinks.strays import shared_memory

__all__ = ["doctor"]

_PACKAGES = (
    "leadlog",
    "structlog",
    "orjson",
    "SQLAlchemy",
    "alembic",
    "pyairtable",
    "psutil",
    "click",
    "psycopg",
    "apprise",
)


@click.command()
@directory_option
@click.option("--all", "everything", is_flag=True, help="Check the files of every day.")
@click.option(
    "--lines", is_flag=True, help="Only list the lines that are not events, of every day."
)
@click.option(
    "--quarantine",
    "taking",
    is_flag=True,
    help="With --lines: move those of past days out of the log, into quarantine/.",
)
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    directory: Path | None,
    everything: bool,
    lines: bool,
    taking: bool,
    as_json: bool,
) -> None:
    """Check the settings, the log directory and the log.

    Shows the settings in force and the source of each, every category with its files, today's
    events, damaged lines and dropped events, and the versions in use. Exits with 1 when it finds
    a problem, and names the remedy.

    \b
    Examples:
      leadlog doctor
      leadlog doctor --all --directory /var/log/leads
      leadlog doctor --json | jq .findings
      leadlog doctor --lines
      leadlog doctor --lines --quarantine
    """  # noqa: D301 - click wants real backspaces
    if lines:
        ctx.exit(1 if list_lines(existing_log(directory), taking, as_json) else 0)
    if taking:
        raise click.UsageError("--quarantine needs --lines", ctx)
    report = examine(directory, everything=everything, today=utc_date(now_us()))
    if as_json:
        print_json(report)
    else:
        _show(report)
    ctx.exit(1 if report["findings"] else 0)


def examine(directory: Path | None, *, everything: bool, today: str) -> dict[str, Any]:
    """Return the whole report of `leadlog doctor` as plain data.

    Args:
        directory: the log directory; the one in the settings by default.
        everything: whether to check the files of every day instead of only the newest.
        today: the current UTC day.
    """
    findings: list[dict[str, str]] = []
    report: dict[str, Any] = {
        "settings": [],
        "directory": None,
        "categories": [],
        "rings": [],
        "sinks": [],
        "shared_memory": [],
        "not_leadlog": [],
        "versions": versions(),
        "findings": findings,
    }
    # This command must report a bad setting, not fail because of it.
    from leadlog.core import settings

    host, disk_mb = "", settings.Settings().health_disk_mb
    try:
        loaded = settings.load(directory=directory)
    except SettingsError as error:
        _find(findings, str(error), "correct or remove that setting")
    else:
        report["settings"] = [
            {
                "name": row.name,
                "value": row.value,
                "origin": row.origin,
                "default": row.default,
                "unit": row.unit,
            }
            for row in settings.describe(loaded)
        ]
        _alerts(loaded.settings.alerts, findings)
        directory = loaded.settings.directory
        host, disk_mb = loaded.settings.host, loaded.settings.health_disk_mb
    if directory is not None:
        report["directory"] = _directory(directory, host, disk_mb, findings)
        report["categories"] = [
            _category(directory, category, everything, today, findings) for category in CATEGORIES
        ]
        rings = ring_reports(directory.absolute())
        report["rings"] = [asdict(ring) for ring in rings]
        _findings(ring_checks(rings), findings)
        sinks = sink_reports(directory.absolute())
        report["sinks"] = [asdict(sink) for sink in sinks]
        _findings(sink_checks(sinks), findings)
        report["not_leadlog"] = _others(directory, findings)
    here = None if directory is None else directory.resolve()
    report["shared_memory"] = _shared_memory(here, findings)
    return report


def _shared_memory(here: Path | None, findings: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the shared memory of all log directories of this user, and add its findings."""
    found = []
    for one in shared_memory():
        found.append(
            {
                "directory": None if one.directory is None else str(one.directory),
                "exists": one.exists,
                "bytes": one.bytes,
                "in_use": one.in_use,
                "waiting": one.waiting,
            }
        )
        if one.waiting and one.exists and not one.in_use and one.directory != here:
            _find(
                findings,
                f"in memory: {count(one.waiting, 'event')} of {one.directory}; no process logs "
                "there",
                "run `leadlog recover --all`",
            )
    return found


def _others(directory: Path, findings: list[dict[str, str]]) -> list[str]:
    """Return the files that are not leadlog's; add findings for drafts and unfinished erasures."""
    from leadlog.core.files import DRAFT
    from leadlog.core.places import place_of
    from leadlog.reading.erasure.journal import NAME
    from leadlog.reading.erasure.others import is_locked, walk

    strangers, drafts = [], []
    for path in walk(directory):
        place = place_of(path.relative_to(directory))
        if place is None:
            strangers.append(str(path.relative_to(directory)))
        elif DRAFT.fullmatch(path.name) and not is_locked(path):
            drafts.append(path)
    if drafts:
        _find(
            findings,
            f"killed processes left {count(len(drafts), 'draft')}, the first is {drafts[0]}",
            "run `leadlog archive`, which removes them; none of them is the only copy of anything",
        )
    if (directory / NAME).exists():
        _find(
            findings,
            "an erasure is not complete: somebody is still named in the log",
            "run `leadlog erase --resume`",
        )
    return strangers


_STRANGERS_SHOWN = 10


def versions() -> dict[str, str | None]:
    """Return the versions of Python, the system and the packages; None if not installed."""
    found: dict[str, str | None] = {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    import sqlite3

    return {**found, "SQLite": sqlite3.sqlite_version}


def _alerts(table: dict[str, Any], findings: list[dict[str, str]]) -> None:
    """Add a finding for a mistake in the alert rules, before a monitor fails on it."""
    if not table:
        return
    from leadlog.monitor.configuration import configure

    try:
        configure(table)
    except SettingsError as error:
        _find(findings, str(error), "correct the table [alerts]; see `leadlog alerts show RULE`")


def _find(findings: list[dict[str, str]], what: str, remedy: str) -> None:
    findings.append({"finding": what, "remedy": remedy})


def _findings(checks: Iterable[Check], findings: list[dict[str, str]]) -> None:
    """Add a finding for every check that is not ok."""
    for check in checks:
        if check.state in ("warning", "critical"):
            _find(findings, check.message, check.remedy or "")


def _directory(
    directory: Path, host: str, disk_mb: float, findings: list[dict[str, str]]
) -> dict[str, Any]:
    checks = {check.name: check for check in directory_checks(directory, disk_mb)}
    _findings(checks.values(), findings)
    return {
        "path": str(directory.absolute()),
        "exists": directory.is_dir(),
        "writable": checks["log_writable"].state == "ok",
        "free_mb": round(checks["log_disk"].value or 0),
        "sidecar": seated_key(directory, host, Descriptors()) is not None,
    }


def _category(
    directory: Path,
    category: str,
    everything: bool,
    today: str,
    findings: list[dict[str, str]],
) -> dict[str, Any]:
    """Return the state of one category, with damage in the newest day's files or in all of them."""
    folder = category_directory(directory, category)
    report: dict[str, Any] = {
        "category": category,
        "files": 0,
        "bytes": 0,
        "events_today": 0,
        "last_event": None,
        "damaged_lines": 0,
        "odd_events": 0,
    }
    if not folder.is_dir():
        return report
    if not os.access(folder, os.W_OK | os.X_OK):
        _find(
            findings,
            f"{folder} is not writable, so its events are dropped",
            f"give this user write permission there: chown or chmod {folder}",
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        _find(findings, f"{folder} cannot be read", f"run doctor as a user who may read {folder}")
        return report
    files = log_files(directory, [category])
    report["files"] = len(files)
    report["bytes"] = sum(file.path.stat().st_size for file in files)
    skipped = Skipped()
    first: tuple[Event, str] | None = None
    try:
        for file in files:
            if everything or file.date == files[-1].date:
                events = 0
                for event in read_events(file.path, skipped=skipped):
                    events += 1
                    odd = next(oddities(event.data, file.date), None)
                    if odd is not None:
                        report["odd_events"] += 1
                        first = first or (event, odd)
                report["events_today"] += events if file.date == today else 0
        report["last_event"] = _last(files)
    except ReadError as error:
        _find(findings, str(error), f"run doctor as a user who may read {folder}")
    report["damaged_lines"] = skipped.lines
    if skipped.lines:
        path, offset = skipped.places[0]
        _find(
            findings,
            f"{count(skipped.lines, 'damaged line')} in {category}, the first in {path.name} "
            f"at byte {offset}",
            "`leadlog doctor --lines` shows them all; this one: "
            f"{_show_from(path, offset)} | head -n 1",
        )
    if first is not None:
        event, odd = first
        _find(
            findings,
            f"{report['odd_events']} odd events in {category}, the first in {event.path.name} "
            f"at byte {event.offset}: {odd}",
            "correct what writes such values; sums and percentiles leave them out. This one: "
            f"{_show_from(event.path, event.offset)} | head -n 1",
        )
    return report


def _show_from(path: Path, offset: int) -> str:
    """Return a shell command that prints a file from a byte offset on."""
    if path.suffix == COMPRESSED:
        return f"zstd -dc {path} | tail -c +{offset + 1}"
    return f"tail -c +{offset + 1} {path}"


def _last(files: list[LogFile]) -> str | None:
    """Return the timestamp of the newest event in the files, or None."""
    for date in sorted({file.date for file in files}, reverse=True):
        newest = (next(read_backwards(file.path), None) for file in files if file.date == date)
        if ends := [event.timestamp for event in newest if event is not None]:
            return max(ends)
    return None


def _show(report: dict[str, Any]) -> None:
    """Print the report as text."""
    _section("Settings", [(row["name"], _value(row), row["origin"]) for row in report["settings"]])
    place = report["directory"]
    if place is not None:
        click.secho("Log directory", bold=True)
        state = "exists" if place["exists"] else "does not exist yet"
        writable = "writable" if place["writable"] else "not writable"
        click.echo(f"  {safe(place['path'])}: {state}, {writable}, {place['free_mb']} MB free")
        writer = "`leadlog drain`" if place["sidecar"] else "each process for itself"
        click.echo(f"  written by: {writer}\n")
        _section(
            "Categories",
            [tuple(category.values()) for category in report["categories"]],
            ("category", "files", "bytes", "events today", "last event", "damaged lines", "odd"),
            right=(1, 2, 3, 5, 6),
        )
    _section(
        "Rings: events by process",
        [row_of(ring) for ring in report["rings"]],
        COLUMNS,
        right=(0, 3, 4, 5, 7),
    )
    _section(
        "Additional sinks",
        [sink_row_of(sink) for sink in report["sinks"]],
        SINK_COLUMNS,
        right=(0, 3, 4, 5),
    )
    _section(
        "Shared memory",
        [
            (
                one["directory"] or "unknown",
                f"{one['bytes'] / 1e6:.1f} MB",
                one["waiting"],
                "in use" if one["in_use"] else "left" if one["exists"] else "directory is gone",
            )
            for one in report["shared_memory"]
        ],
        ("log directory", "size", "waiting", "state"),
        right=(1, 2),
    )
    strangers = report["not_leadlog"]
    shown = [(name,) for name in strangers[:_STRANGERS_SHOWN]]
    if len(strangers) > len(shown):
        shown.append((f"and {len(strangers) - len(shown)} more (--json has all)",))
    _section("Files in the log directory that are not leadlog's", shown)
    _section("Versions", list(report["versions"].items()))
    if not report["findings"]:
        click.secho("No findings.", fg="green", bold=True)
    for number, finding in enumerate(report["findings"], 1):
        click.secho(f"Finding {number}: {safe(finding['finding'])}", fg="red", bold=True)
        click.echo(f"  Remedy: {safe(finding['remedy'])}")


def _value(row: dict[str, str]) -> str:
    return f"{row['value']} {row['unit']}".rstrip()


def _section(
    title: str,
    rows: list[Any],
    header: tuple[str, ...] = (),
    right: tuple[int, ...] = (),
) -> None:
    if rows:
        click.secho(title, bold=True)
        for line in table(rows, header, right=right):
            click.echo(f"  {line}")
        click.echo()

"""One event as one readable line."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from leadlog.cli.terminal import safe

__all__ = ["event_line"]

Data = Mapping[str, Any]

_TIER_COLOURS = {
    "excellent": "green",
    "good": "green",
    "acceptable": "yellow",
    "slow": "red",
    "very_slow": "red",
}
_LEVEL_COLOURS = {"warning": "yellow", "error": "red", "critical": "red"}
_TEXT_LIMIT = 160


def event_line(event: Data) -> str:
    """Time, level, event, outcome, duration and tier, what it was about, what went wrong.

    With colours; `click.echo` takes them out where they do not belong. Never raises, whatever
    the event holds, and nothing stored is in it raw.
    """
    level = _text(event.get("level"))
    parts = [
        click.style(_time(event.get("timestamp")), dim=True),
        click.style(level.upper()[:8].ljust(7), fg=_LEVEL_COLOURS.get(level)),
        click.style(_text(event.get("event_name")).ljust(18), bold=True),
        *_outcome(event),
        *_duration(event),
        *(_text(part) for part in _subject(event)),
    ]
    error = _section(event, "operation_details").get("error_message")
    error = error or _section(event, "sync_results").get("error_message")
    error = error or _section(event, "migration_results").get("error_message")
    error = error or _section(event, "error_details").get("error_message")
    if error:
        parts.append(click.style(_text(error), fg="red"))
    return "  ".join(part for part in parts if part)


def _section(event: Data, name: str) -> Data:
    section = event.get(name)
    return section if isinstance(section, dict) else {}


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = safe(str(value))
    return text if len(text) <= _TEXT_LIMIT else f"{text[: _TEXT_LIMIT - 1]}…"


def _time(timestamp: Any) -> str:
    """`11-23 10:00:00.123`: month, day and time in UTC, to the millisecond."""
    text = _text(timestamp)
    return f"{text[5:10]} {text[11:23]}"


def _outcome(event: Data) -> Iterator[str]:
    for name in ("operation_details", "sync_results", "migration_results", "operation_info"):
        success = _section(event, name).get("success")
        if success is True:
            yield click.style("ok    ", fg="green")
        elif success is False:
            yield click.style("failed", fg="red")


def _duration(event: Data) -> Iterator[str]:
    tier = _text(_section(event, "training_labels").get("performance_tier"))
    for name, key in (
        ("operation_details", "execution_time_ms"),
        ("sync_results", "execution_time_ms"),
        ("migration_results", "execution_time_ms"),
        ("operation_info", "total_duration_ms"),
    ):
        value = _section(event, name).get(key)
        if isinstance(value, int | float):
            yield click.style(f"{value:9.1f} ms {tier}", fg=_TIER_COLOURS.get(tier))


def _subject(event: Data) -> Iterator[Any]:
    lead = _section(event, "lead_identifier")
    yield lead.get("name") or lead.get("lead_id")
    yield lead.get("company")
    quality = _section(event, "training_labels").get("data_quality")
    if quality is not None:
        yield f"quality {quality}"
    results = _section(event, "sync_results")
    for key in ("leads_synced", "leads_failed"):
        if results.get(key) is not None:
            yield f"{key.partition('_')[2]} {results[key]}"
    results = _section(event, "migration_results")
    for key in ("records_migrated", "records_failed"):
        if results.get(key) is not None:
            yield f"{key.partition('_')[2]} {results[key]}"
    details = _section(event, "error_details")
    yield details.get("error_type")
    yield details.get("error_code")
    total = _section(event, "statistics").get("total_leads")
    if total is not None:
        yield f"{total} leads"
    alerts = event.get("alerts")
    if isinstance(alerts, list) and alerts:
        yield f"{len(alerts)} alerts"

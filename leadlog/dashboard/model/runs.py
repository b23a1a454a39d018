"""Runs of the sync and of migrations: results, waiting times and rejected leads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from leadlog.core.clock import format_us
from leadlog.core.errors import LeadlogError
from leadlog.dashboard.log import Log
from leadlog.dashboard.model.windows import TimeWindow
from leadlog.reading.shipped import destinations, read_shipments

__all__ = ["DestinationLag", "RunFigures", "Runs", "runs"]

_MOST: Final = 200
_LISTED: Final = 20
_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run of a sync or a migration.

    Attributes:
        kind: sync or migration.
        type: to_airtable, json_to_db, …
        run_id: identifier of the run.
        event_id: event id of its record.
        session_id: id of its session.
        at: end of the run, as in the records.
        success: whether it succeeded.
        ms: duration in milliseconds.
        error: why it failed.
        figures: its counts, by name.
        conflicts: number of fields changed on both sides; None for a migration.
        waited_ms: time spent waiting for rate limits, in milliseconds; None for a migration.
        rejected: number of leads or records that were rejected.
        listed: the first failed leads, or errors.
        expected_ms: median duration of such runs in milliseconds, predicted by the model of
            durations in the log directory; None without a usable model.
    """

    kind: str
    type: str | None
    run_id: str | None
    event_id: str | None
    session_id: str | None
    at: str
    success: bool | None
    ms: float | None
    error: str | None
    figures: Mapping[str, float]
    conflicts: int | None
    waited_ms: float | None
    rejected: int | None
    listed: tuple[str, ...]
    expected_ms: float | None = None


@dataclass(frozen=True, slots=True)
class DestinationLag:
    """The lag of one shipping destination behind the log.

    Attributes:
        name: name of the destination.
        target: address of the destination.
        files: number of files that are not shipped completely.
        bytes: bytes left to ship; None if the size of a compressed file's content is unknown.
        seconds: age of the oldest unshipped event; None if unknown.
        refused: number of records that it refused.
        dropped: cause to the number of records that it will never have; None if unknown.
        error: the last error; None if there was none.
    """

    name: str
    target: str | None
    files: int | None
    bytes: int | None
    seconds: float | None
    refused: int | None
    dropped: Mapping[str, int | None] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs in a period.

    Attributes:
        runs: the runs, newest first.
        total: number of runs in the period.
        failed: number of runs in the period that failed.
        conflicts: conflicts of the listed runs; None if unknown for all.
        waited_ms: time that the listed runs waited, in milliseconds; None if unknown for all.
        rejected: leads that the listed runs rejected; None if unknown for all.
        shipping: the current lag of each destination.
    """

    runs: tuple[RunFigures, ...]
    total: int
    failed: int
    conflicts: int | None
    waited_ms: float | None
    rejected: int | None
    shipping: tuple[DestinationLag, ...] = ()


def runs(log: Log, window: TimeWindow) -> Runs:
    """Return the runs that ended in a period.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    with log.figures() as figures:
        kinds = {
            number: kind
            for number, kind in figures.kinds().items()
            if kind.category in {"sync_operations", "migration_operations"}
        }
        wanted = [*kinds]
        totals = figures.totals(wanted, window.since, window.until)
        total = sum(one.n for one in totals.values())
        failed = sum(one.n for number, one in totals.items() if kinds[number].failed)
        found = figures.newest(wanted, window.since, window.until, most=_MOST)
        records = log.records(figures, [one.number for one in found])
    shown = tuple(
        _expected(log, _run(format_us(one.at), records[one.number]))
        for one in found
        if one.number in records
    )
    return Runs(
        shown,
        total,
        failed,
        _sum([one.conflicts for one in shown]),
        _sum([one.waited_ms for one in shown]),
        _sum([one.rejected for one in shown]),
        tuple(_destination(log, name, window.now) for name in destinations(log.directory)),
    )


def _expected(log: Log, run: RunFigures) -> RunFigures:
    """Return the run with its expected duration, as predicted by the model of durations."""
    folder = log.directory / "models" / "duration"
    if run.type is None or not folder.is_dir():
        return run
    from leadlog import predict

    items = run.figures.get("leads_synced", run.figures.get("total_records_processed"))
    said = predict(f"{run.kind}.{run.type}", model=folder, at=run.at, items=items)
    return run if said is None else replace(run, expected_ms=said.value)


def _destination(log: Log, name: str, now_us: int) -> DestinationLag:
    try:
        one = read_shipments(log.directory, name)
        lag = one.lag(log.directory, now_us)
    except (OSError, LeadlogError) as error:
        return DestinationLag(name, None, None, None, None, None, None, _text(str(error)))
    target, wrong = one.meta.get("target"), one.meta.get("error")
    dropped = {str(_text(cause)): records for cause, (_, _, records) in one.dropped.items()}
    return DestinationLag(
        name, _text(target), lag.files, lag.bytes, lag.seconds, one.refused, dropped, _text(wrong)
    )


def _sum(values: Any) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _TEXT else f"{value[: _TEXT - 1]}…"


def _number(value: Any) -> Any:
    return value if type(value) in {int, float} else None


def _truth(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _run(at: str, data: Mapping[str, Any]) -> RunFigures:
    if data.get("log_type") == "sync_operation":
        return _sync(at, data)
    details, results = _section(data, "migration_details"), _section(data, "migration_results")
    summary = _section(data, "data_summary")
    errors = summary.get("validation_errors")
    return RunFigures(
        "migration",
        _text(details.get("migration_type")),
        _text(details.get("migration_id")),
        _text(data.get("event_id")),
        _text(data.get("session_id")),
        at,
        _truth(results.get("success")),
        _number(results.get("execution_time_ms")),
        _text(results.get("error_message")),
        _figures(
            results,
            *("total_records_processed", "records_migrated", "records_skipped"),
            *("records_failed", "duplicates_found"),
        ),
        None,
        None,
        _number(results.get("records_failed")),
        tuple(
            text
            for one in (errors[:_LISTED] if isinstance(errors, list) else ())
            if (text := _text(one)) is not None
        ),
    )


def _sync(at: str, data: Mapping[str, Any]) -> RunFigures:
    details, results = _section(data, "sync_details"), _section(data, "sync_results")
    metrics = _section(data, "performance_metrics")
    leads = data.get("leads_summary")
    listed = [
        _text(f"{lead.get('lead_id')}: {lead['error']}") or ""
        for lead in (leads[:_LISTED] if isinstance(leads, list) else ())
        if isinstance(lead, Mapping) and isinstance(lead.get("error"), str)
    ]
    return RunFigures(
        "sync",
        _text(details.get("sync_type")),
        _text(details.get("sync_id")),
        _text(data.get("event_id")),
        _text(data.get("session_id")),
        at,
        _truth(results.get("success")),
        _number(results.get("execution_time_ms")),
        _text(results.get("error_message")),
        _figures(
            results,
            *("leads_synced", "leads_created", "leads_updated", "leads_deleted"),
            *("leads_skipped", "leads_failed", "conflicts_resolved"),
        )
        | _figures(metrics, "api_calls_made", "api_calls_minimum")
        | _figures(details, "retry_attempts", "batch_size"),
        _number(results.get("conflicts_resolved")),
        _number(metrics.get("rate_limit_wait_ms")),
        _number(results.get("leads_failed")),
        tuple(listed),
    )


def _figures(section: Mapping[str, Any], *names: str) -> dict[str, float]:
    return {name: value for name in names if (value := _number(section.get(name))) is not None}

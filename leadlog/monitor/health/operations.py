"""Checks of the application: errors, latency and data quality compared with the week before.

All of it is read from the log files at a bounded cost: at most 5,000 of the newest lines and 10,000
of the week before, a few tenths of a second. Each check requires both that a limit is passed and
that chance does not explain it, so that one failure in a quiet night is no finding.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, pvariance
from typing import Any

from leadlog.core.clock import parse
from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.probes import ProbeContext
from leadlog.reading.events import Event
from leadlog.reading.sampled import newest_events, spread_events

__all__ = ["probe"]

_MINUTE_US = 60_000_000
_WINDOW_US = 15 * _MINUTE_US
_DAY_US = 24 * 60 * _MINUTE_US
_ENOUGH = 150
"""Desired number of events in a window; with fewer in the last minutes it extends further back."""

_LEAST = 30
_SCORES = 200
_NEWEST_LINES = 5_000
_BASELINE_LINES = 10_000
_SURE = 3.0
"""Standard deviations from which a difference counts as significant: once in 700 checks of an
unchanged system, if they were independent."""

_CATEGORIES = ("database_operations",)


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check `error_rate`, `latency` and `data_quality`."""
    now = context.now_us()
    newest = list(
        newest_events(
            context.directory,
            _CATEGORIES,
            oldest_us=now - _DAY_US,
            most=_NEWEST_LINES,
            where=_is_operation,
        )
    )
    recent = sum(1 for event in newest if parse(event.timestamp) >= now - _WINDOW_US)
    window = newest[: max(recent, _ENOUGH)]
    fresh = [event for event in newest if _score(event) is not None][:_SCORES]
    before = spread_events(
        context.directory,
        _CATEGORIES,
        since_us=now - 7 * _DAY_US,
        until_us=now - _WINDOW_US,
        most=_BASELINE_LINES,
        where=_is_operation,
    )
    yield _error_rate(window, _earlier(before, window), context)
    yield _latency(window, _earlier(before, window), context)
    yield _data_quality(fresh, _earlier(before, fresh), context)


def _earlier(before: Sequence[Event], window: Sequence[Event]) -> list[Event]:
    """Return the events of the baseline that are older than a window, newest first."""
    if not window:
        return list(before)
    return [event for event in before if event.timestamp < window[-1].timestamp]


def _is_operation(data: Mapping[str, Any]) -> bool:
    return type(data.get("operation_details")) is dict


def _error_rate(window: Sequence[Event], before: Sequence[Event], context: ProbeContext) -> Check:
    failed, total = _failures(window)
    failed_before, total_before = _failures(before)
    if len(window) < _LEAST:
        return Check(
            "error_rate", "unknown", unit="%", message=f"only {len(window)} operations in a day"
        )
    share = failed / total
    usual = failed_before / total_before if len(before) >= _LEAST else None
    limit = context.settings.health_error_percent
    message = f"{100 * share:.1f} % of {total:.0f} operations failed"
    if usual is not None:
        message += f"; in the week before {100 * usual:.1f} %"
        together = (failed + failed_before) / (total + total_before)
        spread = math.sqrt(together * (1 - together) * (1 / total + 1 / total_before))
        if share - usual <= _SURE * spread:  # as often as before, or explained by chance
            limit = math.inf
    return judge(
        "error_rate",
        round(100 * share, 3),
        warning=limit if math.isfinite(limit) else None,
        critical=limit * 4 if math.isfinite(limit) else None,
        unit="%",
        message=message,
        remedy="see what fails: leadlog errors",
    )


def _failures(events: Iterable[Event]) -> tuple[float, float]:
    """Return the numbers of failed and of all operations, weighted by sampling."""
    failed = total = 0.0
    for event in events:
        rate = event.data.get("sample_rate")
        weight = 1 / rate if type(rate) is float and 0 < rate < 1 else 1.0
        total += weight
        if event.data["operation_details"].get("success") is False:
            failed += weight
    return failed, total


def _latency(window: Sequence[Event], before: Sequence[Event], context: ProbeContext) -> Check:
    """Return a check of the operation whose p95 rose most, unless it is still excellent."""
    now, usual = _durations(window), _durations(before)
    highest: tuple[float, str] | None = None
    for name, took in now.items():
        known = usual.get(name, [])
        if len(took) < _LEAST or len(known) < _LEAST:
            continue
        limit = max(_p95(known), 1e-3)
        slower = sum(1 for one in took if one > limit)
        expected = 0.05 * len(took)
        chance = slower - expected <= _SURE * math.sqrt(0.95 * expected)
        if chance or _p95(took) <= context.settings.tier_excellent_ms:
            ratio = min(_p95(took) / limit, 1.0)
            said = f"no operation is slower than in the week before ({len(now)} looked at)"
        else:
            ratio = _p95(took) / limit
            said = f"p95 of {name} is {_p95(took):.0f} ms; in the week before {limit:.0f} ms"
        if highest is None or ratio > highest[0]:
            highest = ratio, said
    if highest is None:
        return Check(
            "latency", "unknown", unit="times", message="too few operations to compare with"
        )
    limit = context.settings.health_latency_ratio
    return judge(
        "latency",
        round(highest[0], 3),
        warning=limit,
        critical=limit * 3,
        unit="times",
        message=highest[1],
        remedy="see the slowest: leadlog slow; and whether it came with a change: leadlog trends",
    )


def _durations(events: Iterable[Event]) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        details = event.data["operation_details"]
        took = details.get("execution_time_ms")
        if isinstance(took, int | float):
            found[str(details.get("operation_type"))].append(float(took))
    return found


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def _score(event: Event) -> float | None:
    """Return the data-quality score of a new lead; None for other events."""
    details, labels = event.data["operation_details"], event.data.get("training_labels")
    if not str(details.get("operation_type")).startswith("add") or type(labels) is not dict:
        return None
    score = labels.get("data_quality_score")
    return float(score) if isinstance(score, int | float) else None


def _data_quality(fresh: Sequence[Event], before: Sequence[Event], context: ProbeContext) -> Check:
    name = "data_quality"
    now = [score for event in fresh if (score := _score(event)) is not None]
    usual = [score for event in before if (score := _score(event)) is not None]
    if len(now) < _LEAST or len(usual) < _LEAST:
        return Check(name, "unknown", message="too few new leads to compare with")
    drop = fmean(usual) - fmean(now)
    spread = math.sqrt(pvariance(now) / len(now) + pvariance(usual) / len(usual))
    sure = drop > _SURE * spread
    limit = context.settings.health_quality_drop
    return judge(
        name,
        round(max(drop, 0.0), 4),
        warning=limit if sure else None,
        critical=limit * 2 if sure else None,
        unit="points",
        message=f"the mean score of the last {len(now)} new leads is {fmean(now):.2f}; "
        f"in the week before {fmean(usual):.2f}",
        remedy="see which fields are missing or bad: leadlog db quality",
    )

"""Metrics for Prometheus under stable names; needs the extra `metrics`.

The names, their labels and units are a contract on which docs/how-to/prometheus.md, its dashboard
and its alert rules rely.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import Any, get_args

import attrs

from leadlog.core.clock import now_us, parse
from leadlog.core.errors import LeadlogError, SettingsError
from leadlog.monitor.health.checks import Health, State
from leadlog.monitor.health.counting import LIMITS_SECONDS, EventCounts
from leadlog.reading.shipped import destinations, read_shipments
from leadlog.recording.sinks.report import ring_reports

try:
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise SettingsError(
        "metrics need the package prometheus-client; install it with: "
        'pip install "leadlog[metrics]"'
    ) from error

__all__ = ["FigureSource", "registry", "serve", "text"]


@attrs.frozen
class FigureSource:
    """Sources of the metrics, each queried at a scrape.

    Attributes:
        directory: the log directory, for the lines of its rings; None omits them.
        counts: counts of the followed events; None omits them.
        health: returns the newest health; None if there is none yet.
        alerts: returns the alerts, with the keys of `alerts` in records.
    """

    directory: Path | None = None
    counts: EventCounts | None = None
    health: Callable[[], Health | None] = lambda: None
    alerts: Callable[[], Iterable[Mapping[str, Any]]] = tuple


def registry(figures: FigureSource) -> CollectorRegistry:
    """Return a separate registry that exposes the figures, for `serve` or a web application.

    Args:
        figures: sources of the metrics.
    """
    made = CollectorRegistry()
    made.register(_Figures(figures))
    return made


def text(figures: FigureSource) -> str:
    """Return the metrics in Prometheus' text format, as for node_exporter's textfile collector."""
    return generate_latest(registry(figures)).decode()


@contextmanager
def serve(figures: FigureSource, address: str = "127.0.0.1", port: int = 9464) -> Iterator[int]:
    """Answer `GET /metrics` from separate threads until the block ends.

    Args:
        figures: sources of the metrics.
        address: address to listen on; the metrics name operations, so expose it with care.
        port: port to listen on; 0 for any free one.

    Yields:
        The port.

    Raises:
        OSError: the address is not available.
    """
    server, thread = start_http_server(port, address, registry(figures))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Figures(Collector):
    def __init__(self, figures: FigureSource) -> None:
        self._figures = figures

    def describe(self) -> list[Metric]:
        """Return nothing: describing would collect everything once in vain."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their current values."""
        yield InfoMetricFamily(
            "leadlog", "The version of leadlog.", value={"version": metadata.version("leadlog")}
        )
        if self._figures.counts is not None:
            yield from _counts(self._figures.counts)
        if self._figures.directory is not None:
            yield _lines(self._figures.directory)
            yield from _shipping(self._figures.directory)
        health = self._figures.health()
        if health is not None:
            yield from _health(health)
        yield _alerts(self._figures.alerts())


def _counts(counts: EventCounts) -> Iterator[Metric]:
    for name, help_text, labels, found in (
        (
            "operations",
            "Operations on the store and on captured classes.",
            ("entity", "operation", "success"),
            counts.operations,
        ),
        ("errors", "Errors that were logged.", ("error_type", "severity"), counts.errors),
        ("syncs", "Runs of the sync.", ("sync_type", "success"), counts.syncs),
        ("migrations", "Runs of migrations.", ("migration_type", "success"), counts.migrations),
    ):
        family = CounterMetricFamily(f"leadlog_{name}", help_text, labels=labels)
        for values, number in sorted(found.items()):
            family.add_metric(values, number)
        yield family
    for name, help_text, label, single in (
        ("events", "Events that were logged.", "log_type", counts.events),
        ("leads_added", "New leads by data quality.", "data_quality", counts.qualities),
        ("sync_leads", "Leads in syncs by result.", "result", counts.sync_leads),
    ):
        family = CounterMetricFamily(f"leadlog_{name}", help_text, labels=(label,))
        for value, number in sorted(single.items()):
            family.add_metric((value,), number)
        yield family
    yield CounterMetricFamily(
        "leadlog_user_errors",
        "Operations that failed through a user's error.",
        value=counts.user_errors,
    )
    yield CounterMetricFamily(
        "leadlog_api_calls", "Airtable requests made by syncs.", value=counts.api_calls
    )
    histogram = HistogramMetricFamily(
        "leadlog_operation_duration_seconds",
        "Wall time of operations.",
        labels=("entity", "operation"),
    )
    for labels, durations in sorted(counts.durations.items()):
        limits = [*map(str, LIMITS_SECONDS), "+Inf"]
        passed = accumulate(durations.buckets)
        histogram.add_metric(labels, list(zip(limits, passed, strict=True)), durations.seconds)
    yield histogram


def _lines(directory: Path) -> Metric:
    """Return the line counts of all processes; a gauge, since ended processes drop out."""
    lines: Counter[tuple[str, str]] = Counter()
    for ring in ring_reports(directory.absolute()):
        lines[ring.category, "written"] += ring.written
        lines[ring.category, "waiting"] += ring.in_ring
        lines[ring.category, "dropped"] += sum(ring.dropped.values())
    family = GaugeMetricFamily(
        "leadlog_log_lines",
        "Lines of the log by result.",
        labels=("category", "state"),
    )
    for values, number in sorted(lines.items()):
        family.add_metric(values, number)
    return family


def _shipping(directory: Path) -> Iterator[Metric]:
    """Yield the lag of the destinations of `leadlog ship`; unknown values are omitted."""
    seconds = GaugeMetricFamily(
        "leadlog_ship_lag_seconds",
        "Age of the oldest event that a destination lacks.",
        labels=("destination",),
    )
    size = GaugeMetricFamily(
        "leadlog_ship_lag_bytes", "Bytes that a destination lacks.", labels=("destination",)
    )
    sent = CounterMetricFamily(
        "leadlog_ship_records", "Records that a destination accepted.", labels=("destination",)
    )
    refused = GaugeMetricFamily(
        "leadlog_ship_refused", "Refused records that are kept.", labels=("destination",)
    )
    dropped = CounterMetricFamily(
        "leadlog_ship_dropped",
        "Records that a destination will never have.",
        labels=("destination", "cause"),
    )
    names = destinations(directory)
    for name in names:
        with suppress(OSError, LeadlogError):  # `ship_lag` of `leadlog health` reports it
            one = read_shipments(directory, name)
            lag = one.lag(directory, now_us())
            if lag.seconds is not None:
                seconds.add_metric((name,), lag.seconds)
            if lag.bytes is not None:
                size.add_metric((name,), lag.bytes)
            sent.add_metric((name,), one.meta.get("sent", 0))
            refused.add_metric((name,), one.refused)
            for cause, (_, _, records) in one.dropped.items():
                if records is not None:
                    dropped.add_metric((name, cause[:100]), records)
    if names:
        yield from (seconds, size, sent, refused, dropped)


def _health(health: Health) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "leadlog_check_state", "1 for the current state of a check.", labels=("check", "state")
    )
    values = GaugeMetricFamily(
        "leadlog_check_value", "Value measured by a check.", labels=("check", "unit")
    )
    thresholds = GaugeMetricFamily(
        "leadlog_check_threshold", "Limit for its value.", labels=("check", "unit")
    )
    times = GaugeMetricFamily(
        "leadlog_check_timestamp_seconds", "Time of a check.", labels=("check",)
    )
    for check in health.checks:
        for state in get_args(State):
            states.add_metric((check.name, state), float(check.state == state))
        unit = check.unit or ""
        if check.value is not None:
            values.add_metric((check.name, unit), check.value)
        if check.threshold is not None:
            thresholds.add_metric((check.name, unit), check.threshold)
        times.add_metric((check.name,), parse(check.checked_at) / 1e6)
    yield from (states, values, thresholds, times)


def _alerts(alerts: Iterable[Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "leadlog_alerts", "Alerts that are pending or firing.", labels=("name", "severity", "state")
    )
    found = Counter(
        (str(one.get("name")), str(one.get("severity")), str(one.get("state"))) for one in alerts
    )
    for values, number in sorted(found.items()):
        family.add_metric(values, number)
    return family

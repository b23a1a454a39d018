"""performance_metrics: one run of something under monitor_performance, or one request or task."""

from typing import Literal, NotRequired

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import Tier, WithContext


class OperationInfo(TypedDict):
    """What was measured."""

    operation_name: ReadOnly[str]
    """The name given to monitor_performance; of a request its method and route, of a task its
    name, of a command its path."""
    operation_id: ReadOnly[str]
    """Identifier of this run."""
    parent_operation_id: ReadOnly[str | None]
    """The monitored operation around this one, whose counts include this one's; sums
    over many records take only those where this is null."""
    start_time: ReadOnly[str | None]
    """When it began, as `timestamp`."""
    end_time: ReadOnly[str | None]
    """When it ended, as `timestamp`."""
    total_duration_ms: ReadOnly[float | None]
    """Wall time, milliseconds; of a generator only the time inside it."""
    suspended_ms: ReadOnly[float | None]
    """Of a generator, the time its consumer took between items; else null."""
    success: ReadOnly[bool | None]
    """Whether it ended without an exception."""


class PerformanceData(TypedDict):
    """What it cost."""

    cpu_time_ms: ReadOnly[float | None]
    """CPU time of this thread while it ran, milliseconds."""
    cpu_usage_percent: ReadOnly[float | None]
    """CPU time as a share of the wall time."""
    memory_usage_mb: ReadOnly[float | None]
    """Resident set of the process at its end, 10^6 bytes; sampled before where `sample_age_ms`
    has a value."""
    memory_peak_mb: ReadOnly[float | None]
    """Highest resident set of the process during the operation; null unless the system
    saw it rise above every earlier peak meanwhile."""
    disk_io_mb: ReadOnly[float | None]
    """Bytes that the process had storage read and write meanwhile, other threads' included,
    10^6 bytes; null where the system does not report it, and for generators."""
    network_io_mb: ReadOnly[float | None]
    """Bytes sent and received by the process, 10^6 bytes; null unless the caller knows, because
    no system reports it by process."""
    database_queries: ReadOnly[int | None]
    """Statements sent to captured databases inside it, nested operations included."""
    api_calls: ReadOnly[int | None]
    """API calls made inside it, nested operations included."""
    sample_age_ms: ReadOnly[float | None]
    """Age of memory_usage_mb where it is the last sample, milliseconds; null where it was
    measured at the end."""


class SystemInfo(TypedDict):
    """What the system was like; of the store that the process opened last."""

    database_size_mb: ReadOnly[float | None]
    """Size of the lead store, 10^6 bytes."""
    total_leads: ReadOnly[int | None]
    """Leads in the store."""
    pending_syncs: ReadOnly[int | None]
    """Leads that wait for a sync."""
    active_connections: ReadOnly[int | None]
    """Open connections of the pool."""
    system_load: ReadOnly[float | None]
    """Load average of the last minute."""
    sample_age_ms: ReadOnly[float | None]
    """Age of the oldest of these that was sampled, milliseconds; null where none was."""


class RequestInfo(TypedDict):
    """What was asked of an instrumented application, and what came of it."""

    kind: ReadOnly[Literal["http", "websocket", "task", "command"]]
    """What was asked for."""
    framework: ReadOnly[str]
    """What it was asked through: asgi, wsgi, celery, dramatiq, click."""
    method: ReadOnly[str | None]
    """HTTP method."""
    route: ReadOnly[str | None]
    """Template of the route, such as `/deals/{deal_id}`; name of the task; path of the command;
    null where none was found."""
    path: ReadOnly[str | None]
    """Path that was asked for, without its query string."""
    status: ReadOnly[int | None]
    """HTTP status, close code of a WebSocket, exit code of a command; null where none was sent."""
    outcome: ReadOnly[Literal["completed", "failed", "cancelled", "retried", "ignored", "rejected"]]
    """completed, also with a status below 500; failed; cancelled by the client or the server; of a
    task also retried, ignored and rejected."""
    exception_class: ReadOnly[str | None]
    """Class of the exception that nothing handled."""
    error_message: ReadOnly[str | None]
    """Its text, secrets masked."""
    raised_at: ReadOnly[str | None]
    """File, line and function of the application's own code that it came from."""
    task_id: ReadOnly[str | None]
    """Of a task."""
    retries: ReadOnly[int | None]
    """How often the task was tried before."""
    parent_span_id: ReadOnly[str | None]
    """Span of the caller, from `traceparent`; null where the trace began here."""
    background_ms: ReadOnly[float | None]
    """Time that went on after the response was sent, such as background tasks; not part of
    `total_duration_ms`."""


class PerformanceLabels(TypedDict):
    """Training labels of a measurement."""

    performance_tier: ReadOnly[Tier | None]
    """Band of the wall time."""
    resource_efficiency: ReadOnly[str | None]
    """Band over CPU and memory; unknown where an input is null."""
    scalability_indicator: ReadOnly[str | None]
    """Band over duration and table size; unknown where an input is null."""
    optimization_needed: ReadOnly[bool | None]
    """Whether it took more than 5000 ms."""


class PerformanceMetrics(WithContext):
    """One run of something under monitor_performance, or one request, task or command."""

    log_type: ReadOnly[Literal["performance_metrics"]]
    """Kind of record."""
    operation_info: ReadOnly[OperationInfo]
    performance_data: ReadOnly[PerformanceData]
    system_info: ReadOnly[SystemInfo]
    request_info: NotRequired[ReadOnly[RequestInfo]]
    """Only of what `leadlog.instrument` records."""
    training_labels: ReadOnly[PerformanceLabels]

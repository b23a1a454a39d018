"""performance_metrics: one run of a monitored operation, or one request, task or command."""

from typing import Literal, NotRequired

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import Tier, WithContext


class OperationInfo(TypedDict):
    """The operation that was measured."""

    operation_name: ReadOnly[str]
    """The name given to monitor_performance; for a request its method and route, for a task its
    name, for a command its path."""
    operation_id: ReadOnly[str]
    """Identifier of this run."""
    parent_operation_id: ReadOnly[str | None]
    """The monitored operation that contains this one; its counts include this one's. For sums
    over many records, add only those where this is null."""
    start_time: ReadOnly[str | None]
    """When it began, in the format of `timestamp`."""
    end_time: ReadOnly[str | None]
    """When it ended, in the format of `timestamp`."""
    total_duration_ms: ReadOnly[float | None]
    """Wall time, milliseconds; for a generator only the time spent inside it."""
    suspended_ms: ReadOnly[float | None]
    """For a generator, the time that its consumer took between items; otherwise null."""
    success: ReadOnly[bool | None]
    """Whether it ended without an exception."""


class PerformanceData(TypedDict):
    """The cost of the operation."""

    cpu_time_ms: ReadOnly[float | None]
    """CPU time of this thread during the operation, milliseconds."""
    cpu_usage_percent: ReadOnly[float | None]
    """CPU time as a share of the wall time."""
    memory_usage_mb: ReadOnly[float | None]
    """Resident set of the process at the end of the operation, 10^6 bytes; sampled earlier if
    `sample_age_ms` has a value."""
    memory_peak_mb: ReadOnly[float | None]
    """Highest resident set of the process during the operation; null unless it rose above every
    earlier peak."""
    disk_io_mb: ReadOnly[float | None]
    """Bytes that the process, including other threads, read from and wrote to storage during the
    operation, 10^6 bytes; null where the system does not report it, and for generators."""
    network_io_mb: ReadOnly[float | None]
    """Bytes sent and received by the process, 10^6 bytes; null unless the caller measured it,
    because no system reports it by process."""
    database_queries: ReadOnly[int | None]
    """Statements sent to captured databases inside it, including nested operations."""
    api_calls: ReadOnly[int | None]
    """API calls made inside it, including nested operations."""
    sample_age_ms: ReadOnly[float | None]
    """Age of memory_usage_mb if it is the last background sample, milliseconds; null if it was
    measured at the end."""


class SystemInfo(TypedDict):
    """State of the system, and of the store that the process opened last."""

    database_size_mb: ReadOnly[float | None]
    """Size of the lead store, 10^6 bytes."""
    total_leads: ReadOnly[int | None]
    """Leads in the store."""
    pending_syncs: ReadOnly[int | None]
    """Leads waiting for a sync."""
    active_connections: ReadOnly[int | None]
    """Open connections of the pool."""
    system_load: ReadOnly[float | None]
    """Load average of the last minute."""
    sample_age_ms: ReadOnly[float | None]
    """Age of the oldest sampled value in this section, milliseconds; null if none was sampled."""


class RequestInfo(TypedDict):
    """The request, task or command of an instrumented application, and its outcome."""

    kind: ReadOnly[Literal["http", "websocket", "task", "command"]]
    """Kind of the unit of work."""
    framework: ReadOnly[str]
    """Its interface: asgi, wsgi, celery, dramatiq or click."""
    method: ReadOnly[str | None]
    """HTTP method."""
    route: ReadOnly[str | None]
    """Template of the route, such as `/deals/{deal_id}`; name of the task; path of the command;
    null if none was found."""
    path: ReadOnly[str | None]
    """Path that was requested, without its query string."""
    status: ReadOnly[int | None]
    """HTTP status, close code of a WebSocket, exit code of a command; null if none was sent."""
    outcome: ReadOnly[Literal["completed", "failed", "cancelled", "retried", "ignored", "rejected"]]
    """completed (if HTTP: with a status below 500), failed, or cancelled by the client or the
    server; for a task also retried, ignored or rejected."""
    exception_class: ReadOnly[str | None]
    """Class of the unhandled exception."""
    error_message: ReadOnly[str | None]
    """Text of the exception, secrets masked."""
    raised_at: ReadOnly[str | None]
    """File, line and function of the application's own code that raised the exception."""
    task_id: ReadOnly[str | None]
    """Identifier of the task."""
    retries: ReadOnly[int | None]
    """Number of earlier attempts at the task."""
    parent_span_id: ReadOnly[str | None]
    """Span of the caller, from `traceparent`; null if the trace began here."""
    background_ms: ReadOnly[float | None]
    """Time spent after the response was sent, such as by background tasks; not part of
    `total_duration_ms`."""


class PerformanceLabels(TypedDict):
    """Training labels of a measurement."""

    performance_tier: ReadOnly[Tier | None]
    """Tier of the wall time."""
    resource_efficiency: ReadOnly[str | None]
    """Band of CPU and memory use; unknown if an input is null."""
    scalability_indicator: ReadOnly[str | None]
    """Band of duration and table size; unknown if an input is null."""
    optimization_needed: ReadOnly[bool | None]
    """Whether it took more than 5000 ms."""


class PerformanceMetrics(WithContext):
    """One run of a monitored operation, or one request, task or command."""

    log_type: ReadOnly[Literal["performance_metrics"]]
    """Kind of record."""
    operation_info: ReadOnly[OperationInfo]
    performance_data: ReadOnly[PerformanceData]
    system_info: ReadOnly[SystemInfo]
    request_info: NotRequired[ReadOnly[RequestInfo]]
    """Present only in records of `leadlog.instrument`."""
    training_labels: ReadOnly[PerformanceLabels]

"""monitoring_data: one check of the system's state."""

from typing import Any, Literal

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import WithContext


class MonitoringInfo(TypedDict):
    """The check and its measurements."""

    monitoring_type: ReadOnly[str]
    """health_check, sync_status, database_stats, log_health, alert; application_event for an
    event that the application logged itself."""
    monitoring_id: ReadOnly[str]
    """Identifier of this check."""
    collection_interval_seconds: ReadOnly[float | None]
    """Interval between checks, seconds."""
    data_points: ReadOnly[dict[str, Any] | None]
    """Measured values by name."""


class SystemHealth(TypedDict):
    """Health of the system."""

    database_responsive: ReadOnly[bool | None]
    """Whether the database responded."""
    airtable_accessible: ReadOnly[bool | None]
    """Whether Airtable responded."""
    sync_queue_size: ReadOnly[int | None]
    """Leads waiting for a sync."""
    error_rate_percent: ReadOnly[float | None]
    """Share of operations that failed, percent."""
    average_response_time_ms: ReadOnly[float | None]
    """Mean wall time of operations, milliseconds."""


class Statistics(TypedDict):
    """Counts of the lead store and its syncs."""

    total_leads: ReadOnly[int | None]
    """Leads in the store."""
    leads_added_today: ReadOnly[int | None]
    """Leads created since midnight UTC."""
    successful_syncs_today: ReadOnly[int | None]
    """Syncs since midnight UTC that succeeded."""
    failed_syncs_today: ReadOnly[int | None]
    """Syncs since midnight UTC that failed."""
    database_size_mb: ReadOnly[float | None]
    """Size of the lead store, 10^6 bytes."""


class Alert(TypedDict):
    """One alert."""

    name: ReadOnly[str | None]
    """The rule's name."""
    severity: ReadOnly[str | None]
    """info, warning or critical."""
    state: ReadOnly[str | None]
    """pending, firing or resolved."""
    message: ReadOnly[str | None]
    """Description of the problem."""
    value: ReadOnly[float | None]
    """The measured value."""
    threshold: ReadOnly[float | None]
    """The value that it is compared with."""
    since: ReadOnly[str | None]
    """When the alert began, in the format of `timestamp`."""


class MonitoringLabels(TypedDict):
    """Training labels of a check of the system."""

    system_healthy: ReadOnly[bool | None]
    """Whether no critical alert is firing; null where nothing was measured."""
    performance_acceptable: ReadOnly[bool | None]
    """Average response below 1000 ms."""
    sync_efficiency: ReadOnly[bool | None]
    """Error rate below 5 percent."""
    capacity_adequate: ReadOnly[bool | None]
    """Sync queue below 100."""


class MonitoringData(WithContext):
    """One check of the system, or an event that the application logged itself."""

    log_type: ReadOnly[Literal["monitoring_data"]]
    """Kind of record."""
    monitoring_info: ReadOnly[MonitoringInfo]
    system_health: ReadOnly[SystemHealth]
    statistics: ReadOnly[Statistics]
    alerts: ReadOnly[list[Alert]]
    """Alerts at the time of the check."""
    training_labels: ReadOnly[MonitoringLabels]

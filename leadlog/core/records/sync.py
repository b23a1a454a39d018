"""sync_operation: one run of the Airtable sync."""

from typing import Literal, NotRequired

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import WithContext


class SyncDetails(TypedDict):
    """Input and options of the sync."""

    sync_type: ReadOnly[str]
    """to_airtable, from_airtable or bidirectional."""
    sync_id: ReadOnly[str]
    """Identifier of the run."""
    batch_size: ReadOnly[int | None]
    """Maximum number of leads per API call."""
    total_leads: ReadOnly[int | None]
    """Leads that the run concerned."""
    retry_attempts: ReadOnly[int | None]
    """API calls that were repeated."""
    sync_strategy: ReadOnly[str | None]
    """Name of the strategy."""


class SyncResults(TypedDict):
    """The outcome of the sync."""

    success: ReadOnly[bool | None]
    """Whether the run succeeded."""
    leads_synced: ReadOnly[int | None]
    """Leads that are equal on both sides after the run."""
    leads_skipped: ReadOnly[int | None]
    """Leads deliberately left unchanged."""
    leads_failed: ReadOnly[int | None]
    """Leads that could not be synchronised."""
    leads_created: ReadOnly[int | None]
    """Leads created on the other side."""
    leads_updated: ReadOnly[int | None]
    """Leads changed on the other side."""
    leads_deleted: ReadOnly[int | None]
    """Leads deleted on the other side."""
    conflicts_resolved: ReadOnly[int | None]
    """Fields that had changed on both sides."""
    execution_time_ms: ReadOnly[float | None]
    """Wall time of the run, milliseconds."""
    error_message: ReadOnly[str | None]
    """Why it failed."""
    airtable_rate_limited: ReadOnly[bool | None]
    """Whether Airtable responded with 429."""


class SyncMetrics(TypedDict):
    """The cost of the run."""

    api_calls_made: ReadOnly[int | None]
    """HTTP requests sent, including retries."""
    api_calls_minimum: ReadOnly[int | None]
    """Smallest number of calls that the run could have needed."""
    rate_limit_wait_ms: ReadOnly[float | None]
    """Time waited because of rate limits, milliseconds."""
    bytes_sent: ReadOnly[int | None]
    """Bytes of request bodies sent."""
    bytes_received: ReadOnly[int | None]
    """Bytes of response bodies received."""
    avg_sync_time_per_lead_ms: ReadOnly[float | None]
    """Wall time divided by leads, milliseconds."""
    memory_peak_mb: ReadOnly[float | None]
    """Peak resident set, 10^6 bytes."""


class SyncedLead(TypedDict):
    """One lead of a run."""

    lead_id: ReadOnly[str | None]
    """The lead's id."""
    name: ReadOnly[str | None]
    """The person's full name."""
    company: ReadOnly[str | None]
    """The company's name."""
    sync_status: ReadOnly[str | None]
    """The outcome for the lead."""
    error: ReadOnly[str | None]
    """Why it failed."""


class SyncBatch(TypedDict):
    """One batch of writes."""

    batch_number: ReadOnly[int]
    """Number of the batch within the run, from 1."""
    kind: ReadOnly[Literal["create", "update", "delete"]]
    """Kind of write."""
    leads: ReadOnly[int]
    """Leads in the batch."""
    leads_failed: ReadOnly[int]
    """Leads that Airtable refused, found by halving the batch."""
    api_calls: ReadOnly[int]
    """HTTP requests that the batch needed."""
    duration_ms: ReadOnly[float]
    """Wall time including its commit, milliseconds."""


class SyncLabels(TypedDict):
    """Training labels of a sync."""

    sync_successful: ReadOnly[bool | None]
    """Same as `sync_results.success`."""
    sync_efficiency: ReadOnly[Literal["excellent", "good", "acceptable", "poor", "unknown"] | None]
    """Band of the share synchronised and the time per lead."""
    error_recovery: ReadOnly[bool | None]
    """Whether retries were needed and the run still succeeded."""
    batch_optimization: ReadOnly[
        Literal["optimal", "good", "acceptable", "inefficient", "no_batching"] | None
    ]
    """Band of the API calls made compared with the minimum."""


class SyncOperation(WithContext):
    """One run of the Airtable sync."""

    log_type: ReadOnly[Literal["sync_operation"]]
    """Kind of record."""
    sync_details: ReadOnly[SyncDetails]
    sync_results: ReadOnly[SyncResults]
    performance_metrics: ReadOnly[SyncMetrics]
    leads_summary: ReadOnly[list[SyncedLead]]
    """Up to ten leads, failed ones first."""
    sync_batches: NotRequired[ReadOnly[list[SyncBatch]]]
    """Up to fifty batches of writes: those with failures first, then the slowest."""
    training_labels: ReadOnly[SyncLabels]

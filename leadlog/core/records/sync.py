"""sync_operation: one run of the Airtable sync."""

from typing import Literal, NotRequired

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import WithContext


class SyncDetails(TypedDict):
    """What was to be synchronised."""

    sync_type: ReadOnly[str]
    """to_airtable, from_airtable or bidirectional."""
    sync_id: ReadOnly[str]
    """Identifier of the run."""
    batch_size: ReadOnly[int | None]
    """Most leads per API call."""
    total_leads: ReadOnly[int | None]
    """Leads that the run was about."""
    retry_attempts: ReadOnly[int | None]
    """API calls that were repeated."""
    sync_strategy: ReadOnly[str | None]
    """Name of the strategy."""


class SyncResults(TypedDict):
    """The outcome of the sync."""

    success: ReadOnly[bool | None]
    """Whether the run did what it should."""
    leads_synced: ReadOnly[int | None]
    """Leads that are equal on both sides now."""
    leads_skipped: ReadOnly[int | None]
    """Leads left alone on purpose."""
    leads_failed: ReadOnly[int | None]
    """Leads that could not be synchronised."""
    leads_created: ReadOnly[int | None]
    """Leads created on the other side."""
    leads_updated: ReadOnly[int | None]
    """Leads changed on the other side."""
    leads_deleted: ReadOnly[int | None]
    """Leads deleted on the other side."""
    conflicts_resolved: ReadOnly[int | None]
    """Fields changed on both sides."""
    execution_time_ms: ReadOnly[float | None]
    """Wall time of the run, milliseconds."""
    error_message: ReadOnly[str | None]
    """Why it failed."""
    airtable_rate_limited: ReadOnly[bool | None]
    """Whether Airtable answered 429."""


class SyncMetrics(TypedDict):
    """What the run cost."""

    api_calls_made: ReadOnly[int | None]
    """Attempts on the wire."""
    api_calls_minimum: ReadOnly[int | None]
    """Fewest calls that could have done it."""
    rate_limit_wait_ms: ReadOnly[float | None]
    """Time waited because of rate limits, milliseconds."""
    bytes_sent: ReadOnly[int | None]
    """Body bytes sent."""
    bytes_received: ReadOnly[int | None]
    """Body bytes received."""
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
    """Which batch of the run, from 1."""
    kind: ReadOnly[Literal["create", "update", "delete"]]
    """What was done to the rows."""
    leads: ReadOnly[int]
    """Leads in it."""
    leads_failed: ReadOnly[int]
    """Those that Airtable refused, found by halving the batch."""
    api_calls: ReadOnly[int]
    """Attempts that it took."""
    duration_ms: ReadOnly[float]
    """Wall time with its commit, milliseconds."""


class SyncLabels(TypedDict):
    """Training labels of a sync."""

    sync_successful: ReadOnly[bool | None]
    """Same as `sync_results.success`."""
    sync_efficiency: ReadOnly[Literal["excellent", "good", "acceptable", "poor", "unknown"] | None]
    """By share synchronised and time per lead."""
    error_recovery: ReadOnly[bool | None]
    """Whether retries were needed and the run succeeded all the same."""
    batch_optimization: ReadOnly[
        Literal["optimal", "good", "acceptable", "inefficient", "no_batching"] | None
    ]
    """API calls made against the fewest possible."""


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

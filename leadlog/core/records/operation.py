"""database_operation: one call on the lead store."""

from typing import Any, Final, Literal, NotRequired, overload

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import Outcome, Tier, WithContext

STATEMENT_OPERATIONS: Final = ("create", "read", "update", "delete", "upsert")
"""Operation types that are ambiguous without the name of the mapped class."""

OPERATION_TYPES = (
    *STATEMENT_OPERATIONS,
    *("add_lead", "add_leads", "backup", "check", "delete_lead", "explain_quality"),
    *("find_all_duplicates", "find_duplicates", "get_all_leads", "get_lead", "get_linked_leads"),
    *("get_merges", "get_sync_pending_leads", "get_unlinked_leads", "mark_for_sync"),
    *("search_leads", "stats", "undo_merge", "update_lead", "update_leads", "vacuum"),
)
"""Names of the operations of capture and the lead store; records logged by hand may use others."""


@overload
def operation_name(operation_type: str, entity: Any) -> str: ...


@overload
def operation_name(operation_type: None, entity: Any) -> None: ...


def operation_name(operation_type: str | None, entity: Any) -> str | None:
    """Return the name that readers use for an operation: `Class.operation`, unique across classes.

    The store's own calls name their subject already.

    >>> operation_name("update", "Deal"), operation_name("add_lead", "Lead")
    ('Deal.update', 'add_lead')

    Args:
        operation_type: the record's operation type.
        entity: the record's entity, the name of the mapped class; anything else counts as none.
    """
    if operation_type in STATEMENT_OPERATIONS and isinstance(entity, str):
        return f"{entity}.{operation_type}"
    return operation_type


class OperationDetails(TypedDict):
    """The operation and its outcome."""

    operation_type: ReadOnly[str]
    """add_lead, get_lead, update_lead, delete_lead, search_leads, …; create, read, update
    or delete for other mapped classes."""
    operation_id: ReadOnly[str]
    """Identifier that joins the operation to its error_log."""
    success: ReadOnly[bool | None]
    """Whether the call succeeded and the database kept its changes."""
    outcome: ReadOnly[Outcome | None]
    """The outcome in the database."""
    records_affected: ReadOnly[int | None]
    """Rows written or read."""
    execution_time_ms: ReadOnly[float | None]
    """Wall time of the call, milliseconds."""
    duplicate_detected: ReadOnly[bool | None]
    """Whether the store had the lead already."""
    error_message: ReadOnly[str | None]
    """Why it failed."""
    entity: ReadOnly[str | None]
    """Name of the mapped class."""
    bulk: ReadOnly[bool | None]
    """Whether one call touched many leads."""
    started_at: ReadOnly[str | None]
    """When the call began, in the format of `timestamp`."""
    transaction_id: ReadOnly[str | None]
    """The same for all operations of one database transaction."""
    statement: NotRequired[ReadOnly[str]]
    """The SQL that ran, with `?` for every value; present for calls that failed or were slow."""
    statement_fingerprint: NotRequired[ReadOnly[str]]
    """16 hex digits, the same for the same statement, whatever its values."""
    load: NotRequired[ReadOnly[Literal["lazy"]]]
    """`lazy` where SQLAlchemy read attributes that were not loaded yet. Without the option
    `internal`, one record stands for ten or more such reads of a class in one transaction."""
    records_cut: NotRequired[ReadOnly[int]]
    """Changes of this class and kind without a record of their own, because their transaction
    had too many."""
    schema: NotRequired[ReadOnly[str]]
    """Schema of the table, where the class or the statement names one."""
    database: NotRequired[ReadOnly[str]]
    """The database's name, if `capture` was given one."""


class LeadIdentifier(TypedDict):
    """The lead or leads concerned."""

    lead_id: ReadOnly[str | None]
    """The primary key as text; parts of a composite key joined by `,`, with a backslash in
    front of a comma or backslash inside one."""
    name: ReadOnly[str | None]
    """The person's full name."""
    company: ReadOnly[str | None]
    """The company's name."""
    email: ReadOnly[str | None]
    """The e-mail address."""
    previous_lead_id: NotRequired[ReadOnly[str]]
    """The primary key before the call, if the call changed it. `lead_id` is the new one, or null
    if only the database knows it."""
    lead_ids: NotRequired[ReadOnly[list[str]]]
    """The first keys, if the call concerned many leads."""
    lead_count: NotRequired[ReadOnly[int | None]]
    """Number of leads the call concerned."""


class DataDetails(TypedDict):
    """The data that was written."""

    fields_processed: ReadOnly[list[str] | None]
    """Names of the columns that the call was given or wrote."""
    fields_changed: ReadOnly[dict[str, Any] | None]
    """Column to `{"old": …, "new": …}`; an unknown value is left out. A column that is absent
    from a create was written as null."""
    change: NotRequired[ReadOnly[Literal["create", "update", "delete"]]]
    """Change to the one row that the record is about; absent if none or many were changed."""
    data_size_bytes: ReadOnly[int | None]
    """Size of the data as JSON, bytes."""
    duplicate_action: ReadOnly[str | None]
    """none, created, updated, merged or rejected."""
    duplicate_matched_on: ReadOnly[str | None]
    """The key that matched: id, linkedin_url, email or name_company; for a batch, only if all of
    its duplicates matched on the same key."""
    call_id: NotRequired[ReadOnly[str]]
    """The same for all batches of one add_leads call."""
    batch_number: NotRequired[ReadOnly[int]]
    """Number of the batch within the call, from 1."""
    leads_created: NotRequired[ReadOnly[int]]
    """New leads in the batch."""
    leads_updated: NotRequired[ReadOnly[int]]
    """Leads in the batch that the store had already."""
    leads_rejected: NotRequired[ReadOnly[int]]
    """Leads in the batch that could not be stored."""


class OperationMetrics(TypedDict):
    """The cost of the operation."""

    execution_time_ms: ReadOnly[float | None]
    """Wall time of the call, milliseconds."""
    database_queries: ReadOnly[int | None]
    """Statements sent to the database, excluding transaction control."""
    database_time_ms: ReadOnly[float | None]
    """Time inside the database driver, including transaction control, milliseconds."""
    memory_usage_mb: ReadOnly[float | None]
    """Resident set of the process at the last background sample, 10^6 bytes."""
    cpu_time_ms: ReadOnly[float | None]
    """CPU time of the calling thread, milliseconds."""


class OperationLabels(TypedDict):
    """Training labels of a database operation."""

    operation_successful: ReadOnly[bool | None]
    """Same as `operation_details.success`."""
    performance_tier: ReadOnly[Tier | None]
    """Tier of the wall time."""
    data_quality: ReadOnly[Literal["high", "medium", "low", "invalid"] | None]
    """Band of the lead's score; null if there is no lead to score."""
    data_quality_score: ReadOnly[float | None]
    """Score of the lead, 0..1; null if there is no lead to score."""
    data_quality_issues: ReadOnly[list[str] | None]
    """Codes of the problems that lowered the score."""
    complexity_level: ReadOnly[Literal["low", "medium", "high"] | None]
    """Complexity by kind of operation, raised by payload size or query count."""


class DatabaseOperation(WithContext):
    """One call on the lead store, or on another captured class."""

    log_type: ReadOnly[Literal["database_operation"]]
    """Kind of record."""
    operation_details: ReadOnly[OperationDetails]
    lead_identifier: ReadOnly[LeadIdentifier]
    data_details: ReadOnly[DataDetails]
    performance_metrics: ReadOnly[OperationMetrics]
    training_labels: ReadOnly[OperationLabels]

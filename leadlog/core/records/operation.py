"""database_operation: one call on the lead store."""

from typing import Any, Final, Literal, NotRequired, overload

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import Outcome, Tier, WithContext

STATEMENT_OPERATIONS: Final = ("create", "read", "update", "delete", "upsert")
"""Operation types that say nothing without the class."""

OPERATION_TYPES = (
    *STATEMENT_OPERATIONS,
    *("add_lead", "add_leads", "backup", "check", "delete_lead", "explain_quality"),
    *("find_all_duplicates", "find_duplicates", "get_all_leads", "get_lead", "get_linked_leads"),
    *("get_merges", "get_sync_pending_leads", "get_unlinked_leads", "mark_for_sync"),
    *("search_leads", "stats", "undo_merge", "update_lead", "update_leads", "vacuum"),
)
"""What capture and the lead store call their operations; a record by hand may have others."""


@overload
def operation_name(operation_type: str, entity: Any) -> str: ...


@overload
def operation_name(operation_type: None, entity: Any) -> None: ...


def operation_name(operation_type: str | None, entity: Any) -> str | None:
    """Return what readers call an operation: `Class.operation`, which distinguishes classes.

    The store's own calls name what they are about themselves.

    >>> operation_name("update", "Deal"), operation_name("add_lead", "Lead")
    ('Deal.update', 'add_lead')

    Args:
        operation_type: of the record.
        entity: of the record; the mapped class's name, or anything else for none.
    """
    if operation_type in STATEMENT_OPERATIONS and isinstance(entity, str):
        return f"{entity}.{operation_type}"
    return operation_type


class OperationDetails(TypedDict):
    """What was done to the database, and with which outcome."""

    operation_type: ReadOnly[str]
    """add_lead, get_lead, update_lead, delete_lead, search_leads, …; create, read, update
    or delete for other mapped classes."""
    operation_id: ReadOnly[str]
    """Joins the operation to its error_log."""
    success: ReadOnly[bool | None]
    """Whether the call did what it should and the database kept it."""
    outcome: ReadOnly[Outcome | None]
    """What the database did."""
    records_affected: ReadOnly[int | None]
    """Rows written, or rows read."""
    execution_time_ms: ReadOnly[float | None]
    """Wall time of the call, milliseconds."""
    duplicate_detected: ReadOnly[bool | None]
    """Whether the lead was there already."""
    error_message: ReadOnly[str | None]
    """Why it failed."""
    entity: ReadOnly[str | None]
    """Name of the mapped class."""
    bulk: ReadOnly[bool | None]
    """Whether one call touched many leads."""
    started_at: ReadOnly[str | None]
    """When the call began, as `timestamp`."""
    transaction_id: ReadOnly[str | None]
    """Same for all operations of one database transaction."""
    statement: NotRequired[ReadOnly[str]]
    """The SQL that ran, with `?` for every value, of calls that failed or took long."""
    statement_fingerprint: NotRequired[ReadOnly[str]]
    """16 hex digits, the same for the same statement, whatever its values."""
    load: NotRequired[ReadOnly[Literal["lazy"]]]
    """`lazy` where SQLAlchemy read for attributes that were not loaded yet. Without the option
    `internal`, one record stands for ten and more such reads of a class in one transaction."""
    records_cut: NotRequired[ReadOnly[int]]
    """Changes of this class and kind that have no record of their own, because their
    transaction had too many."""
    schema: NotRequired[ReadOnly[str]]
    """Schema of the table, where the class or the statement names one."""
    database: NotRequired[ReadOnly[str]]
    """The database's name, where `capture` was given one."""


class LeadIdentifier(TypedDict):
    """Which lead."""

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
    """The primary key before the call, where that changed it. `lead_id` is the new one, or null
    where only the database knows it."""
    lead_ids: NotRequired[ReadOnly[list[str]]]
    """The first keys, where the call was about many."""
    lead_count: NotRequired[ReadOnly[int | None]]
    """How many leads the call was about."""


class DataDetails(TypedDict):
    """What was written."""

    fields_processed: ReadOnly[list[str] | None]
    """Names of the columns that the call was given or wrote."""
    fields_changed: ReadOnly[dict[str, Any] | None]
    """Column to `{"old": …, "new": …}`; what is not known is left out of it. A column that is
    absent from a create was written as null."""
    change: NotRequired[ReadOnly[Literal["create", "update", "delete"]]]
    """The outcome for the one row that the record is about; absent where it changed none, or
    many."""
    data_size_bytes: ReadOnly[int | None]
    """Size of the data as JSON, bytes."""
    duplicate_action: ReadOnly[str | None]
    """none, created, updated, merged or rejected."""
    duplicate_matched_on: ReadOnly[str | None]
    """The key that matched: id, linkedin_url, email or name_company; of a batch, if all its
    duplicates matched on the same one."""
    call_id: NotRequired[ReadOnly[str]]
    """The same for all batches of one add_leads."""
    batch_number: NotRequired[ReadOnly[int]]
    """Which batch of the call, from 1."""
    leads_created: NotRequired[ReadOnly[int]]
    """Leads of the batch that are new."""
    leads_updated: NotRequired[ReadOnly[int]]
    """Leads of the batch that were there already."""
    leads_rejected: NotRequired[ReadOnly[int]]
    """Leads of the batch that could not be stored."""


class OperationMetrics(TypedDict):
    """What the operation cost."""

    execution_time_ms: ReadOnly[float | None]
    """Wall time of the call, milliseconds."""
    database_queries: ReadOnly[int | None]
    """Statements sent to the database, transaction control not counted."""
    database_time_ms: ReadOnly[float | None]
    """Time inside the database driver, transaction control included, milliseconds."""
    memory_usage_mb: ReadOnly[float | None]
    """Resident set of the process at the last background sample, 10^6 bytes."""
    cpu_time_ms: ReadOnly[float | None]
    """CPU time of the calling thread, milliseconds."""


class OperationLabels(TypedDict):
    """Training labels of a database operation."""

    operation_successful: ReadOnly[bool | None]
    """Same as `operation_details.success`."""
    performance_tier: ReadOnly[Tier | None]
    """Band of the wall time."""
    data_quality: ReadOnly[Literal["high", "medium", "low", "invalid"] | None]
    """Band of the lead's score; null where there is no lead to score."""
    data_quality_score: ReadOnly[float | None]
    """0..1; null where there is no lead to score."""
    data_quality_issues: ReadOnly[list[str] | None]
    """Codes that say why."""
    complexity_level: ReadOnly[Literal["low", "medium", "high"] | None]
    """By kind of operation, raised by payload size or query count."""


class DatabaseOperation(WithContext):
    """One call on the lead store, or on another captured class."""

    log_type: ReadOnly[Literal["database_operation"]]
    """Kind of record."""
    operation_details: ReadOnly[OperationDetails]
    lead_identifier: ReadOnly[LeadIdentifier]
    data_details: ReadOnly[DataDetails]
    performance_metrics: ReadOnly[OperationMetrics]
    training_labels: ReadOnly[OperationLabels]

"""error_log: one error, with its context."""

from typing import Any, Literal

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import RecordEnvelope


class ErrorDetails(TypedDict):
    """The error."""

    error_type: ReadOnly[str]
    """database_error, sync_error, migration_error, validation_error, performance_error, …"""
    error_id: ReadOnly[str]
    """Identifier of this occurrence."""
    error_message: ReadOnly[str | None]
    """The error's text, secrets masked."""
    error_code: ReadOnly[str | None]
    """sqlstate, HTTP status, errno name, …"""
    exception_class: ReadOnly[str | None]
    """Qualified name of the exception's class."""
    stack_trace: ReadOnly[str | None]
    """Traceback without local variables, secrets masked."""
    fingerprint: ReadOnly[str | None]
    """Same bug, same value; unaffected by line numbers."""
    severity: ReadOnly[str | None]
    """low, medium, high or critical; low for the user's errors unless the caller says otherwise."""


class ErrorContext(TypedDict):
    """The operation around the error, and values bound to the session.

    In addition to these keys, errors of captured operations have `called_from`: the file, line and
    function of the application's call.
    """

    operation_in_progress: ReadOnly[str | None]
    """The operation that failed."""
    operation_id: ReadOnly[str | None]
    """Joins the error to the operation's own record."""
    lead_data: ReadOnly[dict[str, Any] | None]
    """The lead that the operation was about."""
    system_state: ReadOnly[dict[str, Any] | None]
    """State of the system, as far as the caller knew it."""
    user_action: ReadOnly[str | None]
    """The action of the user."""
    environment: ReadOnly[str | None]
    """Name of the environment."""


class RecoveryInfo(TypedDict):
    """How the error was handled."""

    recovery_attempted: ReadOnly[bool | None]
    """Whether a recovery was tried."""
    recovery_successful: ReadOnly[bool | None]
    """Whether the recovery succeeded."""
    recovery_method: ReadOnly[str | None]
    """Name of the recovery that was attempted."""
    data_loss_occurred: ReadOnly[bool | None]
    """Whether data was lost."""


class ErrorLabels(TypedDict):
    """Training labels of an error."""

    error_severity: ReadOnly[str | None]
    """Same as `error_details.severity`."""
    recoverable: ReadOnly[bool | None]
    """Whether the recovery was successful."""
    user_error: ReadOnly[bool | None]
    """True for validation_error and input_error."""
    system_error: ReadOnly[bool | None]
    """True for database_error and sync_error."""


class ErrorLog(RecordEnvelope):
    """One error, with its context."""

    log_type: ReadOnly[Literal["error_log"]]
    """Kind of record."""
    error_details: ReadOnly[ErrorDetails]
    context: ReadOnly[ErrorContext]
    recovery_info: ReadOnly[RecoveryInfo]
    training_labels: ReadOnly[ErrorLabels]

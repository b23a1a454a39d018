"""Every exception that leadlog raises on purpose.

    LeadlogError
    ├── SettingsError (ValueError)       a setting is unknown or has a bad value
    ├── LogDirectoryError (OSError)      the log directory cannot be used
    ├── FakeAirtableError (ValueError)   the fake Airtable was set up or edited wrongly
    ├── MissingExtraError (ImportError)  a package of an extra is not installed
    ├── QueryError (ValueError)          an SQL text or a parameter is wrong
    ├── QueryLimitError                  a query exceeded its limit of time or memory
    ├── MigrationError                   a migration cannot be done or undone
    ├── ReadError                        a log or an input file cannot be read
    ├── ShippingError                    the log cannot be shipped to a destination
    ├── TrainingError (ValueError)       a data set or a model cannot be made, read or used
    ├── SyncError                        the Airtable sync stopped, or cannot begin
    │   ├── AirtableError                Airtable refused, or cannot be reached
    │   │   └── QuotaError               the monthly API calls of the workspace are used up
    │   └── SyncBusyError                another sync of the same store is under way
    └── StoreError                       the lead store refused
        ├── StaleLeadError               the lead was changed since it was read
        ├── UnknownFieldError (ValueError)
        └── ValidationError (ValueError)

Each message names the value and the remedy. Logging calls raise none of them into the
application; `configure`, the store and the command line do.
"""


class LeadlogError(Exception):
    """Root of all errors that leadlog raises on purpose."""


class SettingsError(LeadlogError, ValueError):
    """A setting is unknown, has a bad value, or contradicts another one."""


class LogDirectoryError(LeadlogError, OSError):
    """The log directory cannot be created, written or read."""


class FakeAirtableError(LeadlogError, ValueError):
    """The fake Airtable of `leadlog.testing` cannot be set up or edited as asked."""


class MissingExtraError(LeadlogError, ImportError):
    """A package of an extra is needed and not installed; the message says what to install."""


class QueryError(LeadlogError, ValueError):
    """A bad SQL text, a statement that queries may not run, or a bad parameter of a query."""


class QueryLimitError(LeadlogError):
    """A query exceeded its limit of time or memory."""


class MigrationError(LeadlogError):
    """A migration of files cannot be done, or cannot be undone."""


class ReadError(LeadlogError):
    """A log file or an input file cannot be read."""


class ShippingError(LeadlogError):
    """The log cannot be shipped to a destination."""


class TrainingError(LeadlogError, ValueError):
    """A data set or a model cannot be made, read or used as asked."""


class SyncError(LeadlogError):
    """The Airtable sync stopped, or cannot begin."""


class AirtableError(SyncError):
    """Airtable refused a call, or cannot be reached.

    Args:
        message: What happened, and the remedy.
        code: Airtable's name of the error; otherwise the HTTP status; None without a response.
        status: HTTP status; None without a response.
    """

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class QuotaError(AirtableError):
    """The monthly API calls of the Airtable workspace are used up."""


class SyncBusyError(SyncError):
    """Another sync of the same store is under way."""


class StoreError(LeadlogError):
    """The lead store cannot do what it was asked to."""


class StaleLeadError(StoreError):
    """A lead was changed by another process or session since it was read."""


class UnknownFieldError(StoreError, ValueError):
    """A field, operator or column name that the lead store does not have."""


class ValidationError(StoreError, ValueError):
    """A lead, or a value in it, that cannot be stored."""

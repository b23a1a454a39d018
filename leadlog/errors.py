"""Every exception that leadlog raises on purpose.

    LeadlogError
    ├── SettingsError (ValueError)       a setting is unknown or has a bad value
    ├── LogDirectoryError (OSError)      the log directory cannot be used
    ├── MissingExtraError (ImportError)  a package of an extra is not installed
    ├── QueryError (ValueError)          an SQL text or a parameter is wrong
    ├── QueryLimitError                  a query needed more time or memory than it may have
    ├── ReadError                        a log or an input file cannot be read
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


class MissingExtraError(LeadlogError, ImportError):
    """A package of an extra is needed and not installed; the message says what to install."""


class QueryError(LeadlogError, ValueError):
    """An SQL text that is wrong or wants what a query may not do, or a bad parameter of one."""


class QueryLimitError(LeadlogError):
    """A query needed more time or memory than it may have."""


class ReadError(LeadlogError):
    """A log file or an input file cannot be read."""


class StoreError(LeadlogError):
    """The lead store cannot do what was asked."""


class StaleLeadError(StoreError):
    """A lead was changed by somebody else since it was read."""


class UnknownFieldError(StoreError, ValueError):
    """A field, operator or column name that the lead store does not have."""


class ValidationError(StoreError, ValueError):
    """A lead, or a value in it, that cannot be stored."""

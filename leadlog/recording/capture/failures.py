"""What an operation raised, as facts.

The exception itself is not kept: its frames hold the application's objects, and a record may wait
for the end of a transaction.
"""

import attrs

from leadlog_processors.failure import describe

_SQLITE_DUPLICATES = (
    "SQLITE_CONSTRAINT_UNIQUE",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
    "SQLITE_CONSTRAINT_ROWID",
)
_USER_ERRORS: tuple[type[Exception], ...] = (ValueError, TypeError)


@attrs.frozen
class ErrorFacts:
    """An exception, rendered.

    Attributes:
        error_type: validation_error, database_error or internal_error.
        message: its text; its class where it has none.
        duplicate: whether the database refused a row because of another one with its key.
        details: `error_message`, `error_code`, `exception_class`, `stack_trace` and `fingerprint`.
    """

    error_type: str
    message: str
    duplicate: bool
    details: dict[str, str | None]


def error_facts(error: BaseException) -> ErrorFacts:
    """Return the facts of an exception; never raises because of its own code."""
    return ErrorFacts(error_type_of(error), _message(error), _is_duplicate(error), describe(error))


def error_type_of(error: BaseException) -> str:
    """Return validation_error, database_error or internal_error.

    Bad input is a validation_error, what the database refused a database_error.
    """
    for kind in type(error).__mro__:
        if kind.__module__.startswith("sqlalchemy.") or kind.__name__ == "StoreError":
            break
    else:
        return "validation_error" if isinstance(error, _USER_ERRORS) else "internal_error"
    return "validation_error" if isinstance(error, ValueError) else "database_error"


def _is_duplicate(error: BaseException) -> bool:
    driver = getattr(error, "orig", error)
    return (
        getattr(driver, "sqlstate", None) == "23505"
        or getattr(driver, "sqlite_errorname", None) in _SQLITE_DUPLICATES
    )


def _message(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return type(error).__name__

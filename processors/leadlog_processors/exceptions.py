"""Exceptions: functions that read a property of one, even if its own code raises.

>>> class_name(ValueError()), message_of(KeyError("name")), message_of(ValueError())
('ValueError', "'name'", '')
>>> error_code(FileNotFoundError(2, "no such file"))
'ENOENT'
"""

import errno
from collections.abc import Iterator
from typing import Any, Final

from leadlog_processors.quoted import is_of_a_database, without_quoted_values

MESSAGE_LIMIT: Final = 2_000
"""Maximum number of characters of a message."""
CHAIN_LIMIT: Final = 5
"""Maximum number of exceptions in a chain of causes."""


def read(value: object, name: str) -> Any:
    """Return an attribute; None if it does not exist or its code raises."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of a foreign exception may raise anything
        return None


def class_name(exc: BaseException) -> str:
    """Return the qualified name of an exception's class; without the module if built in."""
    kind = type(exc)
    module = kind.__module__
    if module == "builtins" or not isinstance(module, str):
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


def message_of(exc: BaseException) -> str:
    """Return the text of an exception, at most `MESSAGE_LIMIT` characters; "" if it has none.

    Values quoted in a database's error are left out.
    """
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return f"<unprintable {type(exc).__qualname__}>"
    if len(text) > MESSAGE_LIMIT:
        text = text[: MESSAGE_LIMIT - 1] + "…"
    return without_quoted_values(text) if is_of_a_database(exc) else text


def caused_by(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its explicit causes, up to `CHAIN_LIMIT`.

    The cause of a group without one of its own is the first exception inside it.
    """
    error: BaseException | None = exc
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(seen) < CHAIN_LIMIT:
        yield error
        seen.add(id(error))
        before = error.__cause__
        if before is None and isinstance(error, BaseExceptionGroup):
            before = error.exceptions[0]
        error = before


def _code_of(error: object) -> str | None:
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        value = read(error, name)
        if isinstance(value, str) and value:
            return value
    response = read(error, "response")
    for holder, name in ((response, "status_code"), (response, "status"), (error, "status_code")):
        value = read(holder, name)
        if isinstance(value, int) and 100 <= value <= 599:
            return str(int(value))
    # urllib's HTTPError and aiohttp's ClientResponseError; a bare `code` may be anything.
    if read(error, "headers") is not None:
        for name in ("code", "status"):
            value = read(error, name)
            if isinstance(value, int) and 100 <= value <= 599:
                return str(int(value))
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number) if isinstance(number, int) else None


def error_code(exc: BaseException) -> str | None:
    """Return the error code of an exception, or None.

    The exception, the driver's exception that it wraps (`orig`) and its explicit causes are
    searched for an attribute with a code: a SQLSTATE ("23505"), SQLite's name
    ("SQLITE_CONSTRAINT_UNIQUE"), an HTTP status ("422") or the name of an errno ("ENOSPC").
    """
    for error in caused_by(exc):
        for holder in (error, read(error, "orig")):
            code = None if holder is None else _code_of(holder)
            if code is not None:
                return code
    return None

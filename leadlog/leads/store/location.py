"""The location of a lead store: paths and URLs, and the databases it supports."""

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from leadlog.core.errors import StoreError
from leadlog_processors.masking import mask_url

__all__ = ["in_memory", "location", "make_folder", "masked"]

_DRIVERS = frozenset({"sqlite", "sqlite+pysqlite", "postgresql+psycopg"})
_ASYNCHRONOUS = frozenset({"sqlite+aiosqlite", "postgresql+psycopg"})


def location(database: str | os.PathLike[str] | URL, *, asynchronous: bool = False) -> URL:
    """Return the URL of a database given as a path, a URL or `:memory:`.

    A relative path is made absolute, so that a later change of directory does not matter.

    Args:
        database: The path, URL or `:memory:`.
        asynchronous: Whether the URL must name a driver for asyncio.

    Raises:
        StoreError: The URL cannot be parsed, or is of an unsupported database.
    """
    if isinstance(database, str) and "://" in database:
        # Some hosting services still use this scheme, which SQLAlchemy no longer supports.
        if database.startswith("postgres://"):
            database = f"postgresql{database.removeprefix('postgres')}"
        try:
            url = make_url(database)
        except (ArgumentError, ValueError):
            raise StoreError(
                "the database URL cannot be read; write it like sqlite:///leads.db or "
                "postgresql+psycopg://user:password@host/name, with special characters "
                "percent-encoded"
            ) from None  # the cause would quote the password
    elif isinstance(database, URL):
        url = database
    else:
        try:
            path = str(Path(database)) if database else ""
        except TypeError:
            path = ""
        if not path:
            raise StoreError(
                f"{database!r} is not a database; give a path such as leads.db, or a URL"
            )
        url = URL.create("sqlite", database=None if path == ":memory:" else path)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if asynchronous and url.drivername == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")
    if url.drivername not in (_ASYNCHRONOUS if asynchronous else _DRIVERS):
        other = "LeadDatabase" if asynchronous else "AsyncLeadDatabase"
        hint = f" (that is one for {other})" if url.drivername in _DRIVERS | _ASYNCHRONOUS else ""
        raise StoreError(
            f"the lead store does not run on {url.drivername!r}{hint}; it runs on SQLite "
            "(sqlite:///leads.db) and PostgreSQL (postgresql+psycopg://user@host/name)"
        )
    if url.get_backend_name() == "sqlite" and not in_memory(url) and "uri" not in url.query:
        url = url.set(database=str(Path(str(url.database)).expanduser().absolute()))
    return masked(url)


class _MaskedURL(URL):
    """A URL whose text masks secrets in its query as well as the password."""

    def render_as_string(self, hide_password: bool = True) -> str:
        text = super().render_as_string(hide_password)
        return mask_url(text) if hide_password else text

    def __str__(self) -> str:
        return self.render_as_string()

    def __repr__(self) -> str:
        return self.render_as_string()


def masked(url: URL) -> URL:
    """Return the same URL with secrets in its query masked in its text as well."""
    return _MaskedURL._make(url)


def in_memory(url: URL) -> bool:
    """Return whether a SQLite database is in memory only."""
    name = url.database or ""
    return name in {"", ":memory:"} or "mode=memory" in name or url.query.get("mode") == "memory"


def make_folder(url: URL) -> None:
    """Create the folder of a SQLite file.

    Raises:
        StoreError: It cannot be created.
    """
    if in_memory(url) or "uri" in url.query:
        return
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the directory {folder} for the lead store cannot be created ({error.strerror}); "
            "create it, or give another path"
        ) from error

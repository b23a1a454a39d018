"""`LeadDatabase`: the lead store, on SQLite or PostgreSQL."""

import os
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from sqlalchemy import URL
from sqlalchemy.orm import Session

from leadlog.core import settings
from leadlog.core.clock import now_us
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.figures import Figures
from leadlog.leads.store.location import location
from leadlog.leads.store.models import Lead
from leadlog.leads.store.schema import prepare
from leadlog.leads.store.writes import LeadWrites
from leadlog.recording.capture.targets import Handle, attach
from leadlog.recording.resources import watch_store

__all__ = ["LeadDatabase"]


def _finish(connections: Connections, handle: Handle | None) -> None:
    connections.abandon()
    if handle is not None:
        handle.release()


class LeadDatabase(LeadWrites):
    """The lead store: leads as dictionaries in a database of your choice, every call recorded.

    Leads are given and taken as dictionaries. Common column names (`name`, `Job Title`, `Email 1`,
    First Name and Last Name …) find their field, unknown ones are kept in `raw_data`; what comes
    out has the fields of `leadlog.leads.store.models.Lead`, with the name as both `name` and
    `full_name`, and times as aware datetimes in UTC. Database errors are raised as SQLAlchemy has
    them.

    One object may be used by any number of threads. It is a context manager.

        >>> with LeadDatabase(":memory:") as db:
        ...     lead_id = db.add_lead({"name": "Ada Lovelace", "company": "Analytical Ltd"})
        ...     db.add_lead(
        ...         {
        ...             "First Name": "ADA",
        ...             "Last Name": "Lovelace",
        ...             "Company": "Analytical",
        ...             "Email": "ada@example.com",
        ...         }
        ...     ) == lead_id
        ...     db.get_lead(lead_id)["email"]
        True
        'ada@example.com'

    Args:
        database: A path, a URL such as `sqlite:///leads.db` or
            `postgresql+psycopg://user:password@host/name`, or `:memory:`; by default the setting
            `database`. Directories of a path are created.
        capture: Whether calls are recorded.
        clock: Gives the present time, microseconds since 1970.

    Attributes:
        figures: What background samples tell of it.

    Raises:
        StoreError: The database cannot be opened, or the store does not run on it.
    """

    def __init__(
        self,
        database: str | os.PathLike[str] | URL | None = None,
        *,
        capture: bool = True,
        clock: Callable[[], int] = now_us,
    ) -> None:
        if database is None:
            database = settings.load().settings.database
        self._open(Connections(location(database)), capture, clock)

    @classmethod
    def over(cls, connections: Connections, capture: bool, clock: Callable[[], int]) -> Self:
        """Return a store on connections that are made already, as `AsyncLeadDatabase` needs it."""
        store = cls.__new__(cls)
        store._open(connections, capture, clock)
        return store

    def _open(self, connections: Connections, capture: bool, clock: Callable[[], int]) -> None:
        try:
            prepare(connections)
        except BaseException:
            connections.close()
            raise
        handle = attach(connections.engine, Lead) if capture else None
        self.figures = Figures(connections)
        watch_store(self.figures)
        # Closes what a caller left open, so that SQLite can tidy its files up.
        self._finish = weakref.finalize(self, _finish, connections, handle)
        super().__init__(connections, handle, clock)

    @property
    def url(self) -> URL:
        """Where the database is; its text and `repr` hide the password."""
        return self._connections.url

    @property
    def connections(self) -> Connections:
        """The open database itself, for the parts of leadlog that work on it."""
        return self._connections

    def __repr__(self) -> str:
        return f"<LeadDatabase {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a second call does nothing."""
        self._connections.close()
        self._finish()

    def session(self, *, read_only: bool = False) -> AbstractContextManager[Session]:
        """Lend a SQLAlchemy Session; commit it at the end of the `with`, or roll back on error.

        On SQLite it is the one write transaction of the moment, so keep it short, and use it
        alone: a method of this object that writes would wait for it. Leads that are written
        through it get their duplicate keys with their next `update_lead` or `add_lead` only.

        Args:
            read_only: The database refuses writes, and nobody is kept from writing.
        """
        return self._connections.session(read_only=read_only)

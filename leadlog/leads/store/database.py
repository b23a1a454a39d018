"""`LeadDatabase`: the lead store, on SQLite or PostgreSQL."""

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from sqlalchemy import URL
from sqlalchemy.orm import Session

from leadlog.core import settings
from leadlog.core.clock import now_us
from leadlog.leads.store.backups import Backup
from leadlog.leads.store.engine import Connections, OpenStore
from leadlog.leads.store.intake import AddOutcome, AddResult, Candidate, Report, Within
from leadlog.leads.store.location import location
from leadlog.leads.store.maintenance import Finding, LeadMaintenance
from leadlog.leads.store.merges import Undone
from leadlog.leads.store.models import Lead
from leadlog.leads.store.quality import QualityReport
from leadlog.leads.store.queries import LeadQueries
from leadlog.leads.store.reports import StoreFigures
from leadlog.leads.store.schema import prepare
from leadlog.leads.store.search import LeadPage
from leadlog.leads.store.similarity import DuplicatePair
from leadlog.leads.store.writes import LeadWrites
from leadlog.recording.capture.targets import Handle, attach
from leadlog.recording.resources import watch_store

__all__ = ["LeadDatabase"]


def _finish(connections: Connections, handle: Handle | None) -> None:
    connections.abandon()
    if handle is not None:
        handle.release()


class LeadDatabase:
    """The lead store: leads as dictionaries in a database of your choice, every call recorded.

    Leads are passed in and returned as dictionaries. Common column names (`name`, `Job Title`,
    `Email 1`, First Name and Last Name …) are mapped to their field, unknown ones are kept in
    `raw_data`. Returned leads have the fields of `leadlog.leads.store.models.Lead`, with the name
    as both `name` and `full_name`, and times as aware datetimes in UTC. Database errors are raised
    unchanged, as SQLAlchemy's exceptions.

    It is a context manager, and any number of threads may share one object.

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
        clock: Returns the current time in microseconds since 1970.

    Attributes:
        figures: Samples of the store taken in the background.
        opened: The open database, for the parts of leadlog that work on it.

    Raises:
        StoreError: The database cannot be opened or is of an unsupported kind.
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
        """Return a store that uses existing connections, for `AsyncLeadDatabase`."""
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
        self.figures = StoreFigures(connections)
        watch_store(self.figures)
        # Closes a store that the caller left open, so that SQLite can remove its side files.
        self._finish = weakref.finalize(self, _finish, connections, handle)
        self.opened = opened = OpenStore(connections, handle, clock)
        self._queries = LeadQueries(opened)
        self._writes = LeadWrites(opened)
        self._maintenance = LeadMaintenance(opened, self._queries)

    @property
    def url(self) -> URL:
        """URL of the database; its `str` and `repr` mask the password."""
        return self.opened.connections.url

    @property
    def connections(self) -> Connections:
        """The connections of the open database, for the parts of leadlog that work on it."""
        return self.opened.connections

    def __repr__(self) -> str:
        return f"<LeadDatabase {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a second call does nothing."""
        self.opened.connections.close()
        self._finish()

    def session(self, *, read_only: bool = False) -> AbstractContextManager[Session]:
        """Lend a SQLAlchemy Session; commit at the end of the `with`, or roll back on an error.

        On SQLite it is the only write transaction while it is open: keep it short, and call no
        writing method of this object inside it, which would wait for it. Leads written through
        the session get their duplicate keys only with their next `update_lead` or `add_lead`.

        Args:
            read_only: Whether the database refuses writes; such a session blocks no writer.
        """
        return self.opened.connections.session(read_only=read_only)

    # ------------------------------------------------------------------------------ queries

    def get_lead(self, lead_id: str) -> dict[str, Any] | None:
        """Return a lead, or None if there is none with this id."""
        return self._queries.get_lead(lead_id)

    def search_leads(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int | None = 100,
        offset: int = 0,
        order_by: str | Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the leads that pass all filters.

            >>> from leadlog.leads.store import LeadDatabase
            >>> with LeadDatabase(":memory:", capture=False) as db:
            ...     _ = db.add_leads([{"name": "Ada", "company": "Acme"}, {"name": "Bob"}])
            ...     found = db.search_leads({"company": {"starts_with": "ac"}}, order_by="-name")
            ...     [lead["name"] for lead in found]
            ['Ada']

        Args:
            filters: Value by field, or operators by field: `eq`, `ne`, `in` (a list), `is_null`
                (True or False), `lt`, `lte`, `gt`, `gte`, and `contains` and `starts_with`, which
                ignore the case of A to Z. None is a blank value: it equals itself, and is neither
                less nor greater than any other value. Text compares by code point.
            limit: Maximum number of leads to return; None for all.
            offset: Number of leads to skip first.
            order_by: One or several fields, with a leading `-` for descending; blank values sort
                last. By default the oldest leads come first. Ties are sorted by id.

        Raises:
            UnknownFieldError: There is no such field or operator; names the closest one.
            ValidationError: A value does not suit the field or the operator.
        """
        return self._queries.search_leads(filters, limit=limit, offset=offset, order_by=order_by)

    def search_page(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        order_by: str | Sequence[str] | None = None,
        after: str | None = None,
    ) -> LeadPage:
        """Return one page of the leads that pass all filters, with a cursor for the next page.

        Every page costs the same; with `offset`, each further page costs more.

            >>> from leadlog.leads.store import LeadDatabase
            >>> with LeadDatabase(":memory:", capture=False) as db:
            ...     _ = db.add_leads({"name": name} for name in ("Ada", "Bob", "Carl"))
            ...     first = db.search_page(order_by="name", limit=2)
            ...     second = db.search_page(order_by="name", limit=2, after=first.next)
            ...     [lead["name"] for lead in first.leads + second.leads], second.next
            (['Ada', 'Bob', 'Carl'], None)

        Args:
            filters: As for `search_leads`.
            limit: Maximum number of leads on the page, at least 1.
            order_by: As for `search_leads`, but ties are sorted by id in the direction of the
                last field.
            after: The `next` of the previous page; None for the first page.

        Raises:
            UnknownFieldError: There is no such field or operator; names the closest one.
            ValidationError: A value does not suit, or the cursor belongs to another search.
        """
        return self._queries.search_page(filters, limit=limit, order_by=order_by, after=after)

    def get_all_leads(self, page_size: int = 500) -> Iterator[dict[str, Any]]:
        """Iterate over all leads in order of id.

        No connection and no lock is held between two pages, so leads may change during the
        iteration; each lead that exists throughout is yielded exactly once.

        Args:
            page_size: Number of leads read and held in memory at a time.

        Raises:
            ValidationError: `page_size` is not a number of at least 1.
        """
        return self._queries.get_all_leads(page_size)

    def find_duplicates(
        self, lead: Mapping[Any, Any], *, min_score: float | None = 0.85, limit: int = 20
    ) -> list[dict[str, Any]]:
        """Return the leads that may be the same person as a lead, closest first.

        Leads that share a key with it come first, followed by similar leads as suggestions
        (`leadlog.leads.store.similarity`): nothing is ever merged by similarity.

        Args:
            lead: A lead as for `add_lead`, or as returned by the store; it never matches itself.
            min_score: Lowest score of a suggestion, 0 to 1; None for no suggestions.
            limit: Maximum number of leads to return.

        Returns:
            The leads, each with `matched_on` (`linkedin_url`, `email` or `name_company`; None for
            a suggestion), `would_merge` (whether `add_lead` would update it), `score` (0 to 1)
            and `reason`.

        Raises:
            ValidationError: The lead is not a mapping or has a value that cannot be stored, or
                `min_score` is not between 0 and 1.
        """
        return self._queries.find_duplicates(lead, min_score=min_score, limit=limit)

    def find_all_duplicates(self, min_score: float = 0.85) -> Iterator[DuplicatePair]:
        """Iterate over pairs of leads that may be the same person, each pair once.

        All leads are read; a pair that is not among the nearest neighbours by company, by name or
        by e-mail address is not found. The iterator holds a connection, so exhaust or close it;
        an in-memory store can do nothing else before that.

        Args:
            min_score: Lowest score, 0 to 1.

        Raises:
            ValidationError: `min_score` is not between 0 and 1.
        """
        return self._queries.find_all_duplicates(min_score)

    def get_merges(self, lead_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the merge log: the values that duplicates overwrote, newest merge first.

        Args:
            lead_id: Id of the lead that was overwritten; None for all leads.
            limit: Maximum number of merges to return.

        Returns:
            One dictionary per merge: `merge_id`, `lead_id`, `merged_at`, `matched_on`,
            `old_values` and `new_values` (by field; for `raw_data` by column), `session_id` (of
            the logging session) and `undone_at`.
        """
        return self._queries.get_merges(lead_id, limit)

    def get_sync_pending_leads(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the leads that wait to be synchronised, least recently changed first.

        Args:
            limit: Maximum number of leads to return; None for all.
        """
        return self._queries.get_sync_pending_leads(limit)

    def stats(self) -> dict[str, Any]:
        """Return counts and the size of the store.

        Returns:
            A dictionary of `total_leads`, `pending_syncs`, `enriched_leads`, `verified_leads`,
            `leads_added_today` (since midnight UTC), `last_updated_at` (None without leads) and
            `database_size_mb` (10^6 bytes; of the whole database).
        """
        return self._queries.stats()

    # ------------------------------------------------------------------------------- changes

    def add_lead(self, lead: Mapping[Any, Any]) -> str:
        """Add a lead, or update the stored lead of the same person.

        `leadlog.leads.store.duplicates` defines who is the same person. A duplicate only
        contributes new values: its blank values erase nothing, and `id`, `created_at` and values
        that differ only in spelling stay. Where an e-mail address or a company matches but the
        name or the LinkedIn profile belongs to another person, a second lead is created;
        `find_duplicates` finds both.

        Args:
            lead: Values by column name; a name is required. An `id` becomes the lead's id, unless
                another person already has it: then it is kept in `raw_data`.

        Returns:
            The id of the new or the updated lead.

        Raises:
            ValidationError: The lead has no name or has a value that cannot be stored.
        """
        return self._writes.add_lead(lead)

    def add_leads(
        self,
        leads: Iterable[Mapping[Any, Any]],
        batch_size: int = 500,
        *,
        report: Report | None = None,
    ) -> AddResult:
        """Add any number of leads as `add_lead` does, many in one transaction.

        A lead that cannot be stored is rejected with a reason; the others are still added. A
        database error ends the call, but earlier batches stay committed, and adding the same
        leads again adds only the rest. Each batch is one record in the log, with the counts of
        created, updated and rejected leads; the records of one call share a `call_id`.

        Args:
            leads: Any iterable of leads; at most one batch is held in memory.
            batch_size: Maximum number of leads per transaction.
            report: Called with the position of each lead, from 0, and its `AddOutcome`, once its
                batch is committed. The result then holds counts only, so memory use does not grow
                with the number of leads.

        Raises:
            ValidationError: `leads` is not an iterable of leads, or `batch_size` is invalid.
        """
        return self._writes.add_leads(leads, batch_size, report=report)

    def add_batch(
        self,
        candidates: Sequence[Candidate],
        *,
        call_id: str,
        number: int,
        within: Within | None = None,
    ) -> list[AddOutcome]:
        """Add one batch of leads, validated by the caller, in one transaction.

        Args:
            candidates: The leads, as returned by `leadlog.leads.store.intake.sorted_out`.
            call_id: Id in the log that all batches of one call share.
            number: Number of the batch in the call, from 1.
            within: Called with the session and the outcomes before the commit, so that its writes
                are committed with the leads or not at all. Called again if the transaction is
                retried.

        Returns:
            One outcome for each candidate, in the same order.
        """
        return self._writes.add_batch(candidates, call_id=call_id, number=number, within=within)

    def update_lead(self, lead_id: str, changes: Mapping[Any, Any]) -> bool:
        """Change some fields of a lead.

        Args:
            lead_id: Id of the lead.
            changes: New values by column name. A blank value erases the old one. Unknown columns
                are added to `raw_data`, with a warning if the name resembles that of a field;
                `raw_data` itself is replaced. Unchanged values are allowed, so a whole lead can be
                passed back. A `row_version` among them makes the update conditional on that
                version (optimistic locking), so that no concurrent change is overwritten.

        Returns:
            Whether there is such a lead.

        Raises:
            StaleLeadError: The lead now has another `row_version`; nothing was changed.
            ValidationError: `id`, `created_at` or `updated_at` would change, the name would be
                erased, or a value cannot be stored.
        """
        return self._writes.update_lead(lead_id, changes)

    def delete_lead(self, lead_id: str) -> bool:
        """Delete a lead; return whether there was one with this id.

        If it is linked to a row in Airtable, a tombstone stays until that row is deleted.
        """
        return self._writes.delete_lead(lead_id)

    def undo_merge(self, which: int | str) -> Undone | None:
        """Restore the values that a duplicate overwrote; see `get_merges`.

        Args:
            which: The `merge_id` of a merge, or the id of a lead to undo its last merge that was
                not yet undone.

        Returns:
            The restored and the kept fields; None if there is no such merge or lead, or nothing
            left to undo.
        """
        return self._writes.undo_merge(which)

    def mark_for_sync(self, ids: Iterable[str] | None = None) -> int:
        """Mark leads as waiting to be synchronised, without changing their time or version.

        Args:
            ids: Ids of the leads; None for all. Unknown ids are ignored.

        Returns:
            The number of leads newly marked; leads that were already waiting are not counted.
        """
        return self._writes.mark_for_sync(ids)

    # --------------------------------------------------------------------------- maintenance

    def backup(self, target: str | os.PathLike[str], *, keep: int | None = None) -> Backup:
        """Back up the store while it is in use, and verify the backup by reading it back.

        SQLite is copied in one snapshot and checked; PostgreSQL is dumped by `pg_dump`.

        Args:
            target: A file to create (with a suffix such as `.db`), or a directory for a file
                named after the current time.
            keep: Number of backups named after their time to keep in the directory; older ones
                are removed once this one is verified. None keeps all.

        Raises:
            StoreError: The backup could not be made or read back, or `pg_dump` is not installed.
        """
        return self._maintenance.backup(target, keep=keep)

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Check the integrity of the store, and return the problems found.

        Args:
            repair: Whether to remove keys without a lead and add missing ones first; the problems
                returned are those that remain.
        """
        return self._maintenance.check(repair=repair)

    def vacuum(self) -> dict[str, Any]:
        """Reclaim unused space and refresh the planner's statistics, while the store is in use.

        Returns:
            A dictionary of `bytes_before` and `bytes_after`, the sizes of the database.
        """
        return self._maintenance.vacuum()

    def explain_quality(self, *, worst: int = 10, page_size: int = 500) -> QualityReport:
        """Score the data quality of every lead, field by field.

        Args:
            worst: Number of lowest-scoring leads to list.
            page_size: Number of leads read and held in memory at a time.

        Returns:
            Tiers, the distribution of scores, per field how often it scored and why not, and the
            worst leads. Scores are those of the log's training labels; the findings of
            email-validator and phonenumbers, where they are installed, are listed separately.
        """
        return self._maintenance.explain_quality(worst=worst, page_size=page_size)

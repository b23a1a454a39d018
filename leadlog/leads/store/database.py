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
        figures: Its background samples.
        opened: The open database, for the parts of leadlog that work on it.

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
        self.figures = StoreFigures(connections)
        watch_store(self.figures)
        # Closes what a caller left open, so that SQLite can tidy its files up.
        self._finish = weakref.finalize(self, _finish, connections, handle)
        self.opened = opened = OpenStore(connections, handle, clock)
        self._queries = LeadQueries(opened)
        self._writes = LeadWrites(opened)
        self._maintenance = LeadMaintenance(opened, self._queries)

    @property
    def url(self) -> URL:
        """Where the database is; its text and `repr` hide the password."""
        return self.opened.connections.url

    @property
    def connections(self) -> Connections:
        """The open database itself, for the parts of leadlog that work on it."""
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
        """Lend a SQLAlchemy Session; commit it at the end of the `with`, or roll back on error.

        On SQLite it is the one write transaction of the moment, so keep it short, and use it
        alone: a method of this object that writes would wait for it. Leads that are written
        through it get their duplicate keys with their next `update_lead` or `add_lead` only.

        Args:
            read_only: The database refuses writes, and nobody is kept from writing.
        """
        return self.opened.connections.session(read_only=read_only)

    # ---------------------------------------------------------------------------- questions

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
                disregard the case of A to Z. None is a blank value: it equals itself, and is
                neither less nor greater than any. Text compares by code point.
            limit: Most leads to return; None for all.
            offset: How many to skip first.
            order_by: A field or several, `-` in front for descending; blank values come last.
                By default the oldest come first. What is equal comes in order of id.

        Raises:
            UnknownFieldError: A field or an operator that there is not; names the closest one.
            ValidationError: A value that the field or the operator cannot have.
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
        """Return one page of the leads that pass all filters, and where the next one begins.

        Each page costs the same, however far it is; an `offset` costs more with each page.

            >>> from leadlog.leads.store import LeadDatabase
            >>> with LeadDatabase(":memory:", capture=False) as db:
            ...     _ = db.add_leads({"name": name} for name in ("Ada", "Bob", "Carl"))
            ...     first = db.search_page(order_by="name", limit=2)
            ...     second = db.search_page(order_by="name", limit=2, after=first.next)
            ...     [lead["name"] for lead in first.leads + second.leads], second.next
            (['Ada', 'Bob', 'Carl'], None)

        Args:
            filters: As for `search_leads`.
            limit: Most leads of the page, from 1 on.
            order_by: As for `search_leads`, but what is equal comes in order of id in the
                direction of the last field.
            after: The `next` of the page before; None for the first page.

        Raises:
            UnknownFieldError: A field or an operator that there is not; names the closest one.
            ValidationError: A value that does not suit, or a cursor of another search.
        """
        return self._queries.search_page(filters, limit=limit, order_by=order_by, after=after)

    def get_all_leads(self, page_size: int = 500) -> Iterator[dict[str, Any]]:
        """Iterate over all leads in order of id.

        Between two pages no connection and no lock is held, so leads may be changed meanwhile:
        each that is there all the time comes once.

        Args:
            page_size: How many leads are read, and held, at a time.

        Raises:
            ValidationError: `page_size` is not a number from 1 on.
        """
        return self._queries.get_all_leads(page_size)

    def find_duplicates(
        self, lead: Mapping[Any, Any], *, min_score: float | None = 0.85, limit: int = 20
    ) -> list[dict[str, Any]]:
        """Return the leads that may be the same person as a lead, closest first.

        First those that share a key with it, then those that are only much like it
        (`leadlog.leads.store.similarity`), as suggestions: nothing is ever merged by similarity.

        Args:
            lead: A lead as for `add_lead`, or as the store gave it; it is never found itself.
            min_score: Lowest score of a suggestion, 0 to 1; None for no suggestions.
            limit: Most leads to return.

        Returns:
            The leads, each with `matched_on` (`linkedin_url`, `email` or `name_company`; None for
            a suggestion), `would_merge`: whether `add_lead` would update this one, `score` (0 to
            1) and `reason`.

        Raises:
            ValidationError: The lead is not a mapping, or has a value that cannot be stored, or
                `min_score` is not a share.
        """
        return self._queries.find_duplicates(lead, min_score=min_score, limit=limit)

    def find_all_duplicates(self, min_score: float = 0.85) -> Iterator[DuplicatePair]:
        """Iterate over pairs of leads that may be the same person, each pair once.

        The whole store is walked; a pair that is not among the nearest neighbours by company, by
        name or by e-mail address is not found. Meanwhile a connection is in use, so exhaust or
        close the iterator; an in-memory store cannot do anything else until then.

        Args:
            min_score: Lowest score, 0 to 1.

        Raises:
            ValidationError: `min_score` is not a share.
        """
        return self._queries.find_all_duplicates(min_score)

    def get_merges(self, lead_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return what duplicates overwrote, newest first.

        Args:
            lead_id: In which lead; None for any.
            limit: Most merges to return.

        Returns:
            `merge_id`, `lead_id`, `merged_at`, `matched_on`, `old_values` and `new_values` (by
            field; of `raw_data` by column), `session_id` of the log, and `undone_at`.
        """
        return self._queries.get_merges(lead_id, limit)

    def get_sync_pending_leads(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the leads that wait to be synchronised, those changed longest ago first.

        Args:
            limit: Most leads to return; None for all.
        """
        return self._queries.get_sync_pending_leads(limit)

    def stats(self) -> dict[str, Any]:
        """Return the numbers of the store.

        Returns:
            `total_leads`, `pending_syncs`, `enriched_leads`, `verified_leads`,
            `leads_added_today` (since midnight UTC), `last_updated_at` (None without leads) and
            `database_size_mb` (10^6 bytes; of the whole database).
        """
        return self._queries.stats()

    # ------------------------------------------------------------------------------- changes

    def add_lead(self, lead: Mapping[Any, Any]) -> str:
        """Add a lead, or update the one that is there already.

        `leadlog.leads.store.duplicates` tells who is the same person. A duplicate changes what it
        has anew: its blank values erase nothing, `id` and `created_at` stay, and so do values that
        it only spells differently. Where an e-mail address or a company is the same but the name
        or the LinkedIn profile says that it is somebody else, a second lead is created;
        `find_duplicates` finds both.

        Args:
            lead: Values by column name; a name is needed. An `id` becomes the lead's id, unless
                another person has it: then it is kept in `raw_data`.

        Returns:
            The id of the new or the updated lead.

        Raises:
            ValidationError: The lead has no name, or a value that cannot be stored.
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

        A lead that cannot be stored is rejected with the reason, and the others go on. A database
        error ends the call; the batches before stay, and adding the same leads again only
        completes them. Each batch is one record in the log, which counts its created, updated and
        rejected leads; the records of one call share a `call_id`.

        Args:
            leads: The leads, from any iterable; at most one batch of them is held.
            batch_size: Most leads of one transaction.
            report: Called with the place of each lead, from 0, and its `AddOutcome`, once its
                batch is committed. The result then only counts, so that memory stays the same
                however many leads there are.

        Raises:
            ValidationError: `leads` is not an iterable of leads, or `batch_size` not a number.
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
        """Add one batch of leads in one transaction; for those that read and check them themselves.

        Args:
            candidates: The leads, as `leadlog.leads.store.intake.sorted_out` gives them.
            call_id: The same for all batches of one call, in the log.
            number: Which batch of the call, from 1.
            within: Called with the session and the outcomes before they are committed, so that
                what it writes is committed with the leads, or not at all; again where the
                transaction is done again.

        Returns:
            One outcome for each.
        """
        return self._writes.add_batch(candidates, call_id=call_id, number=number, within=within)

    def update_lead(self, lead_id: str, changes: Mapping[Any, Any]) -> bool:
        """Change some fields of a lead.

        Args:
            lead_id: Which lead.
            changes: New values by column name. A blank value erases the old one. Unknown columns
                are added to `raw_data`, with a warning where the name is nearly that of a field;
                `raw_data` itself is replaced. Values that the lead has already may be among them,
                so a whole lead can be given back. With a `row_version` among them, they are changes
                to that version only: nobody else's change is overwritten unseen.

        Returns:
            Whether there is such a lead.

        Raises:
            StaleLeadError: The lead has another `row_version` by now; nothing was changed.
            ValidationError: `id`, `created_at` or `updated_at` would change, the name would be
                erased, or a value cannot be stored.
        """
        return self._writes.update_lead(lead_id, changes)

    def delete_lead(self, lead_id: str) -> bool:
        """Delete a lead; return whether there was one with this id.

        Where it is linked with a row in Airtable, a tombstone stays until that row is deleted.
        """
        return self._writes.delete_lead(lead_id)

    def undo_merge(self, which: int | str) -> Undone | None:
        """Restore what a duplicate overwrote; see `get_merges`.

        Args:
            which: The `merge_id` of a merge, or the id of a lead for its last merge that is not
                undone.

        Returns:
            What was done; None if there is no such merge or lead, or nothing left to undo.
        """
        return self._writes.undo_merge(which)

    def mark_for_sync(self, ids: Iterable[str] | None = None) -> int:
        """Mark leads as waiting to be synchronised; it changes neither their time nor version.

        Args:
            ids: Which leads; None for all. Ids that no lead has are passed over.

        Returns:
            How many leads were marked; those that waited already are not counted.
        """
        return self._writes.mark_for_sync(ids)

    # --------------------------------------------------------------------------- maintenance

    def backup(self, target: str | os.PathLike[str], *, keep: int | None = None) -> Backup:
        """Back the store up while it is in use, and read the backup back.

        SQLite is copied in one snapshot and checked; PostgreSQL is dumped by `pg_dump`.

        Args:
            target: A file to create (with a suffix such as `.db`), or a directory for a file that
                is named by the time.
            keep: How many backups named by the time stay in the directory; older ones are
                removed after this one is verified. None for all.

        Raises:
            StoreError: The backup could not be made or read back, or `pg_dump` is not installed.
        """
        return self._maintenance.backup(target, keep=keep)

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Look the store through, and return what is wrong with it.

        Args:
            repair: Whether to remove keys without a lead and to add missing ones first; what is
                returned is what is wrong afterwards.
        """
        return self._maintenance.check(repair=repair)

    def vacuum(self) -> dict[str, Any]:
        """Give unused space back and tell the planner what there is; others may go on meanwhile.

        Returns:
            `bytes_before` and `bytes_after`, of the database.
        """
        return self._maintenance.vacuum()

    def explain_quality(self, *, worst: int = 10, page_size: int = 500) -> QualityReport:
        """Judge every lead's data, field by field.

        Args:
            worst: How many of the worst leads to name.
            page_size: How many leads are read, and held, at a time.

        Returns:
            Tiers, the distribution of scores, per field how often it has points and why not, and
            the worst leads. Scores are those of the log's training labels; what email-validator
            and phonenumbers find beyond that, where they are installed, is separate.
        """
        return self._maintenance.explain_quality(worst=worst, page_size=page_size)

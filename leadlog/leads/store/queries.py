"""The reading half of `LeadDatabase`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, select

from leadlog.core.errors import ValidationError
from leadlog.leads.store import reports, search, values
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.merges import merges_of
from leadlog.leads.store.models import Lead
from leadlog.leads.store.paging import Keyset, LeadPage
from leadlog.leads.store.serialise import COLUMNS, from_row
from leadlog.leads.store.suggestions import DuplicatePair, pairs
from leadlog.recording.capture.operation import current_operation
from leadlog.recording.capture.scope import operation
from leadlog.recording.capture.targets import Handle

__all__ = ["LeadQueries", "checked_id"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BY_ID = select(*COLUMNS).where(Lead.id == bindparam("id"))
_PAGE = select(*COLUMNS).order_by(Lead.id).limit(bindparam("size"))
_NEXT_PAGE = _PAGE.where(Lead.id > bindparam("last"))
_PENDING = select(*COLUMNS).where(Lead.sync_pending).order_by(Lead.updated_at, Lead.id)


def checked_id(lead_id: object) -> str:
    """Return the id of a lead as text.

    Raises:
        ValidationError: It can be no lead's.
    """
    if isinstance(lead_id, UUID):
        return str(lead_id)
    if not isinstance(lead_id, str):
        raise ValidationError(
            f"lead id {values.shown(lead_id)} is a {type(lead_id).__name__}; give the text that "
            "add_lead returned"
        )
    return values.storable(lead_id, "lead id")


class LeadQueries:
    """What a lead store can be asked; `LeadDatabase` adds what changes it.

    Args:
        connections: The open database.
        capture: What opens the operations that are recorded; None to record none.
        clock: Gives the present time, microseconds since 1970.
    """

    def __init__(
        self, connections: Connections, capture: Handle | None, clock: Callable[[], int]
    ) -> None:
        self._connections = connections
        self._capture = capture
        self._clock = clock

    def _now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self._clock())

    def _select(self, statement: Select[Any], **parameters: Any) -> list[dict[str, Any]]:
        return self._connections.reading(
            lambda connection: [from_row(row) for row in connection.execute(statement, parameters)]
        )

    @operation("get_lead", event_name="lead.get")
    def get_lead(self, lead_id: str) -> dict[str, Any] | None:
        """Return a lead, or None if there is none with this id."""
        lead_id = checked_id(lead_id)
        row = self._connections.reading(
            lambda connection: connection.execute(_BY_ID, {"id": lead_id}).one_or_none()
        )
        lead = None if row is None else from_row(row)
        call = current_operation()
        if call is not None:
            call.identify(lead or {"id": lead_id}, whole=lead is not None)
            call.records_affected = int(lead is not None)
        return lead

    @operation("search_leads", event_name="lead.search")
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
        found = self._select(search.query(filters, limit, offset, order_by))
        _note_found(found)
        return found

    @operation("search_leads", event_name="lead.search")
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
        limit = values.count(limit, "limit", least=1)
        keyset = Keyset(filters, order_by, after)

        def work(connection: Connection) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            # One more than asked for tells whether there is a next page.
            for statement in keyset.statements(limit + 1):
                wanted = limit + 1 - len(found)
                if wanted:
                    found += map(from_row, connection.execute(statement.limit(wanted)))
            return found

        found = self._connections.reading(work)
        more, leads = len(found) > limit, found[:limit]
        _note_found(leads)
        return LeadPage(leads, keyset.cursor(leads[-1]) if more else None)

    @operation("get_all_leads", event_name="lead.get_all", bulk=True)
    def get_all_leads(self, page_size: int = 500) -> Iterator[dict[str, Any]]:
        """Iterate over all leads in order of id.

        Between two pages no connection and no lock is held, so leads may be changed meanwhile:
        each that is there all the time comes once.

        Args:
            page_size: How many leads are read, and held, at a time.

        Raises:
            ValidationError: `page_size` is not a number from 1 on.
        """
        page_size = values.count(page_size, "page_size", least=1)
        call = current_operation()
        given = 0
        page = self._select(_PAGE, size=page_size)
        if call is not None:
            call.identify_many((lead["id"] for lead in page), None)
        try:
            while page:
                for lead in page:
                    given += 1
                    yield lead
                if len(page) < page_size:
                    return
                page = self._select(_NEXT_PAGE, size=page_size, last=page[-1]["id"])
        finally:
            if call is not None:
                call.records_affected = call.lead_count = given

    @operation("find_duplicates", event_name="lead.find_duplicates")
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
        least = None if min_score is None else values.share(min_score, "min_score")
        limit = values.count(limit, "limit")
        found = self._connections.reading(
            lambda connection: reports.duplicates_of(connection, lead, least, limit)
        )
        _note_found(found)
        return found

    @operation("find_all_duplicates", event_name="lead.find_all_duplicates", bulk=True)
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
        least = values.share(min_score, "min_score")
        call = current_operation()
        found = 0
        try:
            with self._connections.read() as connection:
                for pair in pairs(connection, least):
                    found += 1
                    yield pair
        finally:
            if call is not None:
                call.records_affected = found

    @operation("get_merges", event_name="lead.get_merges")
    def get_merges(self, lead_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return what duplicates overwrote, newest first.

        Args:
            lead_id: In which lead; None for any.
            limit: Most merges to return.

        Returns:
            `merge_id`, `lead_id`, `merged_at`, `matched_on`, `old_values` and `new_values` (by
            field; of `raw_data` by column), `session_id` of the log, and `undone_at`.
        """
        wanted = None if lead_id is None else checked_id(lead_id)
        limit = values.count(limit, "limit")
        found = self._connections.reading(lambda connection: merges_of(connection, wanted, limit))
        call = current_operation()
        if call is not None:
            call.records_affected = len(found)
        return found

    @operation("get_sync_pending_leads", event_name="lead.get_sync_pending")
    def get_sync_pending_leads(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the leads that wait to be synchronised, those changed longest ago first.

        Args:
            limit: Most leads to return; None for all.
        """
        statement = _PENDING if limit is None else _PENDING.limit(values.count(limit, "limit"))
        found = self._select(statement)
        _note_found(found)
        return found

    @operation("stats", event_name="lead.stats")
    def stats(self) -> dict[str, Any]:
        """Return the numbers of the store.

        Returns:
            `total_leads`, `pending_syncs`, `enriched_leads`, `verified_leads`,
            `leads_added_today` (since midnight UTC), `last_updated_at` (None without leads) and
            `database_size_mb` (10^6 bytes; of the whole database).
        """
        today = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        return self._connections.reading(lambda connection: reports.numbers(connection, today))


def _note_found(leads: Sequence[Mapping[str, Any]]) -> None:
    call = current_operation()
    if call is not None:
        call.records_affected = len(leads)
        call.identify_many((lead["id"] for lead in leads), len(leads))

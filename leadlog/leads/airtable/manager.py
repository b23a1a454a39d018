"""`AirtableSyncManager`: keeps a lead store and an Airtable table in sync."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pyairtable import Api
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from leadlog.core import settings as _settings
from leadlog.core.clock import new_id
from leadlog.core.errors import AirtableError, SettingsError, SyncError, ValidationError
from leadlog.leads.airtable.context import Progress, SyncContext
from leadlog.leads.airtable.credentials import find_api_key
from leadlog.leads.airtable.cycle import run_cycle
from leadlog.leads.airtable.events import Events
from leadlog.leads.airtable.mapping import LEAD_ID, names_of, new_field
from leadlog.leads.airtable.options import Options, checked_deletes
from leadlog.leads.airtable.pace import Paces, shared_paces
from leadlog.leads.airtable.remote import RemoteTable
from leadlog.leads.airtable.report import SyncResult, SyncType
from leadlog.leads.airtable.schema import Binding, bind
from leadlog.leads.airtable.statistics import statistics
from leadlog.leads.airtable.transport import AirtableTransport
from leadlog.leads.airtable.wire import Wire, process_wire
from leadlog.leads.store import links, syncs, values
from leadlog.leads.store.database import LeadDatabase
from leadlog.leads.store.queries import checked_id
from leadlog.leads.store.sync_links import SyncLinks
from leadlog.leads.store.sync_lock import sync_lock
from leadlog.recording.resources import peak_mb

__all__ = ["AirtableSyncManager"]


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """Ignore progress."""


class AirtableSyncManager:
    """Keeps the leads of a store and the rows of an Airtable table in sync.

    Arguments that are None default to the settings `airtable_…`, the token to that of the
    environment or the keyring. Each run is one sync_operation in the log; each lead that it changes
    is recorded like any other call on the store.

    Only one sync of a store runs at a time. If a run is interrupted, in whatever way, the next one
    continues: no row is created twice, and nothing is lost.

    Args:
        database: The lead store.
        api_key: A personal access token.
        base_id: The base, `app…`.
        table: Name or id of the table.
        endpoint_url: URL of Airtable's API.
        fields: Name or id of the Airtable field by field of a lead; false leaves a field out.
            Fields that are not listed have their default name.
        lead_id_field: The Airtable field for the lead's id.
        modified_field: The Airtable field with the time of a row's last change.
        conflict: `local` or `remote`: the side that wins a field changed on both sides, if the
            time of the row's change is not known.
        max_delete_share: Share of the linked leads that one run may delete, 0 to 1.
        typecast: Whether Airtable may convert values, and add options to selects.
        deletes: `guarded` withholds all deletes of a kind beyond that share, `apply` executes
            them, and `undo` restores the rows and leads instead of deleting them.
        progress: Called with the current step, the number done, and the total.
        paces: The clock and the rate limits of calls; by default the system's clock, shared with
            all other syncs of this process.

    Attributes:
        database: The lead store.
        base_id: The base.
        table: Name or id of the table.
        endpoint_url: URL of Airtable's API.

    Raises:
        SettingsError: A setting is bad, or the base is not set.
        SyncError: There is no token.
        ValidationError: `deletes` is not one of these.
    """

    def __init__(
        self,
        database: LeadDatabase,
        *,
        api_key: str | None = None,
        base_id: str | None = None,
        table: str | None = None,
        endpoint_url: str | None = None,
        fields: Mapping[str, Any] | None = None,
        lead_id_field: str | None = None,
        modified_field: str | None = None,
        conflict: str | None = None,
        max_delete_share: float | None = None,
        typecast: bool | None = None,
        deletes: str = "guarded",
        progress: Progress = _silent,
        paces: Paces | None = None,
    ) -> None:
        found = _settings.load(
            airtable_api_key=api_key,
            airtable_base_id=base_id,
            airtable_table=table,
            airtable_endpoint_url=endpoint_url,
            airtable_fields=fields,
            airtable_lead_id_field=lead_id_field,
            airtable_modified_field=modified_field,
            airtable_conflict=conflict,
            airtable_max_delete_share=max_delete_share,
            airtable_typecast=typecast,
        ).settings
        if not found.airtable_base_id:
            raise SettingsError(
                "airtable_base_id is not set; give the id of the base, which stands in its "
                "address: https://airtable.com/app…/…"
            )
        self.base_id = found.airtable_base_id
        self.table = found.airtable_table
        self.endpoint_url = found.airtable_endpoint_url
        self._options = Options(
            names_of(found.airtable_fields),
            found.airtable_lead_id_field,
            found.airtable_modified_field or None,
            "local" if found.airtable_conflict == "local" else "remote",
            found.airtable_max_delete_share,
            found.airtable_typecast,
            checked_deletes(deletes),
        )
        self.database = database
        self._store = SyncLinks(database)
        self._progress = progress
        self._events = Events()
        key = find_api_key(found.airtable_api_key)
        paces = paces or shared_paces()
        self._wire = Wire()
        self._transport = AirtableTransport(
            paces, paces.of(self.endpoint_url, self.base_id, key), self._wire, process_wire()
        )
        api = Api(key, endpoint_url=self.endpoint_url, retry_strategy=None, use_field_ids=True)
        for scheme in ("https://", "http://"):
            api.session.mount(scheme, self._transport)
        self._remote = RemoteTable(api, self.base_id, self.table)

    def __repr__(self) -> str:
        return f"<AirtableSyncManager {self.database.url} {self.base_id}/{self.table}>"

    @property
    def wire(self) -> Wire:
        """Attempts, waits and bytes of all calls of this object."""
        return self._wire.copy()

    # ------------------------------------------------------------------------------------ syncs

    def sync_to_airtable(
        self, lead_ids: Iterable[str] | None = None, *, dry_run: bool = False
    ) -> SyncResult:
        """Push the changes of the store: create rows, update fields, delete rows.

        Args:
            lead_ids: Ids of the leads to push; None for all changed leads.
            dry_run: Whether to change nothing and only return the planned actions.

        Raises:
            AirtableError: Airtable refused to continue; completed changes stay.
            SyncBusyError: Another sync of this store is running.
            SyncError: The table lacks suitable fields, or is not the table of the last sync.
        """
        return self._run("to_airtable", _ids(lead_ids), dry_run=dry_run)

    def sync_from_airtable(self, limit: int | None = None, *, dry_run: bool = False) -> SyncResult:
        """Pull the changes of the table: add leads, update fields, delete leads.

        The only value written to the table is the id of each lead, into its row.

        Args:
            limit: Maximum number of leads to change; None for all.
            dry_run: Whether to change nothing and only return the planned actions.

        Raises:
            AirtableError: As `sync_to_airtable`.
            SyncBusyError: As `sync_to_airtable`.
            SyncError: As `sync_to_airtable`.
        """
        if limit is not None:
            limit = values.count(limit, "limit")
        return self._run("from_airtable", None, limit=limit, dry_run=dry_run)

    def bidirectional_sync(self, *, dry_run: bool = False) -> SyncResult:
        """Synchronise both sides, field by field.

        Args:
            dry_run: Whether to change nothing and only return the planned actions.

        Raises:
            AirtableError: As `sync_to_airtable`.
            SyncBusyError: As `sync_to_airtable`.
            SyncError: As `sync_to_airtable`.
        """
        return self._run("bidirectional", None, dry_run=dry_run)

    def retry_failed_syncs(self, *, dry_run: bool = False) -> SyncResult:
        """Retry only the leads and rows that were set aside after a failure.

        Args:
            dry_run: Whether to change nothing and only return the planned actions.

        Raises:
            AirtableError: As `sync_to_airtable`.
            SyncBusyError: As `sync_to_airtable`.
            SyncError: As `sync_to_airtable`.
        """
        parked = self._store.read(syncs.parked).values()
        return self._run(
            "bidirectional",
            {one.lead_id for one in parked if one.lead_id is not None},
            record_ids=frozenset(one.record_id for one in parked if one.record_id is not None),
            again=True,
            dry_run=dry_run,
        )

    def get_sync_statistics(self) -> dict[str, Any]:
        """Return the backlog and the history of syncs, without a call to Airtable.

        Returns:
            A dictionary of `total_leads`, `linked_leads`, `unlinked_leads`, `changed_leads` (linked
            leads with changes to push), `pending_leads` (unlinked and changed), `marked_leads` (by
            `mark_for_sync`), `pending_deletes`, `last_synced_at`, `failed_leads` and `failures`
            (the items set aside, with reasons), `runs`, `succeeded`, `failed`, `interrupted`,
            `last_runs`, and `wire` (of this object).
        """
        found = statistics(self._store, self._options.names)
        return {**found, "wire": self._wire.as_dict()}

    # ----------------------------------------------------------------------------------- schema

    def check_schema(self) -> Binding:
        """Compare the fields of the table with those that must be synchronised.

        Raises:
            AirtableError: The table cannot be read.
        """
        return self._bind(self._store.read(syncs.last_fields))

    def create_missing_fields(self) -> list[str]:
        """Create the fields that are missing in the table, and return their names.

        Raises:
            AirtableError: A field cannot be created.
        """
        created: list[str] = []
        schema = self._remote.schema()
        for problem in self.check_schema().problems:
            if problem.problem != "missing":
                continue
            try:
                self._remote.create_field(schema, problem.name, new_field(problem.field))
            except AirtableError:
                # The response may be lost although the field was created: check before raising.
                there = {one.name for one in self._remote.schema().fields}
                if problem.name not in there:
                    raise
            created.append(problem.name)
        return created

    def _bind(self, before: Mapping[str, Any] | None) -> Binding:
        options = self._options
        schema = self._remote.schema()
        known: dict[str, Any] = {}
        if before is not None and before["table_id"] == schema.table_id:
            known = before["fields"]
        binding = bind(schema, options.names, options.lead_id_field, options.modified_field, known)
        self._remote.bind(binding, typecast=options.typecast)
        return binding

    # -------------------------------------------------------------------------------------- run

    def _run(
        self,
        sync_type: SyncType,
        lead_ids: set[str] | None,
        *,
        record_ids: frozenset[str] = frozenset(),
        limit: int | None = None,
        again: bool = False,
        dry_run: bool,
    ) -> SyncResult:
        def work(result: SyncResult) -> None:
            before = self._store.read(syncs.last_fields)
            binding = self._bind(before)
            binding.check()
            self._check_table(before, binding)
            if not dry_run:
                self._begin(result, binding, before)
            run_cycle(
                SyncContext(
                    store=self._store,
                    table=self._remote,
                    binding=binding,
                    options=self._options,
                    result=result,
                    events=self._events,
                    push=sync_type != "from_airtable",
                    pull=sync_type != "to_airtable",
                    lead_ids=lead_ids,
                    record_ids=record_ids,
                    limit=limit,
                    again=again,
                    progress=self._progress,
                )
            )

        result = SyncResult(new_id(), sync_type, dry_run)
        if dry_run:
            self._measured(result, work)
        else:
            with sync_lock(self.database.connections):
                self._measured(result, work)
        return result

    def _measured(self, result: SyncResult, work: Callable[[SyncResult], None]) -> None:
        self._transport.wire = result.wire
        started, peak = time.perf_counter(), peak_mb()
        failure: BaseException | None = None
        try:
            work(result)
        except BaseException as error:
            failure = error
            result.error = str(error) or type(error).__name__
            raise
        finally:
            result.duration_ms = (time.perf_counter() - started) * 1e3
            now = peak_mb()
            result.memory_peak_mb = now if now and peak and now > peak else None
            result.success = result.error is None
            self._transport.wire = Wire()
            if not result.dry_run:
                self._end(result, failure)

    def _begin(
        self, result: SyncResult, binding: Binding, before: Mapping[str, Any] | None
    ) -> None:
        names = {**self._options.names, LEAD_ID: self._options.lead_id_field}
        fields = binding.known(names)
        known = {} if before is None else before["fields"]
        # A field that was removed and recreated is blank in all rows, but not by an edit.
        anew = {
            name for name in fields if name in known and fields[name]["id"] != known[name]["id"]
        }

        def begin(connection: Connection, now: datetime) -> None:
            if anew:
                links.forget_fields(connection, anew)
            run = {
                "sync_id": result.sync_id,
                "sync_type": result.sync_type,
                "base_id": self.base_id,
                "table_id": binding.table_id,
                "fields": fields,
                "started_at": now,
            }
            syncs.begin_run(connection, run)

        self._store.write(begin)

    def _end(self, result: SyncResult, failure: BaseException | None) -> None:
        """Log and store the end of a run; log first, since that works without the database."""
        self._events.ended(result, failure)
        try:
            self._store.write(
                lambda connection, now: syncs.end_run(
                    connection, result.sync_id, now, error=result.error, counts=result.counts()
                )
            )
        except SQLAlchemyError:
            if failure is None:
                raise

    def _check_table(self, before: Mapping[str, Any] | None, binding: Binding) -> None:
        """Refuse a table other than the last one: all rows would appear deleted.

        Raises:
            SyncError: The leads are linked to another table.
        """
        if before is None or before["table_id"] == binding.table_id:
            return
        if self._store.read(links.linked_count):
            raise SyncError(
                f"the leads of {self.database.url} are linked with the Airtable table "
                f"{before['base_id']}/{before['table_id']}, not with {self.base_id}/"
                f"{binding.table_id}; use another store for another table"
            )


def _ids(lead_ids: Iterable[str] | None) -> set[str] | None:
    if lead_ids is None:
        return None
    if isinstance(lead_ids, str | bytes) or not isinstance(lead_ids, Iterable):
        raise ValidationError(
            f"lead_ids are {values.shown(lead_ids)}; give a list of lead ids, or None"
        )
    return {checked_id(lead_id) for lead_id in lead_ids}

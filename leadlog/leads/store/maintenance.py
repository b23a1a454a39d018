"""Maintenance of a lead store: backups, checks, repair, and the quality of its leads."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from leadlog.core.errors import ValidationError
from leadlog.leads.store import backups, values
from leadlog.leads.store.duplicates import WITHOUT_NAME, keys_of
from leadlog.leads.store.engine import OpenStore
from leadlog.leads.store.keys import chunks, exchange, owners_of
from leadlog.leads.store.models import COLUMNS, Lead, LeadKey, LeadMerge, from_row
from leadlog.leads.store.quality import QualityReport, judge
from leadlog.leads.store.queries import LeadQueries
from leadlog.leads.store.reports import size_bytes
from leadlog.recording.capture.operation import current_operation, operation

__all__ = ["Finding", "LeadMaintenance", "findings"]

_NO_LEAD = ~exists().where(Lead.id == LeadKey.lead_id)
_NO_MERGED_LEAD = ~exists().where(Lead.id == LeadMerge.lead_id)
_BATCH = 500
_RESTORE = "restore the newest backup that passes this check: leadlog db restore"
_REPAIR = "run: leadlog db check --repair"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem found by a check.

    Attributes:
        code: The kind of problem.
        message: A description for people.
        count: Number of occurrences.
        remedy: The action that solves it.
    """

    code: str
    message: str
    count: int
    remedy: str


def findings(connection: Connection) -> Iterator[Finding]:
    """Check a store, and yield its problems.

    Checks the integrity of the file and foreign keys (SQLite), invalid indexes (PostgreSQL), keys
    and merges without a lead, and leads without their keys. All leads are read.
    """
    if connection.dialect.name == "sqlite":
        damage = list(_sqlite(connection))
        yield from damage
        if any(finding.code == "integrity" for finding in damage):
            return  # further checks of a damaged file are meaningless
    else:
        yield from _postgresql(connection)
    for code, table, condition, what in (
        ("orphan_keys", LeadKey, _NO_LEAD, "duplicate keys belong to no lead"),
        ("orphan_merges", LeadMerge, _NO_MERGED_LEAD, "merges are of no lead"),
    ):
        orphans = select(func.count()).select_from(table).where(condition)
        if number := connection.execute(orphans).scalar_one():
            yield Finding(code, f"{number} {what}", number, _REPAIR)
    unkeyed = sum(len(keys) for _, keys in _missing(connection))
    if unkeyed:
        yield Finding(
            "missing_keys",
            f"{unkeyed} duplicate keys of leads are missing, because another program or a session "
            "wrote them; add_lead would not recognise them",
            unkeyed,
            _REPAIR,
        )


def _sqlite(connection: Connection) -> Iterator[Finding]:
    try:
        rows = connection.exec_driver_sql("PRAGMA integrity_check").all()
        problems = [row[0] for row in rows if row[0] != "ok"]
    except DatabaseError as error:
        problems = [str(error.orig)]
    if problems:
        yield Finding("integrity", f"the file is damaged: {problems[0]}", len(problems), _RESTORE)
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    others = [row for row in broken if row[0] not in {"lead_key", "lead_merge"}]
    if others:
        yield Finding(
            "foreign_keys",
            f"{len(others)} rows of {others[0][0]} refer to rows that are not there",
            len(others),
            _RESTORE,
        )


def _postgresql(connection: Connection) -> Iterator[Finding]:
    names = connection.exec_driver_sql(
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "WHERE NOT i.indisvalid AND c.relname IN ('leads', 'lead_key', 'lead_merge')"
    ).all()
    if names:
        yield Finding(
            "invalid_indexes",
            f"{len(names)} indexes are not valid, the first is {names[0][0]}",
            len(names),
            f"run in the database: REINDEX INDEX CONCURRENTLY {names[0][0]}",
        )


def _missing(connection: Connection) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the id and the missing keys of each lead that lacks keys no other lead owns."""
    last = ""
    while True:
        page = select(*COLUMNS).where(Lead.id > last).order_by(Lead.id).limit(_BATCH)
        leads = [from_row(row) for row in connection.execute(page)]
        if not leads:
            return
        last = leads[-1]["id"]
        keys = [keys_of(lead) for lead in leads]
        owners = owners_of(connection, keys)
        for lead, own in zip(leads, keys, strict=True):
            free = {kind: value for kind, value in own.items() if (kind, value) not in owners}
            for named, alone in WITHOUT_NAME.items():
                holder = owners.get((alone, own.get(alone, "")))
                if alone in own and holder in {None, lead["id"]}:
                    free.pop(named, None)  # the value alone is the key
            if free:
                yield lead["id"], free


def repair_keys(connection: Connection) -> int:
    """Remove keys and merges without a lead, and add the missing keys of leads.

    Args:
        connection: A connection in a write transaction.

    Returns:
        The number of rows written or removed.
    """
    done = connection.execute(delete(LeadKey).where(_NO_LEAD)).rowcount
    done += connection.execute(delete(LeadMerge).where(_NO_MERGED_LEAD)).rowcount
    claimed: dict[tuple[str, str], str] = {}
    for lead_id, keys in _missing(connection):
        for key in keys.items():
            claimed.setdefault(key, lead_id)
    for some in chunks(claimed.items(), _BATCH):
        rows: dict[Any, str] = dict(some)
        if exchange(connection, {}, rows):
            done += len(rows)
    return done


class LeadMaintenance:
    """The maintenance part of a store.

    Args:
        store: The open database that the parts of the store share.
        queries: The reading part.
    """

    def __init__(self, store: OpenStore, queries: LeadQueries) -> None:
        self._connections = store.connections
        self._capture = store.capture
        self._now = store.now
        self._queries = queries

    @operation("backup", event_name="lead.backup")
    def backup(self, target: str | os.PathLike[str], *, keep: int | None = None) -> backups.Backup:
        """See `LeadDatabase.backup`."""
        if keep is not None:
            keep = values.count(keep, "keep", least=1)
        try:
            path = Path(target)
        except TypeError:
            raise ValidationError(f"target is {values.shown(target)}; give a path") from None
        made = backups.create(self._connections, path, keep, self._now())
        call = current_operation()
        if call is not None:
            call.records_affected = made.leads
        return made

    @operation("check", event_name="lead.check")
    def check(self, *, repair: bool = False) -> list[Finding]:
        """See `LeadDatabase.check`."""
        repaired = 0
        if repair:

            def work(session: Session) -> int:
                return repair_keys(session.connection())

            repaired = self._connections.in_transaction(work)
        found = self._connections.reading(lambda connection: list(findings(connection)))
        call = current_operation()
        if call is not None:
            call.records_affected = repaired
        return found

    @operation("vacuum", event_name="lead.vacuum")
    def vacuum(self) -> dict[str, Any]:
        """See `LeadDatabase.vacuum`."""
        before = self._connections.reading(size_bytes)
        self._connections.vacuum()
        after = self._connections.reading(size_bytes)
        return {"bytes_before": before, "bytes_after": after}

    @operation("explain_quality", event_name="lead.explain_quality", bulk=True)
    def explain_quality(self, *, worst: int = 10, page_size: int = 500) -> QualityReport:
        """See `LeadDatabase.explain_quality`."""
        worst = values.count(worst, "worst")
        found = judge(self._queries.get_all_leads(page_size), worst)
        call = current_operation()
        if call is not None:
            call.records_affected = call.lead_count = found.leads
        return found

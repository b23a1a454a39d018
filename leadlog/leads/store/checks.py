"""Is a lead store sound? What is wrong with it, and how to mend it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.exc import DatabaseError

from leadlog.leads.store.duplicates import WITHOUT_NAME, keys_of
from leadlog.leads.store.keys import chunks, exchange, owners_of
from leadlog.leads.store.models import Lead, LeadKey, LeadMerge
from leadlog.leads.store.serialise import COLUMNS, from_row

__all__ = ["Finding", "findings", "mend"]

_NO_LEAD = ~exists().where(Lead.id == LeadKey.lead_id)
_NO_MERGED_LEAD = ~exists().where(Lead.id == LeadMerge.lead_id)
_BATCH = 500
_RESTORE = "restore the newest backup that passes this check: leadlog db restore"
_MEND = "run: leadlog db check --repair"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Attributes:
        code: What kind of thing.
        message: What, for people.
        count: How many of it.
        remedy: What to do.
    """

    code: str
    message: str
    count: int
    remedy: str


def findings(connection: Connection) -> Iterator[Finding]:
    """Look a store through, and give what is wrong with it.

    Integrity of the file and foreign keys (SQLite), indexes that are not valid (PostgreSQL), keys
    and merges without a lead, leads without their keys. All leads are read.
    """
    if connection.dialect.name == "sqlite":
        damage = list(_sqlite(connection))
        yield from damage
        if any(finding.code == "integrity" for finding in damage):
            return  # what is read from a damaged file says nothing
    else:
        yield from _postgresql(connection)
    for code, table, condition, what in (
        ("orphan_keys", LeadKey, _NO_LEAD, "duplicate keys belong to no lead"),
        ("orphan_merges", LeadMerge, _NO_MERGED_LEAD, "merges are of no lead"),
    ):
        orphans = select(func.count()).select_from(table).where(condition)
        if number := connection.execute(orphans).scalar_one():
            yield Finding(code, f"{number} {what}", number, _MEND)
    unkeyed = sum(len(keys) for _, keys in _missing(connection))
    if unkeyed:
        yield Finding(
            "missing_keys",
            f"{unkeyed} duplicate keys of leads are missing, because another program or a session "
            "wrote them; add_lead would not recognise them",
            unkeyed,
            _MEND,
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
    """Leads of which nobody has a key that they should have."""
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
                    free.pop(named, None)  # the value alone says it
            if free:
                yield lead["id"], free


def mend(connection: Connection) -> int:
    """Remove keys and merges without a lead, and give leads the keys that they lack.

    Args:
        connection: In a write transaction.

    Returns:
        How many rows were written or removed.
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

"""Questions about the store as a whole: its numbers, and who may be the same person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from leadlog.leads.store.duplicates import KINDS, WITHOUT_NAME, contradiction, keys_of
from leadlog.leads.store.keys import owners_of
from leadlog.leads.store.merging import match_of
from leadlog.leads.store.models import Lead, LeadKey
from leadlog.leads.store.normalise import to_fields
from leadlog.leads.store.serialise import COLUMNS, from_row
from leadlog.leads.store.similarity import person, similarity
from leadlog.leads.store.suggestions import suggestions

__all__ = ["duplicates_of", "numbers", "size_bytes"]


_SHARED = {"linkedin_url": "LinkedIn profile", "email": "e-mail address"}


def duplicates_of(
    connection: Connection, lead: Mapping[Any, Any], least: float | None, limit: int
) -> list[dict[str, Any]]:
    """Return the leads that may be the same person; see `LeadDatabase.find_duplicates`."""
    fields = to_fields(lead).fields
    found = _sharing_a_key(connection, fields)
    if least is not None and len(found) < limit:
        known = {other["id"] for other in found} | {fields.get("id") or ""}
        alike = suggestions(connection, fields, known, least, limit - len(found))
        found += [{**other, "matched_on": None, "would_merge": False} for other in alike]
    return found[:limit]


def _sharing_a_key(connection: Connection, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = keys_of(fields)
    kinds: dict[str, list[str]] = {}
    owners = owners_of(connection, [keys])
    for kind in KINDS:
        holder = owners.get((kind, keys.get(kind, "")))
        if holder is not None:
            kinds.setdefault(holder, []).append(kind)
    for named, alone in WITHOUT_NAME.items():
        if alone in keys:
            for holder in _others_with(connection, named, keys[alone]):
                kinds.setdefault(holder, [alone])
    kinds.pop(fields.get("id") or "", None)
    if not kinds:
        return []
    rows = connection.execute(select(*COLUMNS).where(COLUMNS[0].in_(list(kinds))))
    found = [from_row(row) for row in rows]
    found.sort(key=lambda other: (KINDS.index(kinds[other["id"]][0]), other["id"]))
    merged, me = False, person(fields)
    for other in found:
        shared_kinds = kinds[other["id"]]
        kind = shared_kinds[0]
        veto = contradiction(other, fields, shared_kinds)
        merges = not merged and veto is None
        merged = merged or merges
        other["matched_on"] = match_of(kind)
        other["would_merge"] = merges
        shared = f"same {_SHARED.get(match_of(kind), 'name and company')}"
        alike = similarity(me, person(other))
        other["score"] = 1.0 if merges else 0.0 if alike is None else alike.score
        but = "" if veto is None else f", but {veto}"
        other["reason"] = shared if merges or alike is None else f"{shared}{but} ({alike.reason})"
    return found


def _others_with(connection: Connection, named: str, value: str) -> list[str]:
    """Ids of leads that came later, with another name, to a value that was taken.

    Args:
        connection: Where to look.
        named: The kind of key that has value and name.
        value: The value.
    """
    # "|" ends the value in such a key, and "}" is the character after it.
    statement = select(LeadKey.lead_id).where(
        LeadKey.kind == named, LeadKey.value >= f"{value}|", LeadKey.value < f"{value}}}"
    )
    return list(connection.scalars(statement))


def numbers(connection: Connection, today: datetime) -> dict[str, Any]:
    """Return the numbers of `LeadDatabase.stats`.

    Args:
        connection: Where to count.
        today: When the day began.
    """
    row = connection.execute(
        select(
            func.count(),
            func.count().filter(Lead.sync_pending),
            func.count().filter(Lead.enriched),
            func.count().filter(Lead.verified),
            func.count().filter(Lead.created_at >= today),
            func.max(Lead.updated_at),
        )
    ).one()
    names = (
        "total_leads",
        "pending_syncs",
        "enriched_leads",
        "verified_leads",
        "leads_added_today",
        "last_updated_at",
    )
    found: dict[str, Any] = dict(zip(names, row, strict=True))
    found["database_size_mb"] = size_bytes(connection) / 1e6
    return found


def size_bytes(connection: Connection) -> int:
    """Return the size of the whole database."""
    if connection.dialect.name == "postgresql":
        size = "SELECT pg_database_size(current_database())"
        return int(connection.exec_driver_sql(size).scalar_one())
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())

"""The merge log: the values that duplicates overwrote, and the undoing of merges.

Every duplicate that changes a lead adds a row to `lead_merge` with the old and the new value of
each field, for `raw_data` of each column. Undoing a merge restores the old values where the new
ones are still in place; values changed since are left as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from leadlog.leads.store.changing import change, load
from leadlog.leads.store.models import LeadMerge, from_lead

__all__ = ["Undone", "merges_of", "undo"]

_RAW = "raw_data"
_COLUMNS = (
    LeadMerge.id,
    LeadMerge.lead_id,
    LeadMerge.merged_at,
    LeadMerge.matched_on,
    LeadMerge.old_values,
    LeadMerge.new_values,
    LeadMerge.session_id,
    LeadMerge.undone_at,
)


@dataclass(frozen=True, slots=True)
class Undone:
    """The result of undoing a merge.

    Attributes:
        merge_id: Id of the merge.
        lead: The lead as it is now.
        restored: Fields that have their old value again; for `raw_data`, `raw_data.<column>`.
        kept: Fields that were changed after the merge and left as they are.
        changed: Whether anything was written to the lead.
    """

    merge_id: int
    lead: dict[str, Any]
    restored: tuple[str, ...]
    kept: tuple[str, ...]
    changed: bool


def merges_of(connection: Connection, lead_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest merges, of one lead or of all; see `LeadDatabase.get_merges`."""
    statement = select(*_COLUMNS).order_by(LeadMerge.id.desc()).limit(limit)
    if lead_id is not None:
        statement = statement.where(LeadMerge.lead_id == lead_id)
    return [
        {"merge_id": row["id"], **{key: row[key] for key in row if key != "id"}}
        for row in connection.execute(statement).mappings()
    ]


def undo(session: Session, which: int | str, now: datetime) -> Undone | None:
    """Undo a merge; the caller commits.

    Args:
        session: A session in a write transaction.
        which: The id of the merge, or the id of a lead for its last merge.
        now: The current time.

    Returns:
        The result; None if there is no such merge, or it was undone already.
    """
    statement = select(LeadMerge).where(LeadMerge.undone_at.is_(None))
    if isinstance(which, str):
        # Lock the lead first, in the same order as merges do.
        if load(session, which) is None:
            return None
        statement = statement.where(LeadMerge.lead_id == which).order_by(LeadMerge.id.desc())
    else:
        statement = statement.where(LeadMerge.id == which)
    merge = session.scalars(statement.limit(1).with_for_update()).one_or_none()
    if merge is None:
        return None
    lead = load(session, merge.lead_id)
    if lead is None:
        return None
    values, restored, kept = _old_values(from_lead(lead), merge.old_values, merge.new_values)
    done = change(session, merge.lead_id, values, now)
    merge.undone_at = now
    session.flush()
    after = from_lead(lead) if done is None else done.lead
    return Undone(merge.id, after, restored, kept, done is not None and bool(done.fields))


def _old_values(
    lead: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return the values to set by field, the fields they restore, and the fields kept."""
    values: dict[str, Any] = {}
    restored: list[str] = []
    kept: list[str] = []
    for field, value in new.items():
        if field == _RAW:
            continue
        (restored if lead[field] == value else kept).append(field)
        if lead[field] == value:
            values[field] = old[field]
    raw = dict(lead[_RAW])
    for column, value in new.get(_RAW, {}).items():
        name = f"{_RAW}.{column}"
        if column not in raw or raw[column] != value:
            kept.append(name)
            continue
        restored.append(name)
        if column in old[_RAW]:
            raw[column] = old[_RAW][column]
        else:
            del raw[column]
    if raw != lead[_RAW]:
        values[_RAW] = raw
    return values, tuple(restored), tuple(kept)

"""Changes to an existing lead and its keys, by an update or by a merged duplicate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import Session

from leadlog.core.errors import StaleLeadError, ValidationError
from leadlog.leads.store import duplicates, values
from leadlog.leads.store.duplicates import KEY_FIELDS, WITHOUT_NAME, keys_of
from leadlog.leads.store.keys import ATTEMPTS, exchange, lost_again, owners_of
from leadlog.leads.store.models import Lead, from_lead
from leadlog.leads.store.normalise import NormalisedLead, field_of, parse, to_fields
from leadlog.recording.capture.operation import Operation
from leadlog_processors.session import current_session

__all__ = [
    "READ_ONLY",
    "LeadChange",
    "Match",
    "change",
    "load",
    "match_of",
    "merge_row",
    "merged",
    "note",
]

Match = Literal["id", "linkedin_url", "email", "name_company"]

READ_ONLY = frozenset({"id", "created_at", "updated_at", "row_version"})
"""The fields that only the store sets."""

_RAW = "raw_data"
_MATCHES = {"email_name": "email", "linkedin_name": "linkedin_url"}
# Values that differ only in spelling count as the same value: the stored one stays.
_SPELLED: dict[str, Callable[[str | None], str | None]] = {
    "full_name": duplicates.canonical_name,
    "company": duplicates.canonical_company,
    "email": duplicates.canonical_email,
    "linkedin_url": duplicates.canonical_linkedin,
}


def match_of(kind: str) -> Match:
    """Return the name that records use for a kind of key."""
    return _MATCHES.get(kind, kind)  # type: ignore[return-value]  # one of KINDS


def merged(there: Mapping[str, Any], lead: NormalisedLead) -> dict[str, Any]:
    """Return the new values, by field, that a duplicate gives a stored lead; blanks are skipped."""
    changes: dict[str, Any] = {}
    for field, value in lead.fields.items():
        present = there[field]
        if value is None or value == present or field in READ_ONLY:
            continue
        if field == "full_name" and (lead.part_of_name or _is_shorter(value, present)):
            continue
        if field in _SPELLED:
            form = _SPELLED[field](value)
            if form is not None and form == _SPELLED[field](present):
                continue
        changes[field] = value
    raw = dict(there["raw_data"])
    for column, value in lead.raw_data.items():
        blank = value is None or (isinstance(value, str) and not value.strip())
        if not blank or column not in raw:
            raw[column] = value
    if raw != there["raw_data"]:
        changes["raw_data"] = raw
    return changes


def _is_shorter(name: str, there: str) -> bool:
    """Return whether a name is a shorter form of the stored one, or has initials."""
    return len(name) < len(there) and duplicates.names_fit(name, there)


def merge_row(
    lead_id: str,
    matched_on: str,
    before: Mapping[str, Any],
    changes: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Return the merge log's row for the changes made by a duplicate.

    Args:
        lead_id: The stored lead.
        matched_on: The key by which the duplicate matched.
        before: The values of the lead before.
        changes: New values by field.
        now: The current time.
    """
    old = {field: before[field] for field in changes if field != _RAW}
    new = {field: value for field, value in changes.items() if field != _RAW}
    if _RAW in changes:
        was, becomes = before[_RAW], changes[_RAW]
        columns = [
            column for column in becomes if column not in was or was[column] != becomes[column]
        ]
        old[_RAW] = {column: was[column] for column in columns if column in was}
        new[_RAW] = {column: becomes[column] for column in columns}
    return {
        "lead_id": lead_id,
        "merged_at": now,
        "matched_on": matched_on,
        "old_values": old,
        "new_values": new,
        "session_id": current_session().session_id,
    }


_NEVER_BLANK = frozenset({"verified", "enriched", "sync_pending"})
_BY_ID = select(Lead).where(Lead.id == bindparam("id")).with_for_update()


@dataclass(frozen=True, slots=True)
class LeadChange:
    """A change that was made to a lead.

    Attributes:
        lead: The lead as it is now.
        fields: The fields that changed.
        taken: The kind of a new key of it that another lead already has; None if there is none.
    """

    lead: dict[str, Any]
    fields: tuple[str, ...]
    taken: Match | None


def load(session: Session, lead_id: str) -> Lead | None:
    """Return a lead, locked for writing; None if it does not exist."""
    return session.scalars(_BY_ID, {"id": lead_id}).one_or_none()


def note(call: Operation, changed: LeadChange | None) -> None:
    """Enter a change into the record of its call; None if the lead did not exist."""
    call.records_affected = int(changed is not None and bool(changed.fields))
    if changed is not None:
        call.identify(changed.lead)
        call.duplicate_detected = changed.taken is not None
        call.duplicate_matched_on = changed.taken
        call.duplicate_action = "none"


def change(
    session: Session, lead_id: str, changes: Mapping[Any, Any], now: datetime
) -> LeadChange | None:
    """Change a lead; the caller commits.

    Returns:
        The change, or None if there is no such lead.

    Raises:
        StaleLeadError: `row_version` in the changes is not the lead's current one.
        ValidationError: A field cannot be changed, or a value cannot be stored.
    """
    lead = load(session, lead_id)
    if lead is None:
        return None
    before = from_lead(lead)
    changes = dict(changes)
    read = parse("row_version", changes.pop("row_version", None))
    if read is not None and read != before["row_version"]:
        raise StaleLeadError(
            f"lead {values.shown(lead_id)} is of version {before['row_version']} and the changes "
            f"are to version {read}: another writer changed it; read it again and apply "
            "the changes to what it is now, or leave row_version out to change it anyway"
        )
    # Callers may pass a whole lead of which one field differs.
    given = {
        column: value
        for column, value in changes.items()
        if column not in before or before[column] != value
    }
    wanted = _new_values(before, given)
    new = {field: value for field, value in wanted.items() if value != before[field]}
    if not new:
        return LeadChange(before, (), None)
    after = {**before, **new, "updated_at": now}
    taken = None
    if not KEY_FIELDS.isdisjoint(new):
        taken = _exchange_keys(session.connection(), lead_id, keys_of(before), keys_of(after))
    for field, value in new.items():
        setattr(lead, field, value)
    lead.updated_at = now
    session.flush()
    return LeadChange(from_lead(lead), tuple(new), taken)


def _new_values(before: Mapping[str, Any], given: Mapping[Any, Any]) -> dict[str, Any]:
    for column in given:
        field = field_of(column) if isinstance(column, str) else None
        if field in READ_ONLY:
            raise ValidationError(f"{column} cannot be changed; leave it out of the changes")
    raw = before["raw_data"]
    columns = dict(given)
    if "raw_data" in columns:
        whole = columns.pop("raw_data")
        if whole is not None and not isinstance(whole, Mapping):
            raise ValidationError(f"raw_data is {values.shown(whole)}; give a dict")
        raw = values.plain(whole or {}, "raw_data")
    found = to_fields(columns)
    if found.part_of_name:
        raise ValidationError(
            "a first or a last name alone would replace the whole name; give full_name or both"
        )
    for field, value in found.fields.items():
        if value is None and field == "full_name":
            raise ValidationError("a lead needs a name, so full_name cannot be blank")
        if value is None and field in _NEVER_BLANK:
            raise ValidationError(f"{field} cannot be blank; give True or False")
    return {**found.fields, "raw_data": {**raw, **found.raw_data}}


def _exchange_keys(
    connection: Connection, lead_id: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Match | None:
    """Release keys that the lead lost and claim free new ones; return a kind that is taken."""
    if before == after:
        return None
    for _ in range(ATTEMPTS):
        owners = owners_of(connection, [before, after])
        released = {
            key: lead_id for key in before.items() - after.items() if owners.get(key) == lead_id
        }
        others = {
            kind: key for kind, key in after.items() if owners.get((kind, key), lead_id) != lead_id
        }
        claimed = {key: lead_id for key in after.items() if key not in owners}
        for named, alone in WITHOUT_NAME.items():
            if alone in after and alone not in others:
                claimed.pop((named, after.get(named, "")), None)
        if exchange(connection, released, claimed):
            taken = (kind for kind, key in others.items() if before.get(kind) != key)
            return next((match_of(kind) for kind in taken), None)
    raise lost_again()

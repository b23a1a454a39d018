"""What a duplicate changes in the lead that is there, and what is noted of it. Pure functions."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from leadlog.leads.store import duplicates
from leadlog.leads.store.normalise import NormalisedLead
from leadlog_processors.session import current_session

__all__ = ["READ_ONLY", "Match", "match_of", "merge_row", "merged"]

Match = Literal["id", "linkedin_url", "email", "name_company"]

READ_ONLY = frozenset({"id", "created_at", "updated_at", "row_version"})
"""The fields that only the store sets."""

_RAW = "raw_data"
_MATCHES = {"email_name": "email", "linkedin_name": "linkedin_url"}
# Values that differ in spelling only are the same value: the one that is there stays.
_SPELLED: dict[str, Callable[[str | None], str | None]] = {
    "full_name": duplicates.canonical_name,
    "company": duplicates.canonical_company,
    "email": duplicates.canonical_email,
    "linkedin_url": duplicates.canonical_linkedin,
}


def match_of(kind: str) -> Match:
    """Return what a kind of key is called in records."""
    return _MATCHES.get(kind, kind)  # type: ignore[return-value]  # one of KINDS


def merged(there: Mapping[str, Any], lead: NormalisedLead) -> dict[str, Any]:
    """Return what a duplicate changes in the lead that is there: a blank value nothing."""
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
    """Whether a name is a form of the one that is there with fewer parts, or with initials."""
    return len(name) < len(there) and duplicates.names_fit(name, there)


def merge_row(
    lead_id: str,
    matched_on: str,
    before: Mapping[str, Any],
    changes: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Return the row of the merge log for what a duplicate changes.

    Args:
        lead_id: The lead that was there.
        matched_on: The key by which it was found.
        before: Its values before.
        changes: New values by field.
        now: The present time.
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

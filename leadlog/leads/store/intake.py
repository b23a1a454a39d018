"""Adds leads: merges those that are already stored and creates the others.

An `Intake` lives in one transaction. It looks up the keys of all its leads at once, decides lead by
lead as if they were added one after the other, and then writes: keys first, so that a writer that
loses a race for a key has written nothing else. The rest of the module adds any number of leads in
batches.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import Table, Update, bindparam, insert, select, update
from sqlalchemy.orm import Session

from leadlog.core.errors import ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.bulk import Insertion
from leadlog.leads.store.changing import Match, match_of, merge_row, merged
from leadlog.leads.store.columns import KNOWN_COLUMNS, Columns
from leadlog.leads.store.duplicates import WITHOUT_NAME, contradiction, keys_of, names_agree
from leadlog.leads.store.keys import ATTEMPTS, Key, chunks, exchange, lost_again, owners_of
from leadlog.leads.store.models import FIELDS, Lead, LeadMerge, from_lead
from leadlog.leads.store.normalise import NormalisedLead, to_fields
from leadlog.recording.capture.operation import Operation

__all__ = [
    "AddOutcome",
    "AddResult",
    "Candidate",
    "Intake",
    "Report",
    "Within",
    "add_batch",
    "checked",
    "each_batch",
    "note_batch",
    "sorted_out",
]

Candidate = NormalisedLead | ValidationError
"""A lead that can be added, or the error that rejects it."""

_LEADS: Table = Lead.__table__  # type: ignore[assignment]  # declarative types it FromClause
_ADD_LEADS = Insertion(insert(_LEADS))
_MERGES: Table = LeadMerge.__table__  # type: ignore[assignment]  # declarative types it FromClause
_DEFAULTS: dict[str, Any] = dict.fromkeys(FIELDS)
_DEFAULTS |= {"verified": False, "enriched": False, "sync_pending": False}
_BY_ID = (
    select(Lead)
    .where(Lead.id.in_(bindparam("ids", expanding=True)))
    .order_by(Lead.id)  # every writer locks in this order, which prevents deadlocks
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class AddOutcome:
    """The outcome of adding one lead.

    Attributes:
        action: `created`, `updated` (it was already stored) or `rejected`.
        lead_id: Id of the created or updated lead; None for a rejected one.
        matched_on: The key that a stored lead, or a possible duplicate, shares with it; else None.
        possible_duplicates: Ids of other leads that have one of its keys. They were left unchanged
            because their name, e-mail address or LinkedIn profile belongs to another person, or
            because a stronger key matched another lead.
        changed: Whether anything was written.
        reason: The reason for a rejection; else None.
    """

    action: Literal["created", "updated", "rejected"]
    lead_id: str | None = None
    matched_on: Match | None = None
    possible_duplicates: tuple[str, ...] = ()
    changed: bool = False
    reason: str | None = None


def _new_ids(count: int) -> Iterator[str]:
    """Yield UUIDs of version 7: unique, and sorted by time, so that indexes grow at their end.

    Their random bits are read from the system in one call, on the first iteration.
    """
    entropy = os.urandom(10 * count).hex()
    for place in range(0, len(entropy), 20):
        stamp = f"{time.time_ns() // 1_000_000:012x}"
        digits = entropy[place : place + 20]
        variant = "89ab"[int(digits[4], 16) & 3]
        yield f"{stamp[:8]}-{stamp[8:]}-7{digits[1:4]}-{variant}{digits[5:8]}-{digits[8:]}"


@lru_cache(maxsize=256)
def _update_of(names: frozenset[str]) -> Update:
    """Return the UPDATE statement for a set of fields; cached.

    Most leads of a batch change the same fields.
    """
    return (
        update(_LEADS)
        .where(_LEADS.c.id == bindparam("the_id"))
        .values(
            {name: bindparam(f"new_{name}") for name in sorted(names)}
            | {"row_version": _LEADS.c.row_version + 1}
        )
    )


class Intake:
    """Leads being added to the store in one transaction.

    Attributes:
        rows: Loaded and new leads with their current values, by id.
    """

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now
        self._ids: Iterator[str] = iter(())
        self.rows: dict[str, dict[str, Any]] = {}
        self._forget()

    def _forget(self) -> None:
        self.rows.clear()
        self._owners: dict[Key, str] = {}
        self._claimed: dict[Key, str] = {}
        self._released: dict[Key, str] = {}
        self._loaded: dict[str, Lead] = {}
        self._new: list[str] = []
        self._changed: dict[str, set[str]] = {}
        self._merges: list[dict[str, Any]] = []

    def add(self, leads: Sequence[NormalisedLead]) -> list[AddOutcome]:
        """Create or update each lead and write it all; the caller commits.

        Raises:
            StoreError: Other writers claimed its keys in each of the attempts.
        """
        keys = [keys_of(lead.fields) for lead in leads]
        given = {lead.fields["id"] for lead in leads if lead.fields.get("id")}
        connection = self._session.connection()
        for _ in range(ATTEMPTS):
            self._owners = owners_of(connection, keys)
            self._looked_up = {key for own in keys for key in own.items()}
            self._ids = _new_ids(len(leads))
            if self._load(given):
                outcomes = [self._one(lead, own) for lead, own in zip(leads, keys, strict=True)]
                if exchange(connection, self._released, self._claimed):
                    self._write()
                    return outcomes
            self._forget()
        raise lost_again()

    def _load(self, given: set[str]) -> bool:
        """Load and lock the leads concerned; return False if one was deleted in between."""
        owners = set(self._owners.values())
        for ids in chunks(sorted(given | owners)):
            for lead in self._session.scalars(_BY_ID, {"ids": ids}):
                self._loaded[lead.id] = lead
                self.rows[lead.id] = from_lead(lead)
        return owners <= self.rows.keys()

    def _one(self, lead: NormalisedLead, keys: dict[str, str]) -> AddOutcome:
        fields = lead.fields
        owners = self._owners
        holders = {key[0]: owners[key] for key in keys.items() if key in owners}
        found: tuple[Match, str] | None = None
        wanted = fields.get("id")
        if wanted in self.rows and names_agree(self.rows[wanted]["full_name"], fields["full_name"]):
            found = "id", wanted
        else:
            for kind, holder in holders.items():
                shared = [one for one, who in holders.items() if who == holder]
                if contradiction(self.rows[holder], fields, shared) is None:
                    found = match_of(kind), holder
                    break
        if found is None:
            matched_on = match_of(next(iter(holders))) if holders else None
            others = tuple(dict.fromkeys(holders.values()))
            return AddOutcome("created", self._create(lead, keys), matched_on, others, changed=True)
        matched_on, lead_id = found
        others = tuple(dict.fromkeys(holder for holder in holders.values() if holder != lead_id))
        changed = self._merge(lead_id, matched_on, lead, keys)
        return AddOutcome("updated", lead_id, matched_on, others, changed)

    def _create(self, lead: NormalisedLead, keys: Mapping[str, str]) -> str:
        raw = lead.raw_data
        lead_id = lead.fields.get("id")
        if lead_id is not None and lead_id in self.rows:
            # Another person has this id: keep it in `raw_data`, as the source's own value.
            raw = {**raw, "id" if "id" not in raw else "id (given)": lead_id}
            lead_id = None
        lead_id = lead_id or next(self._ids)
        row = _DEFAULTS.copy()
        row["created_at"] = row["updated_at"] = self._now
        for name, value in lead.fields.items():
            if value is not None:
                row[name] = value
        row.update(id=lead_id, raw_data=raw, name=row["full_name"], row_version=1)
        self.rows[lead_id] = row
        self._new.append(lead_id)
        for key in keys.items():
            self._claim(lead_id, key, keys)
        return lead_id

    def _merge(
        self, lead_id: str, matched_on: Match, lead: NormalisedLead, keys: Mapping[str, str]
    ) -> bool:
        row = self.rows[lead_id]
        before = keys_of(row)
        changes = merged(row, lead)
        if changes:
            self._merges.append(merge_row(lead_id, matched_on, row, changes, self._now))
            changes["updated_at"] = self._now
            self._changed.setdefault(lead_id, set()).update(changes)
            row.update(changes)
            row["name"] = row["full_name"]
        after = keys_of(row)
        # An old address or profile still identifies the person; a former company does not.
        left = before.get("name_company")
        if left is not None and left != after.get("name_company"):
            self._look_up({"name_company": left})
            self._release(lead_id, ("name_company", left))
        new = after.items() - before.items()
        if not new <= self._looked_up:
            self._look_up(after)
        for key in after.items():
            if key in new or key in keys.items():
                self._claim(lead_id, key, after)
        return bool(changes)

    def _look_up(self, keys: Mapping[str, str]) -> None:
        """Look up the owners of keys that no incoming lead has, but a merged one has or had."""
        unknown = dict(keys.items() - self._looked_up)
        self._looked_up |= unknown.items()
        self._owners |= owners_of(self._session.connection(), [unknown])

    def _claim(self, lead_id: str, key: Key, keys: Mapping[str, str]) -> None:
        # The name is part of the key only where the value alone is no key, or another lead has it.
        alone = WITHOUT_NAME.get(key[0])
        value = None if alone is None else keys.get(alone)
        if (
            alone is not None
            and value is not None
            and self._owners.get((alone, value), lead_id) == lead_id
        ):
            return
        if key not in self._owners:
            self._owners[key] = self._claimed[key] = lead_id

    def _release(self, lead_id: str, key: Key) -> None:
        if self._owners.get(key) == lead_id:
            del self._owners[key]
            if self._claimed.pop(key, None) is None:
                self._released[key] = lead_id

    def _update(self, changed: Mapping[str, set[str]]) -> None:
        """Update stored, locked leads; those that change the same fields in one statement."""
        alike: dict[frozenset[str], list[str]] = {}
        for lead_id, fields in changed.items():
            alike.setdefault(frozenset(fields), []).append(lead_id)
        for some, ids in alike.items():
            rows = [
                {"the_id": key} | {f"new_{name}": self.rows[key][name] for name in some}
                for key in ids
            ]
            self._session.connection().execute(_update_of(some), rows)

    def _write(self) -> None:
        rows = [self.rows[lead_id] for lead_id in self._new]
        if len(rows) == 1:
            self._session.add(Lead(**{field: rows[0][field] for field in FIELDS}))
        elif rows:
            _ADD_LEADS.rows(self._session.connection(), rows)
        # New leads that a later lead of the batch changed are already written above.
        changed = {key: some for key, some in self._changed.items() if key in self._loaded}
        if len(changed) == 1:
            for lead_id, fields in changed.items():
                for field in fields:
                    setattr(self._loaded[lead_id], field, self.rows[lead_id][field])
        else:
            self._update(changed)
        self._session.flush()
        if self._merges:
            self._session.connection().execute(insert(_MERGES), self._merges)


Report = Callable[[int, AddOutcome], object]
"""Called with the position of each lead, from 0, and its outcome."""
Within = Callable[[Session, Sequence[AddOutcome]], object]
"""Called with the outcomes of a batch's leads, in the same transaction."""


@dataclass(slots=True)
class AddResult:
    """The outcomes of one call of `add_leads`.

    Attributes:
        created: Number of new leads.
        updated: Number of leads that were already stored, and updated where there was news.
        rejected: Number of leads that could not be stored.
        outcomes: One per lead, in the order given; empty if they were passed to `report`.
    """

    created: int = 0
    updated: int = 0
    rejected: int = 0
    outcomes: list[AddOutcome] = field(default_factory=list)

    def __len__(self) -> int:
        return self.created + self.updated + self.rejected

    @property
    def ids(self) -> list[str]:
        """Ids of the created and updated leads without duplicates, in the order given."""
        found = (outcome.lead_id for outcome in self.outcomes)
        return list(dict.fromkeys(lead_id for lead_id in found if lead_id is not None))

    def take(self, batch: Sequence[AddOutcome], report: Report | None) -> None:
        """Count the outcomes of one batch, and keep them or report them.

        Args:
            batch: The outcomes of the batch, one per lead.
            report: Called with each of them; None to keep them in `outcomes`.
        """
        first = len(self)
        actions = Counter(outcome.action for outcome in batch)
        self.created += actions["created"]
        self.updated += actions["updated"]
        self.rejected += actions["rejected"]
        if report is None:
            self.outcomes += batch
            return
        for place, outcome in enumerate(batch, first):
            report(place, outcome)


def checked(lead: Mapping[Any, Any], columns: Columns = KNOWN_COLUMNS) -> NormalisedLead:
    """Return a lead with its columns mapped to fields, if it can be added.

    Args:
        lead: Values by column.
        columns: The mapping from columns to fields.

    Raises:
        ValidationError: It is not a mapping, has no name, or has a value that cannot be stored.
    """
    found = to_fields(lead, columns)
    if found.fields.get("full_name") is None:
        given = ", ".join(str(column) for column in list(lead)[:8]) or "none at all"
        raise ValidationError(
            "a lead needs a name: give name or full_name, or First Name and Last Name "
            f"(columns given: {given[:200]})"
        )
    return found


def each_batch(
    leads: Iterable[Mapping[Any, Any]], batch_size: int
) -> Iterator[list[Mapping[Any, Any]]]:
    """Split the leads given to `add_leads` into batches; yield one empty batch for no leads.

    Raises:
        ValidationError: `leads` is not an iterable of leads, or `batch_size` is invalid.
    """
    if isinstance(leads, str | bytes | Mapping) or not isinstance(leads, Iterable):
        raise ValidationError(
            f"leads are {values.shown(leads)}; give an iterable of leads, and a single lead to "
            "add_lead"
        )
    empty = True
    for batch in chunks(leads, values.count(batch_size, "batch_size", least=1)):
        empty = False
        yield batch
    if empty:
        yield []


def sorted_out(leads: Iterable[Mapping[Any, Any]]) -> list[Candidate]:
    """Return each lead with its columns mapped to fields, or the error that rejects it."""
    found: list[Candidate] = []
    for lead in leads:
        try:
            found.append(checked(lead))
        except ValidationError as error:
            found.append(error.with_traceback(None))  # its frames refer to this list: a cycle
    return found


def add_batch(intake: Intake, candidates: Sequence[Candidate]) -> list[AddOutcome]:
    """Add the leads of one batch that can be stored, and reject the others; the caller commits.

    Args:
        intake: The intake of the current transaction.
        candidates: The leads, as returned by `sorted_out`.
    """
    good = [one for one in candidates if isinstance(one, NormalisedLead)]
    written = iter(intake.add(good) if good else [])
    return [
        next(written)
        if isinstance(one, NormalisedLead)
        else AddOutcome("rejected", reason=str(one))
        for one in candidates
    ]


def note_batch(call: Operation, call_id: str, number: int, outcomes: Sequence[AddOutcome]) -> None:
    """Enter the outcomes of a batch's leads into its record.

    Args:
        call: The operation of the batch.
        call_id: Id that all batches of one call share.
        number: Number of the batch in the call, from 1.
        outcomes: One per lead of the batch.
    """
    actions = Counter(outcome.action for outcome in outcomes)
    ids = dict.fromkeys(outcome.lead_id for outcome in outcomes if outcome.lead_id is not None)
    call.identify_many(ids, len(ids))
    call.records_affected = sum(outcome.changed for outcome in outcomes)
    call.duplicate_detected = actions["updated"] > 0
    call.duplicate_action = "updated" if actions["updated"] else "none"
    matches = {outcome.matched_on for outcome in outcomes if outcome.action == "updated"}
    call.duplicate_matched_on = matches.pop() if len(matches) == 1 else None
    call.lead_outcomes = {
        "call_id": call_id,
        "batch_number": number,
        "leads_created": actions["created"],
        "leads_updated": actions["updated"],
        "leads_rejected": actions["rejected"],
    }

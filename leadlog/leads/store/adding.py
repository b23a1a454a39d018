"""Checks leads that are to be added, and what adding any number of them batch by batch needs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from leadlog.core.errors import ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.columns import KNOWN_COLUMNS, Columns
from leadlog.leads.store.intake import AddOutcome, Intake
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.normalise import NormalisedLead, to_fields
from leadlog.recording.capture.operation import Operation

__all__ = [
    "AddResult",
    "Candidate",
    "Report",
    "Within",
    "add_batch",
    "checked",
    "each_batch",
    "note_batch",
    "sorted_out",
]

Candidate = NormalisedLead | ValidationError
"""A lead that can be added, or why it cannot."""
Report = Callable[[int, AddOutcome], object]
"""Told the place of each lead, from 0, and what became of it."""
Within = Callable[[Session, Sequence[AddOutcome]], object]
"""Told what becomes of the leads of a batch, in the transaction in which it does."""


@dataclass(slots=True)
class AddResult:
    """What became of the leads that were to be added.

    Attributes:
        created: How many are new.
        updated: How many were there already, and were updated where they had something new.
        rejected: How many could not be stored.
        outcomes: One for each lead, in the order given; none where they were reported.
    """

    created: int = 0
    updated: int = 0
    rejected: int = 0
    outcomes: list[AddOutcome] = field(default_factory=list)

    def __len__(self) -> int:
        return self.created + self.updated + self.rejected

    @property
    def ids(self) -> list[str]:
        """Ids of the leads that were created or updated, each once, in the order given."""
        found = (outcome.lead_id for outcome in self.outcomes)
        return list(dict.fromkeys(lead_id for lead_id in found if lead_id is not None))

    def take(self, batch: Sequence[AddOutcome], report: Report | None) -> None:
        """Count the outcomes of one batch, and keep them or report them.

        Args:
            batch: One for each lead of the batch.
            report: Told of each; None to keep them.
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
    """Return a lead with our names for its columns, if it can be added.

    Args:
        lead: Values by column.
        columns: Tells what the columns are for.

    Raises:
        ValidationError: It is not a mapping, has no name, or a value that cannot be stored.
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
    """Iterate over what `add_leads` was given, batch by batch; no leads are one empty batch.

    Raises:
        ValidationError: `leads` is no iterable of leads, or `batch_size` no number.
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
    """Return each lead with our names for its columns, or why it cannot be added."""
    found: list[Candidate] = []
    for lead in leads:
        try:
            found.append(checked(lead))
        except ValidationError as error:
            found.append(error)
    return found


def add_batch(intake: Intake, candidates: Sequence[Candidate]) -> list[AddOutcome]:
    """Add the leads of one batch that can be stored, and reject the others; the caller commits.

    Args:
        intake: Takes the leads in.
        candidates: The leads, as `sorted_out` gives them.
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
    """Note on the record of a batch what became of its leads.

    Args:
        call: The operation of the batch.
        call_id: The same for all batches of one call.
        number: Which batch of the call, from 1.
        outcomes: One for each lead of the batch.
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

"""Checks leads that are to be added, and adds any number of them batch by batch."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadlog.capturing.operation import Operation
from leadlog.errors import ValidationError
from leadlog.store import values
from leadlog.store.intake import AddOutcome
from leadlog.store.keys import chunks
from leadlog.store.normalise import NormalisedLead, to_fields

__all__ = ["AddResult", "add_in_batches", "checked"]

Write = Callable[[list[NormalisedLead]], list[AddOutcome]]


@dataclass(slots=True)
class AddResult:
    """What became of the leads that were to be added.

    Attributes:
        created: How many are new.
        updated: How many were there already, and were updated where they had something new.
        rejected: How many could not be stored.
        outcomes: One for each lead, in the order given.
    """

    created: int = 0
    updated: int = 0
    rejected: int = 0
    outcomes: list[AddOutcome] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def ids(self) -> list[str]:
        """Ids of the leads that were created or updated, each once, in the order given."""
        found = (outcome.lead_id for outcome in self.outcomes)
        return list(dict.fromkeys(lead_id for lead_id in found if lead_id is not None))

    def count(self, outcomes: Iterable[AddOutcome]) -> None:
        """Take the outcomes of one batch in."""
        batch = list(outcomes)
        actions = Counter(outcome.action for outcome in batch)
        self.created += actions["created"]
        self.updated += actions["updated"]
        self.rejected += actions["rejected"]
        self.outcomes += batch


def checked(lead: Mapping[Any, Any]) -> NormalisedLead:
    """Return a lead with our names for its columns, if it can be added.

    Raises:
        ValidationError: It is no mapping, has no name, or a value that cannot be stored.
    """
    found = to_fields(lead)
    if found.fields.get("full_name") is None:
        columns = ", ".join(str(column) for column in list(lead)[:8]) or "none at all"
        raise ValidationError(
            "a lead needs a name: give name or full_name, or First Name and Last Name "
            f"(columns given: {columns[:200]})"
        )
    return found


def add_in_batches(
    leads: Iterable[Mapping[Any, Any]], batch_size: int, write: Write, call: Operation | None
) -> AddResult:
    """Add leads, `batch_size` in one transaction.

    Args:
        leads: The leads; read as they are needed.
        batch_size: Most leads of one transaction.
        write: Writes the leads of one batch that can be stored, all or none.
        call: Where to note what was done, as it is done.
    """
    if isinstance(leads, str | bytes | Mapping) or not isinstance(leads, Iterable):
        raise ValidationError(
            f"leads are {values.shown(leads)}; give an iterable of leads, and a single lead to "
            "add_lead"
        )
    batch_size = values.count(batch_size, "batch_size", least=1)
    result = AddResult()
    try:
        for batch in chunks(leads, batch_size):
            result.count(_batch(batch, write))
    finally:  # what was committed before an error counts too
        if call is not None:
            _note(call, result)
    return result


def _batch(leads: list[Mapping[Any, Any]], write: Write) -> Iterable[AddOutcome]:
    outcomes: dict[int, AddOutcome] = {}
    good: list[NormalisedLead] = []
    for place, lead in enumerate(leads):
        try:
            good.append(checked(lead))
        except ValidationError as error:
            outcomes[place] = AddOutcome("rejected", reason=str(error))
    written = iter(write(good) if good else [])
    return [outcomes.get(place) or next(written) for place in range(len(leads))]


def _note(call: Operation, result: AddResult) -> None:
    ids = result.ids
    call.identify_many(ids, len(ids))
    call.records_affected = sum(outcome.changed for outcome in result.outcomes)
    call.duplicate_detected = result.updated > 0
    call.duplicate_action = "updated" if result.updated else "none"

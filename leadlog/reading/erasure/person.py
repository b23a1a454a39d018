"""The persons to erase: their identifiers, and what is known to belong to them.

A lead's records name its e-mail addresses, and an error that names neither belongs to an operation
that does. So the request is extended once, over the whole log, before anything is changed: ids to
their addresses, addresses to their ids, both to the operations about them. An address that the log
also relates to another lead is not inherited from an id.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

__all__ = ["Findings", "Identity", "is_telling", "leads_of"]

Data = Mapping[str, Any]


def _texts(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(texts)


def _folded(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(folded for text in texts if (folded := text.strip().casefold()))


@attrs.frozen
class Identity:
    """The identifiers of the persons to erase.

    Attributes:
        lead_ids: ids of the leads.
        emails: casefolded addresses.
        operations: ids of operations about them.
    """

    lead_ids: frozenset[str] = attrs.field(default=frozenset(), converter=_texts)
    emails: frozenset[str] = attrs.field(default=frozenset(), converter=_folded)
    operations: frozenset[str] = attrs.field(default=frozenset(), converter=_texts)

    def __or__(self, other: "Identity") -> "Identity":
        """Return both identities together."""
        return Identity(
            self.lead_ids | other.lead_ids,
            self.emails | other.emails,
            self.operations | other.operations,
        )

    def __bool__(self) -> bool:
        return bool(self.lead_ids or self.emails)

    def texts(self) -> list[str]:
        """Return the texts that must not remain in the log, longest first."""
        return sorted({*self.lead_ids, *self.emails}, key=lambda text: (-len(text), text))

    def is_about(self, event: Data) -> bool:
        """Return whether an event is about one of the persons."""
        for lead_id, email in leads_of(event):
            if lead_id in self.lead_ids or (email or "").casefold() in self.emails:
                return True
        return any(operation in self.operations for operation in _operations_of(event))


_SHORTEST_TELLING = 6


def is_telling(text: str) -> bool:
    """Return whether a text identifies a person without its key; a number does not."""
    return len(text) >= _SHORTEST_TELLING and not text.isdecimal()


class Findings:
    """Relations that the log shows, fed with every event that may name the persons.

    Args:
        asked: the requested identity.
    """

    def __init__(self, asked: Identity) -> None:
        self._asked = asked
        self._ids_of: dict[str, set[str]] = {}
        self._same: dict[str, set[str]] = {}  # ids of one row before and after a change
        self._operations: list[tuple[str | None, str, str]] = []

    def add(self, event: Data) -> None:
        """Add an event."""
        before, after = _renamed(event)
        if before and after:
            self._same.setdefault(before, set()).add(after)
            self._same.setdefault(after, set()).add(before)
        for lead_id, email in leads_of(event):
            folded = (email or "").strip().casefold()
            if lead_id and folded:
                self._ids_of.setdefault(folded, set()).add(lead_id)
            self._operations += (
                (lead_id, folded, operation) for operation in _operations_of(event)
            )

    def identity(self) -> Identity:
        """Return the requested identity and everything that belongs to it."""
        ids, emails = set(self._asked.lead_ids), set(self._asked.emails)
        ids |= {one for email in self._asked.emails for one in self._ids_of.get(email, ())}
        follow = list(ids)
        while follow:
            others = self._same.get(follow.pop(), set()) - ids
            ids |= others
            follow += others
        emails |= {email for email, owners in self._ids_of.items() if owners <= ids}
        operations = {
            operation
            for lead_id, email, operation in self._operations
            if lead_id in ids or email in emails
        }
        return self._asked | Identity(ids, emails, operations)


def leads_of(event: Data) -> Iterator[tuple[str | None, str | None]]:
    """Yield (lead id, e-mail address) of the leads that a record is about; None if unstated."""
    for place, keys in (
        (event.get("lead_identifier"), ("lead_id",)),
        (_section(event, "context").get("lead_data"), ("lead_id", "id")),
    ):
        if not isinstance(place, dict):
            continue
        email = place.get("email")
        lead_id = next((str(place[key]) for key in keys if place.get(key) is not None), None)
        if lead_id is not None or isinstance(email, str):
            yield lead_id, email if isinstance(email, str) else None
    before, _after = _renamed(event)
    if before:
        yield before, None
    changed = _section(event, "data_details").get("fields_changed")
    if isinstance(changed, dict) and isinstance(changed.get("email"), dict):
        lead_id = _section(event, "lead_identifier").get("lead_id")
        for email in changed["email"].values():
            if isinstance(email, str) and isinstance(lead_id, str):
                yield lead_id, email


def _renamed(event: Data) -> tuple[str | None, str | None]:
    """Return a row's id before and after a record that changed it."""
    who = _section(event, "lead_identifier")
    before, after = who.get("previous_lead_id"), who.get("lead_id")
    return (
        before if isinstance(before, str) else None,
        after if isinstance(after, str) else None,
    )


def _operations_of(event: Data) -> Iterator[str]:
    for section in ("operation_details", "context"):
        operation = _section(event, section).get("operation_id")
        if isinstance(operation, str):
            yield operation


def _section(event: Data, name: str) -> Data:
    section = event.get(name)
    return section if isinstance(section, dict) else {}

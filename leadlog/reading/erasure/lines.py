"""Erasure of persons from lines: lines about a person are removed, mentions elsewhere masked.

With a key no line is removed: in lines about a person all personal data become pseudonyms, as made
by `leadlog_processors.privacy`, and so do ids and addresses in other lines.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from leadlog.reading.erasure.person import Identity
from leadlog.reading.erasure.spelling import Spelling
from leadlog.reading.events import decode
from leadlog_processors.privacy import Privacy

__all__ = ["Cover", "mentions"]

MASK = "***"
_GONE = object()


def mentions(identity: Identity) -> Callable[[bytes], bool]:
    """Return a fast test of whether bytes may name one of the persons or their operations."""
    spelling = Spelling(identity.texts())
    operations = [re.escape(text.encode()) for text in identity.operations]
    found = re.compile(b"|".join(operations) or rb"(?!)").search
    return lambda content: spelling.may_be_in(content) or found(content) is not None


class Cover:
    """Erases persons from content, line by line.

    Args:
        identity: the persons.
        key: key of the pseudonyms; None to remove lines about them and mask them with `***`
            elsewhere.

    Attributes:
        lines_removed: number of lines removed so far.
        lines_changed: number of lines changed so far.
        events: id, UTC day and new line (None if removed) of each event that was removed or changed
            so far.
    """

    def __init__(self, identity: Identity, key: bytes | None = None) -> None:
        self._identity = identity
        self._privacy = Privacy("pseudonymised", key) if key else None
        self._mentions = mentions(identity)
        self._spelling = Spelling(identity.texts())
        self.lines_removed = self.lines_changed = 0
        self.events: list[tuple[str, str, bytes | None]] = []

    def lines(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the content without the persons, in blocks.

        Args:
            content: blocks of lines, of any length.
        """
        rest = b""
        for block in content:
            whole, newline, tail = (rest + block).rpartition(b"\n")
            rest = tail
            if newline:
                yield self._block(whole + newline)
        if rest and self._line(rest) is not None:
            yield self._line(rest) or b""

    def _block(self, block: bytes) -> bytes:
        if not self._mentions(block):
            return block
        kept = []
        for line in block[:-1].split(b"\n"):
            new = line if not self._mentions(line) else self._counted(line)
            if new is not None:
                kept.append(new + b"\n")
        return b"".join(kept)

    def _counted(self, line: bytes) -> bytes | None:
        new = self._line(line)
        self.lines_removed += new is None
        self.lines_changed += new is not None and new != line
        if new != line:
            event = decode(line)
            event_id = None if event is None else event.get("event_id")
            if event is not None and type(event_id) is str:
                self.events.append((event_id, event["timestamp"][:10], new))
        return new

    def _line(self, line: bytes) -> bytes | None:
        """Return the line to keep in its place; None to remove it."""
        if not self._mentions(line):
            return line
        event = decode(line)
        if event is None:
            return None  # what else in it concerns the person is unknown
        about = self._identity.is_about(event)
        if about and self._privacy is None:
            return None
        if about and self._privacy is not None:
            event = dict(self._privacy(None, "info", event))
        covered = self.covered(event)
        if covered == event and not about:
            return line
        content = orjson.dumps(covered)
        # No rule can remove what still remains in it.
        return None if any(map(self._spelling.is_in, _texts(covered))) else content

    def covered(self, value: Any) -> Any:
        """Return a value without entries about the persons and without their identifiers."""
        if isinstance(value, str):
            return self._spelling.replaced(value, self._stand_in)
        if isinstance(value, dict):
            return {self._key(key, value): self.covered(item) for key, item in value.items()}
        if isinstance(value, list):
            return [item for item in map(self._entry, value) if item is not _GONE]
        return value

    def _key(self, key: str, others: dict[str, Any]) -> str:
        """Return a key without the persons, distinct from the other keys."""
        covered = new = self._spelling.replaced(key, self._stand_in)
        number = 1
        while new != key and new in others:
            number += 1
            new = f"{covered}_{number}"
        return new

    def _entry(self, item: Any) -> Any:
        """Return a list's entry without the persons; `_GONE` to remove an entry about one."""
        if self._is_entry(item):
            if self._privacy is None:
                return _GONE
            if isinstance(item, dict):
                item = self._privacy(None, "info", item)
        return self.covered(item)

    def _is_entry(self, item: Any) -> bool:
        """Return whether an entry of a list is about a person: a lead of a sync, or an id."""
        if isinstance(item, dict):
            email = item.get("email")
            return str(item.get("lead_id", item.get("id"))) in self._identity.lead_ids or (
                isinstance(email, str) and email.casefold() in self._identity.emails
            )
        return isinstance(item, str) and (
            item in self._identity.lead_ids or item.casefold() in self._identity.emails
        )

    def _stand_in(self, text: str) -> str:
        if self._privacy is None:
            return MASK
        # The same pseudonym as for any personal key, so that records can still be joined.
        stand_in: str = self._privacy(None, "info", {"name": text})["name"]
        return stand_in


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, including keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

"""Reads the records of a JSON source one at a time, in constant memory.

A source is an array of records, an object with such an array under a key like `leads`, `contacts`
or `data`, a single record, or any number of these in sequence, like JSON Lines. A record that
cannot be read becomes one `Broken` with the reason and its text, and reading continues at the next
record if that can be located.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from leadlog.core.doors import parameter
from leadlog.leads.migration.decoding import NOT_UTF8, Broken, Decoder, Read, shown
from leadlog.leads.migration.window import RAW_KEPT, TextWindow, ValueScanner
from leadlog.leads.store.normalise import field_of

__all__ = ["LARGEST_RECORD", "WRAPPERS", "JsonReader"]

LARGEST_RECORD = 4 * 1024 * 1024
"""Maximum length of a record, in characters."""

_TRIALS = 50
# fmt: off
WRAPPERS = frozenset({
    "leads", "contacts", "people", "persons", "prospects", "members", "connections", "customers",
    "users", "records", "results", "items", "rows", "entries", "elements", "objects", "values",
    "value", "data", "list", "response", "result", "hits", "edges", "nodes", "docs", "documents",
    "profiles", "subscribers",
})
# fmt: on
"""Keys that can contain the records of a source, directly or nested."""
_LEADS_FIRST = re.compile(r'\{\s*"leads"\s*:\s*\[')
_DEEPEST = 3
_OF_A_PERSON = frozenset({"email", "phone", "linkedin_url", "title", "company"})
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_OPENS = re.compile(r"\s*:\s*([\[{])")
_RECORD_FOLLOWS = re.compile(r"\s*\{")
_NEXT_IN_ARRAY = re.compile(r',\s*(?=\{\s*")')
_NEXT_LINE = re.compile(r'\n\s*(?=\{\s*")')
_SURE = frozenset('"[{')
_TAIL = 4
"""Characters that `json` may leave of a number that is cut off: of `1e+`, `1` is decoded."""


_CONTAINER = Broken("an object with records in it", 0)
"""Placeholder for an object that contains records but is not one itself."""


class JsonReader:
    """Iterates over the records of a JSON text.

    Args:
        window: A window over the text, at its beginning.
        largest: Maximum length of a record, in characters.
        escaped: Returns whether the text may contain surrogates for bytes that are not UTF-8.

    Attributes:
        notes: Counts of harmless irregularities of the source, by description.
    """

    def __init__(
        self,
        window: TextWindow,
        *,
        largest: int = LARGEST_RECORD,
        escaped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._window = window
        self._largest = largest
        self._escaped = escaped
        self.notes: Counter[str] = Counter()
        self._decode = Decoder(self.notes)
        self._keys: frozenset[str] = frozenset()
        self._cut_off = False

    def __iter__(self) -> Iterator[Read | Broken]:
        window = self._window
        while sign := window.next_sign():
            if sign == "[":
                window.pos += 1
                yield from self._elements()
            elif sign == "{":
                yield from self._object()
            elif sign in ",]}":
                # The remainder of a record that could not be separated from its neighbours.
                yield self._reject(f"a {sign} outside any record", window.pos + 1)
            else:
                yield self._one(in_array=False)

    # ------------------------------------------------------------------------------- structure

    def _elements(self) -> Iterator[Read | Broken]:
        """Yield the elements of an array, up to and including its closing bracket."""
        window = self._window
        between = True
        while sign := window.next_sign():
            if sign == "]":
                window.pos += 1
                return
            if sign == ",":
                window.pos += 1
                if between:
                    self.notes["commas too many"] += 1
                between = True
                continue
            if not between:
                self.notes["commas missing between records"] += 1
            between = False
            if sign == "}":
                yield self._reject("a } outside any record", window.pos + 1)
            else:
                yield self._one(in_array=True)
        if not self._cut_off:
            yield Broken(
                "the source ends before its array is closed with ]: it may have been cut off, and "
                "the rest is missing",
                window.line(window.pos),
            )

    def _object(self) -> Iterator[Read | Broken]:
        """Yield a record, or the records in an object that wraps them."""
        window = self._window
        while window.ahead < RAW_KEPT and window.more():
            pass
        match = _LEADS_FIRST.match(window.text, window.pos)
        inside = _Inside(match.end(), ("leads",)) if match else None
        if inside is None:
            found = self._one(in_array=False, container=True)
            if found is not _CONTAINER:
                yield found
                return
            inside = _records_in(window.text, window.pos)
            if inside is None:  # its key is spelled with escapes
                yield self._skip("it has its records under a key that is spelled with escapes")
                return
        self.notes[f"sources with their records under {'.'.join(inside.path)}"] += 1
        window.pos = inside.pos
        yield from self._elements()
        rest = ValueScanner(stack=b"{" * len(inside.path))
        while window.ahead or window.more():
            end = rest.feed(window.text, window.pos)
            window.pos = len(window.text) if end is None else end
            if end is not None:
                return

    # --------------------------------------------------------------------------------- records

    def _one(self, *, in_array: bool, container: bool = False) -> Read | Broken:
        """Return the record at the window's position; `_CONTAINER` if it wraps records.

        Args:
            in_array: Whether the record is an element of an array.
            container: Whether it may be an object that wraps records.
        """
        window = self._window
        while True:
            text, start = window.text, window.pos
            try:
                value, end = self._decode(text, start)
            except RecursionError:
                return self._skip("it is nested too deeply; flatten it")
            except json.JSONDecodeError as error:
                if container and _records_in(text, start) is not None:
                    return _CONTAINER
                if window.ahead >= self._largest:
                    return self._too_large(error, in_array=in_array)
                if not window.ended and ValueScanner().feed(text, start) is None:
                    window.more()
                    continue
                return self._recover(error, in_array=in_array)
            except ValueError:  # Python's own limit of digits
                return self._skip("it has a number of more than 4300 digits; write it as text")
            if end > len(text) - _TAIL and not window.ended and text[start] not in _SURE:
                window.more()  # the number may continue
                continue
            if end - start > self._largest:
                return self._reject(self._size_reason(), end)
            if container and isinstance(value, dict) and _is_wrapper(value):
                return _CONTAINER
            return self._accept(value, end)

    def _accept(self, value: Any, end: int) -> Read | Broken:
        window, start = self._window, self._window.pos
        if self._decode.problem is not None:
            return self._reject(self._decode.problem, end)
        if self._escaped() and (found := NOT_UTF8.search(window.text, start, end)):
            octet = found.group().encode("utf-8", "surrogateescape")[0]
            return self._reject(
                f"the byte 0x{octet:02x} is not UTF-8; the text is shown as Windows-1252 has it, "
                "so check it, or give the encoding of the source with "
                f"{parameter('encoding', '--encoding')}",
                end,
            )
        self._decode.accepted()
        if isinstance(value, dict):
            self._keys = frozenset(value)
        size = end - window.pos
        window.pos = end
        return Read(value, size=size)

    def _reject(self, reason: str, end: int) -> Broken:
        """Skip the text from the window's position to `end`, and return it as broken."""
        window, start = self._window, self._window.pos
        line = window.line(start)
        raw = shown(window.text[start : min(end, start + RAW_KEPT)])
        window.pos = end
        return Broken(reason, line, raw.strip(), end - start > RAW_KEPT)

    def _size_reason(self) -> str:
        return (
            f"it has more than {self._largest} characters; a lead is shorter, so shorten its "
            "longest value"
        )

    def _too_large(self, error: json.JSONDecodeError, *, in_array: bool) -> Broken:
        """Skip and return a record without an end within the maximum size: too large, or broken."""
        end = self._end(error.pos - self._window.pos, in_array=in_array)
        if end is not None:
            return self._reject(_syntax(error, self._window), end)
        return self._skip(self._size_reason())

    def _skip(self, reason: str) -> Broken:
        """Skip and return a record of any length, by matching its brackets and quotes."""
        window, start = self._window, self._window.pos
        line, began = window.line(start), window.offset(start)
        raw = shown(window.text[start : start + RAW_KEPT])
        scan = ValueScanner()
        while True:
            end = scan.feed(window.text, window.pos)
            window.pos = len(window.text) if end is None else end
            if end is not None:
                break
            if not window.more():
                self._cut_off = True
                reason = f"{reason}; the source ends before it does, so nothing after it was read"
                break
        size = window.offset(window.pos) - began
        return Broken(reason, line, raw.strip(), size > RAW_KEPT)

    # -------------------------------------------------------------------------------- recovery

    def _recover(self, error: json.JSONDecodeError, *, in_array: bool) -> Broken:
        """Skip and return a record with a syntax error; only that record, if its end is found."""
        window = self._window
        reason = _syntax(error, window)
        fault = error.pos - window.pos
        end = self._end(fault, in_array=in_array)
        while end is None and window.ahead < self._largest and window.more():
            end = self._end(fault, in_array=in_array)
        if end is not None:
            return self._reject(reason, end)
        self._cut_off = True
        if not window.ended:
            return self._skip(f"{reason}; where the next record begins cannot be determined")
        return self._reject(
            f"{reason}; the source ends inside this record: it was cut off, or a quote or bracket "
            "is missing, and what may follow in its text could not be separated",
            len(window.text),
        )

    def _end(self, fault: int, *, in_array: bool) -> int | None:
        """Return the most likely end of a broken record; None if it is not in the window.

        Args:
            fault: Offset of the syntax error in the record.
            in_array: Whether the record is an element of an array.
        """
        window = self._window
        text, start = window.text, window.pos
        ends = [
            end
            for newline_ends_string in (True, False)
            if (end := ValueScanner(newline_ends_string=newline_ends_string).feed(text, start))
            is not None
            and end > start
            and self._is_boundary(end, in_array=in_array)
        ]
        if not in_array:
            # In JSON Lines a line is a record, even if its brackets do not match.
            line_end = text.find("\n", start + fault)
            if line_end > 0 and self._is_record(line_end, trust=True):
                ends.append(line_end)
        nearest = min(ends, default=len(text))
        following = _NEXT_IN_ARRAY if in_array else _NEXT_LINE
        for trial, match in enumerate(following.finditer(text, start + 1, nearest)):
            if trial == _TRIALS:
                break
            if self._is_record(match.end(), trust=False):
                return match.start()
        return min(ends, default=None)

    def _is_boundary(self, end: int, *, in_array: bool) -> bool:
        """Return whether the text after `end` can follow a record."""
        text = self._window.text
        rest = text[end : end + 200].lstrip()
        if not rest:
            return self._window.ended or end < len(text)
        if in_array:
            return rest[0] in ",]"
        return rest[0] in '{["' or "\n" in text[end : end + 200].partition(rest[0])[0]

    def _is_record(self, pos: int, *, trust: bool) -> bool:
        """Return whether a position begins a record, similar to earlier ones unless trusted."""
        text = self._window.text
        pos += len(text[pos : pos + 200]) - len(text[pos : pos + 200].lstrip())
        if pos >= len(text):
            return trust
        try:
            value, _ = self._decode(text, pos)
        except (ValueError, RecursionError):
            return False
        if trust:
            return True
        return isinstance(value, dict) and 2 * len(self._keys & value.keys()) > len(value)


def _syntax(error: json.JSONDecodeError, window: TextWindow) -> str:
    place = f"line {window.line(error.pos)}, column {window.column(error.pos)}"
    return f"its syntax is wrong: {error.msg} ({place})"


def _is_wrapper(value: dict[str, Any]) -> bool:
    """Return whether an object is not a record itself but has records under a key."""
    if isinstance(value.get("leads"), list):
        return True
    if any(item and field_of(key) in _OF_A_PERSON for key, item in value.items()):
        return False
    for _ in range(_DEEPEST):
        inner = next((value[key] for key in value if key in WRAPPERS and value[key]), None)
        if isinstance(inner, list):
            return all(isinstance(one, dict) for one in inner[:_TRIALS])
        if not isinstance(inner, dict):
            return False
        value = inner
    return False


@dataclass(frozen=True, slots=True)
class _Inside:
    """The position of an object's array of records, and the path of keys to it."""

    pos: int
    path: tuple[str, ...]


def _records_in(text: str, start: int) -> _Inside | None:
    """Return the position of the records in the object at `start`; None if it has none."""
    path: list[str] = []
    depth, pos = 0, start
    while match := _TOKEN.search(text, pos):
        found, pos = match.group(), match.end()
        if found in {"{", "["}:
            depth += 1
        elif found in {"}", "]"}:
            depth -= 1
            if depth <= len(path):
                return None
        elif depth == len(path) + 1 and found[1:-1] in WRAPPERS:
            follows = _OPENS.match(text, pos)
            if follows is None:
                continue
            key, records = found[1:-1], follows.group(1) == "["
            if records and (key == "leads" or _RECORD_FOLLOWS.match(text, follows.end())):
                return _Inside(follows.end(), (*path, key))
            if not records and len(path) < _DEEPEST:
                path.append(key)
                depth, pos = depth + 1, follows.end()
    return None

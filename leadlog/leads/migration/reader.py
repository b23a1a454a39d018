"""Reads the records of a JSON source one by one, in constant memory.

A source is an array of records, an object with such an array under a key like `leads`, `contacts`
or `data`, a single record, or any number of these one after the other, as JSON Lines are. A record
that cannot be read is one `Broken`, with the reason and its text, and reading goes on with the next
one where that can be found.
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

__all__ = ["LARGEST_RECORD", "JsonReader"]

LARGEST_RECORD = 4 * 1024 * 1024
"""Longest record that is read, characters."""

_TRIALS = 50
# fmt: off
_WRAPPERS = frozenset({
    "leads", "contacts", "people", "persons", "prospects", "members", "connections", "customers",
    "users", "records", "results", "items", "rows", "entries", "elements", "objects", "values",
    "value", "data", "list", "response", "result",
})
# fmt: on
"""Keys under which the records of a source are, directly or one in another."""
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
"""What json may leave of a number that is cut in the middle: `1` is a number, and `e+` is none."""


_CONTAINER = Broken("an object with records in it", 0)
"""Stands for an object that is no record itself."""


class JsonReader:
    """Iterates over the records of a JSON text.

    Args:
        window: A window over the text, at its beginning.
        largest: Longest record that is read, characters.
        escaped: Says whether the text may have surrogates that stand for bytes that are not UTF-8.

    Attributes:
        notes: What was odd about the source, though nothing was lost by it, and how often.
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
                # The rest of a record that could not be separated from its neighbours.
                yield self._reject(f"a {sign} outside any record", window.pos + 1)
            else:
                yield self._one(in_array=False)

    # ------------------------------------------------------------------------------- structure

    def _elements(self) -> Iterator[Read | Broken]:
        """Yield the elements of an array, up to and with its closing bracket."""
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
                "what came after is not there",
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
        """Return the record at the window's place; `_CONTAINER` for an object that wraps them.

        Args:
            in_array: Whether it is an element of an array.
            container: Whether it may be such an object.
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
                window.more()  # a number may go on
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
        """Pass over the text from the window's place to `end`."""
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
        """Return a record that did not come to its end in time: too large, or broken."""
        end = self._end(error.pos - self._window.pos, in_array=in_array)
        if end is not None:
            return self._reject(_syntax(error, self._window), end)
        return self._skip(self._size_reason())

    def _skip(self, reason: str) -> Broken:
        """Pass over a record by its brackets and quotes, however long it is."""
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
        """Skip a record whose syntax is wrong, and only that record where its end can be found."""
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
        """Where a broken record most likely ends, if that is in the window.

        Args:
            fault: Where its syntax is wrong, from its beginning.
            in_array: Whether it is an element of an array.
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
            # A line of JSON Lines is a record, whatever its brackets say.
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
        """Return whether what follows is what may follow a record."""
        text = self._window.text
        rest = text[end : end + 200].lstrip()
        if not rest:
            return self._window.ended or end < len(text)
        if in_array:
            return rest[0] in ",]"
        return rest[0] in '{["' or "\n" in text[end : end + 200].partition(rest[0])[0]

    def _is_record(self, pos: int, *, trust: bool) -> bool:
        """Return whether a record can be read at a place: one like those before, unless trusted."""
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
    """Return whether an object is none of the records, but has them under a key."""
    if isinstance(value.get("leads"), list):
        return True
    if any(item and field_of(key) in _OF_A_PERSON for key, item in value.items()):
        return False
    for _ in range(_DEEPEST):
        inner = next((value[key] for key in value if key in _WRAPPERS and value[key]), None)
        if isinstance(inner, list):
            return all(isinstance(one, dict) for one in inner[:_TRIALS])
        if not isinstance(inner, dict):
            return False
        value = inner
    return False


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where the array of records of an object begins, and the keys that lead there."""

    pos: int
    path: tuple[str, ...]


def _records_in(text: str, start: int) -> _Inside | None:
    """Where the records of the object at `start` begin, if that is in the text."""
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
        elif depth == len(path) + 1 and found[1:-1] in _WRAPPERS:
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

"""Records that could be read, records that could not, and the JSON decoder."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

__all__ = ["NOT_UTF8", "Broken", "Decoder", "Read", "RowDecoding", "shown"]

NOT_UTF8 = re.compile("[\udc80-\udcff]+")
"""Bytes that are not UTF-8, decoded as lone surrogates."""


@dataclass(frozen=True, slots=True)
class RowDecoding:
    """The context needed to parse a single row of a table.

    Attributes:
        header: Names of the columns.
        delimiter: The delimiter of cells.
    """

    header: tuple[str, ...]
    delimiter: str

    def joined(self, cells: Sequence[object]) -> str:
        """Return cells as one line of delimited text."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator="")
        writer.writerow("" if cell is None else cell for cell in cells)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read, or a part of a source without a record.

    Attributes:
        reason: The reason why it cannot be read.
        line: Number of its first line, from 1.
        raw: Its text, truncated to 65,536 characters; empty if there is none.
        cut: Whether the text was truncated.
        table: The table that contains the row; None for JSON.
    """

    reason: str
    line: int
    raw: str = ""
    cut: bool = False
    table: RowDecoding | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A record that could be read.

    Attributes:
        value: The record.
        line: Number of its first line, from 1; None if lines were not counted.
        size: Length of its text in characters.
    """

    value: Any
    line: int | None = None
    size: int = 0


class Decoder:
    """The decoder of `json`, with checks for input that it would accept silently.

    Args:
        notes: Counts irregularities of accepted values.

    Attributes:
        problem: The reason to reject the last decoded value; None to accept it.
    """

    def __init__(self, notes: Counter[str]) -> None:
        self._notes = notes
        self.problem: str | None = None
        self._nan = 0
        self._decode = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._float,
        ).raw_decode

    def __call__(self, text: str, pos: int) -> tuple[Any, int]:
        """Decode the value at a position like `raw_decode`; return the value and its end."""
        self.problem = None
        self._nan = 0
        return self._decode(text, pos)

    def accepted(self) -> None:
        """Count the irregularities of the last decoded value."""
        if self._nan:
            self._notes["records with NaN, which is read as blank"] += 1

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: dict[str, Any] = {}
            for key, value in pairs:
                if key in seen and seen[key] != value:
                    self.problem = (
                        f"the key {key[:60]!r} occurs twice, with different values; keep one of "
                        "them, or rename the other"
                    )
                seen[key] = value
        return found

    def _constant(self, name: str) -> None:
        if name == "NaN":
            self._nan += 1
        else:
            self.problem = f"{name} is not a JSON number; write a number, a text or null"

    def _float(self, digits: str) -> float:
        found = float(digits)
        if isinf(found):
            self.problem = f"the number {digits[:40]} is larger than any float; write it as text"
        return found


def shown(raw: str) -> str:
    """Return a text with its non-UTF-8 bytes decoded as Windows-1252, the most likely encoding."""
    return NOT_UTF8.sub(
        lambda found: found.group().encode("utf-8", "surrogateescape").decode("cp1252", "replace"),
        raw,
    )

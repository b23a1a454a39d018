"""A record that was read, one that could not be, and the decoder that separates them."""

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
"""Bytes that are not UTF-8, as surrogates."""


@dataclass(frozen=True, slots=True)
class RowDecoding:
    """What is needed to read a row of a table by itself.

    Attributes:
        header: Names of the columns.
        delimiter: What is between two cells.
    """

    header: tuple[str, ...]
    delimiter: str

    def joined(self, cells: Sequence[object]) -> str:
        """Return cells as a line of text."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator="")
        writer.writerow("" if cell is None else cell for cell in cells)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read, or a part of a source that has none.

    Attributes:
        reason: Why.
        line: The line that it begins in, from 1.
        raw: Its text, cut to 65,536 characters; empty where there is none.
        cut: Whether there was more.
        table: The table that it is a row of; None for JSON.
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
        line: The line that it begins in, from 1; None where it was not counted.
        size: How long its text is, characters.
    """

    value: Any
    line: int | None = None
    size: int = 0


class Decoder:
    """json's own decoder, with an eye on what it would pass over in silence.

    Args:
        notes: Told what was odd about values that were accepted, and how often.

    Attributes:
        problem: Why the value that was decoded last is not to be taken; None if it is.
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
        """Decode the value at a place of a text, as `raw_decode` does; return it and its end."""
        self.problem = None
        self._nan = 0
        return self._decode(text, pos)

    def accepted(self) -> None:
        """Note what was odd about the value that was decoded last."""
        if self._nan:
            self._notes["records with NaN, which is read as blank"] += 1

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: dict[str, Any] = {}
            for key, value in pairs:
                if key in seen and seen[key] != value:
                    self.problem = (
                        f"the key {key[:60]!r} is there twice, with different values; keep one of "
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
    """Return a text in which bytes that are not UTF-8 are read as Windows-1252, which is likely."""
    return NOT_UTF8.sub(
        lambda found: found.group().encode("utf-8", "surrogateescape").decode("cp1252", "replace"),
        raw,
    )

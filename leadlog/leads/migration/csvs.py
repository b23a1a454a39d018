"""Reads the records of a table with a header, CSV or TSV, row by row."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator

from leadlog.leads.migration.decoding import Broken, Read
from leadlog.leads.migration.window import RAW_KEPT

__all__ = ["TableReader"]

_DELIMITERS = (",", ";", "\t", "|")
_LINE = 4 * 1024 * 1024


class _Lines:
    """The lines of a text, and those that belong to the row being read."""

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read = read
        self.number = 0
        self.row: list[str] = []
        self._row_size = 0

    def __iter__(self) -> Iterator[str]:
        rest = ""
        while piece := self._read(RAW_KEPT):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                yield self._note(f"{line}\n")
            if len(rest) > _LINE:
                yield self._note(rest)  # longer than any row: csv says so
                rest = ""
        if rest:
            yield self._note(rest)

    def _note(self, line: str) -> str:
        self.number += 1
        if self._row_size < RAW_KEPT:
            self.row.append(line[:RAW_KEPT])
        self._row_size += len(line)
        return line

    def broken(self, reason: str) -> Broken:
        """The row that was read last, which is no record."""
        raw = "".join(self.row)
        first = max(1, self.number - len(self.row) + 1)
        return Broken(reason, first, raw[:RAW_KEPT].rstrip("\r\n"), self._row_size > RAW_KEPT)

    def next_row(self) -> None:
        """Forget the lines of the row that was read last."""
        self.row.clear()
        self._row_size = 0


class TableReader:
    """Iterates over the rows of a table as mappings of its header's names to texts.

    Args:
        read: Gives about so many characters more; an empty text at the end.
        escaped: Says whether the text may have surrogates that stand for bytes that are not UTF-8.

    Attributes:
        notes: What was odd about the source, though nothing was lost by it, and how often.
    """

    def __init__(self, read: Callable[[int], str], escaped: Callable[[], bool]) -> None:
        self._lines = _Lines(read)
        self._escaped = escaped
        self.notes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Read | Broken]:
        lines = self._lines
        source = iter(lines)
        first = next(source, None)
        if first is None:
            return
        delimiter = max(_DELIMITERS, key=first.count)
        header = self._header(next(csv.reader([first], delimiter=delimiter)))
        lines.next_row()
        rows = csv.reader(source, delimiter=delimiter, strict=True)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield lines.broken(f"the row cannot be read: {error}")
                lines.next_row()
                continue
            if row:
                yield self._one(header, row)
            lines.next_row()

    def _header(self, names: list[str]) -> list[str]:
        seen: Counter[str] = Counter()
        header = []
        for place, name in enumerate(names, 1):
            wanted = name.strip() or f"column {place}"
            seen[wanted] += 1
            if seen[wanted] > 1:
                self.notes[f"columns named {wanted[:60]!r}"] = seen[wanted]
                wanted = f"{wanted} ({seen[wanted]})"
            header.append(wanted)
        return header

    def _one(self, header: list[str], row: list[str]) -> Read | Broken:
        if len(row) > len(header):
            return self._lines.broken(
                f"the row has {len(row)} cells and the header {len(header)}; put quotes around "
                "cells that have the delimiter in them"
            )
        if self._escaped() and any(not cell.isascii() and _has_bytes(cell) for cell in row):
            return self._lines.broken("the row is not UTF-8; give the encoding of the source")
        size = sum(map(len, row))
        return Read(dict(zip(header, row, strict=False)), self._lines.number, size)


def _has_bytes(cell: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in cell)

"""Reads the rows of delimited text: CSV and TSV in any dialect; broken rows are reported.

A row that cannot be read (a stray quote, an unclosed quote, a text longer than any record) becomes
one row with a problem. Reading continues at the next line that is plausible as a row; the lines in
between belong to the broken row.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from leadlog.leads.migration.reader import LARGEST_RECORD
from leadlog.leads.migration.window import RAW_KEPT

__all__ = ["DELIMITERS", "CsvRows", "RowReader", "TableRow"]

DELIMITERS = (",", ";", "\t", "|")
"""The delimiters considered in detection."""

_SAMPLE = 256 * 1024
_DETECTED = 8 * 1024
_JUDGED = 200
_MOSTLY = 0.8
_SEPARATOR = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)
_CLOSED = "it is quoted and longer than {:,} characters; shorten its longest cell"
_SYNTAX = "the row cannot be read: {}; double the quotes inside a quoted cell"
_UNCLOSED = "the row cannot be read: a quote in it is never closed"


@dataclass(slots=True)
class TableRow:
    """A row of a table.

    Attributes:
        cells: Its cells; empty if it cannot be read.
        line: Number of its first line, or its number in a sheet, from 1.
        lines: The lines of its text.
        problem: The reason why it cannot be read; None if it can.
        cut: Whether the text was truncated.
    """

    cells: list[Any]
    line: int
    lines: list[str] = field(default_factory=list)
    problem: str | None = None
    cut: bool = False

    @property
    def raw(self) -> str:
        """The text of the row, truncated to the kept length."""
        return "".join(self.lines)[:RAW_KEPT].rstrip("\r\n")

    @property
    def blank(self) -> bool:
        """Whether the row could be read but has only blank cells."""
        return self.problem is None and not any(
            cell.strip() if isinstance(cell, str) else cell is not None for cell in self.cells
        )


class RowReader(Protocol):
    """The rows of a table in any file format.

    Attributes:
        delimiter: Delimiter of cells in rows that are reported as text.
        plausible: Returns whether cells can form a row; set when the header is known.
    """

    delimiter: str
    plausible: Callable[[list[str]], bool]

    def first(self, count: int) -> list[TableRow]:
        """Return the first rows without consuming them."""
        ...

    def skip_to(self, line: int) -> None:
        """Skip all lines before `line`."""
        ...

    def __iter__(self) -> Iterator[TableRow]: ...


class _RowTooLongError(Exception):
    """A row whose end was not found within the maximum size of a record."""


class _Lines:
    """The lines of a text, with the lines of the current row and lines that were put back."""

    def __init__(self, read: Callable[[int], str], largest: int) -> None:
        self._read = read
        self._largest = largest
        self._ahead: deque[str] = deque()
        self._rest = ""
        self._ended = False
        self._returns = False
        self.number = 0
        self.taken: list[str] = []
        self._size = 0

    def sample(self) -> list[str]:
        """Return the first lines without consuming them."""
        while not self._ended and sum(map(len, self._ahead)) < _SAMPLE:
            self._fill()
        return list(self._ahead)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.next()
        self._size += len(line)
        if self._size > self._largest and len(self.taken) > 1:
            raise _RowTooLongError
        return line

    def next(self) -> str:
        """Return the next line, regardless of the length of the row."""
        while not self._ahead:
            if self._ended:
                raise StopIteration
            self._fill()
        line = self._ahead.popleft()
        self.number += 1
        self.taken.append(line)
        return line

    def _fill(self) -> None:
        piece = self._read(RAW_KEPT)
        if not piece:
            self._ended = True
            if self._rest:
                self._ahead.append(self._rest)
            self._rest = ""
            return
        text = self._rest + piece
        if self._returns or ("\n" not in text and "\r" in text[:-1]):
            self._returns = True  # line ends of classic Mac OS
            text = text.replace("\r", "\n")
        *lines, self._rest = text.split("\n")
        self._ahead.extend(f"{line}\n" for line in lines)
        if len(self._rest) > self._largest:
            self._ahead.append(self._rest)
            self._rest = ""

    def begin_row(self) -> None:
        """Discard the lines of the previous row."""
        self.taken = []
        self._size = 0

    def put_back(self, lines: list[str], instead: list[str] | None = None) -> None:
        """Put the last lines back to be read again, or others instead."""
        self._ahead.extendleft(reversed(lines if instead is None else instead))
        self.number -= len(lines)


class CsvRows:
    """Iterates over the rows of delimited text.

    Args:
        read: Returns about the given number of further characters; an empty text at the end.
        delimiter: The delimiter of cells; None to detect it.
        largest: Maximum length of a row, in characters.

    Attributes:
        delimiter: The delimiter of cells.
        plausible: Returns whether cells can form a row; used after the header.
    """

    def __init__(
        self,
        read: Callable[[int], str],
        delimiter: str | None = None,
        *,
        largest: int = LARGEST_RECORD,
    ) -> None:
        self._largest = largest
        self._lines = _Lines(read, largest)
        self.plausible: Callable[[list[str]], bool] = lambda cells: len(cells) > 1
        self._sample = sample = self._lines.sample()
        escape: str | None = None
        if sample and (given := _SEPARATOR.fullmatch(sample[0].strip())):
            self._lines.next()
            self._sample = sample = sample[1:]
            separator = given.group(1)
            delimiter = delimiter or ("\t" if separator == "\\t" else separator)
        if delimiter is None:
            delimiter, escape = _dialect(sample)
        self.delimiter = delimiter
        self._options: dict[str, Any] = {
            "delimiter": delimiter,
            "escapechar": escape,
            **_quoting(sample, delimiter),
        }
        if csv.field_size_limit() < largest:
            csv.field_size_limit(largest)

    def first(self, count: int) -> list[TableRow]:
        """Return the first rows up to a broken one, without consuming them."""
        before = self._lines.number
        rows = csv.reader(self._sample, **self._options)
        found: list[TableRow] = []
        number = 0
        try:
            for cells in islice(rows, count):
                found.append(TableRow(cells, before + number + 1))
                number = rows.line_num
        except csv.Error:
            pass  # a broken row is reported in the iteration
        return found

    def skip_to(self, line: int) -> None:
        """Skip all lines before `line`."""
        while self._lines.number < line - 1:
            try:
                self._lines.next()
            except StopIteration:
                return

    def __iter__(self) -> Iterator[TableRow]:
        lines = self._lines
        rows = csv.reader(lines, strict=True, **self._options)
        while True:
            lines.begin_row()
            try:
                cells = next(rows)
            except StopIteration:
                return
            except (csv.Error, _RowTooLongError) as error:
                row = self._broken(error)
                if row is not None:
                    yield row
                rows = csv.reader(lines, strict=True, **self._options)
                continue
            if cells:
                taken = lines.taken
                yield TableRow(cells, lines.number - len(taken) + 1, taken)

    def _broken(self, error: Exception) -> TableRow | None:
        """Skip and return a broken row; return None if it only had to be split into lines."""
        lines = self._lines
        first, *others = lines.taken
        inner = first.rstrip("\r\n")
        if "\r" in inner:
            pieces = [f"{piece}\n" for piece in inner.split("\r")]
            lines.put_back([first, *others], [*pieces, *others])
            return None
        number = lines.number - len(others)
        if isinstance(error, _RowTooLongError):
            judged = others[:_JUDGED]
            if sum(map(self._starts_row, judged)) < _MOSTLY * len(judged):
                return self._pass_over(first, others, number)
            reason = _UNCLOSED
        elif "unexpected end" in str(error):
            reason = _UNCLOSED
        else:
            reason = _SYNTAX.format(error)
        lines.put_back(others)
        row = TableRow([], number, [first[:RAW_KEPT]], reason, cut=len(first) > RAW_KEPT)
        size = len(first)
        while True:
            lines.begin_row()
            try:
                line = lines.next()
            except StopIteration:
                return row
            if self._starts_row(line):
                lines.put_back([line])
                return row
            size += len(line)
            if size <= RAW_KEPT:
                row.lines.append(line)
            else:
                row.cut = True

    def _starts_row(self, line: str) -> bool:
        """Return whether a line can be the beginning of a row."""
        try:
            cells = next(csv.reader([line], strict=True, **self._options), [])
        except csv.Error:
            try:  # a cell may continue on the next line
                cells = next(csv.reader([line], **self._options), [])
            except csv.Error:
                return False
            return len(cells) > 1 and line.count('"') % 2 == 1 and self.plausible(cells)
        return self.plausible(cells)

    def _pass_over(self, first: str, others: list[str], number: int) -> TableRow:
        """Skip and return a quoted row of any length, up to its closing quote."""
        lines = self._lines
        row = TableRow([], number, [], _CLOSED.format(self._largest), cut=True)
        size, inside = 0, False
        for line in [first, *others]:
            if size < RAW_KEPT:
                row.lines.append(line)
            size += len(line)
            inside ^= line.count('"') % 2 == 1
        while inside:
            lines.begin_row()
            try:
                inside ^= lines.next().count('"') % 2 == 1
            except StopIteration:
                row.problem = f"{row.problem}; no quote closes it, so nothing after it was read"
                break
        return row


def _quoting(sample: list[str], delimiter: str) -> dict[str, Any]:
    """Return the csv options for quoting: single quotes, or spaces before quotes."""
    lines = sample[:_JUDGED]
    text = "".join(lines)
    between = re.escape(delimiter)
    if '"' not in text and len(re.findall(f"'{between}'", text)) >= max(1, len(lines) // 2):
        return {"quotechar": "'"}
    return {
        "skipinitialspace": re.search(rf'{between} +"[^"\n]*"\s*({between}|\n)', text) is not None
    }


def _dialect(sample: list[str]) -> tuple[str, str | None]:
    """Return the delimiter and the escape character of some lines, as detected by clevercsv."""
    text = ""
    for line in sample:
        if line.strip() and len(text) + len(line) <= _DETECTED:
            text += line
    there = [one for one in DELIMITERS if one in text]
    escape = "\\" if '\\"' in text and '""' not in text else None
    if len(there) < 2:
        return (there or [","])[0], escape
    from clevercsv import Detector  # takes long to import, and is needed here only

    found = Detector().detect(text, delimiters=there)
    if found is not None and found.delimiter in there:
        return str(found.delimiter), escape
    return max(there, key=text.count), escape

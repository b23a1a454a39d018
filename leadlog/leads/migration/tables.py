"""Reads the records of a table: finds the header, and separates leads from other lines.

The header is the row that names the most known columns; lines before it are skipped with a note. A
row is a record if it has the cells of one. Lines of text (the rest of a cell with a line break, a
footer) are rejected with a reason, so that they do not become leads.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from leadlog.core.doors import parameter
from leadlog.core.errors import ReadError
from leadlog.leads.migration.csvs import RowReader, TableRow
from leadlog.leads.migration.decoding import Broken, Read, RowDecoding, shown
from leadlog.leads.store.columns import Columns
from leadlog.leads.store.duplicates import canonical_email

__all__ = ["TableReader", "has_header"]

_SEARCHED = 50
_CERTAIN = 2
_EMAIL, _ANCHORS = "email", frozenset({"email", "linkedin_url", "phone", "website"})
_LIKE_PHONE = re.compile(r"[\d\s()+\-./x#*]{5,}")
_NAME_LENGTH, _NAME_WORDS = 80, 6
_NO_NAME = re.compile(r"[:;!?=©®{}<>\[\]\d]|\.\s|\.\Z")
_TOTALS = frozenset(
    {
        "total", "totals", "grand total", "sum", "subtotal", "count", "end of report", "summe",
        "gesamt", "gesamtsumme", "zwischensumme", "insgesamt", "anzahl", "total général", "totaux",
        "somme", "nombre total", "total general", "suma", "subtotales", "totales", "total geral",
        "soma", "totais", "totale", "totale generale", "somma", "totaal", "subtotaal", "totalt",
        "i alt", "summa", "razem", "łącznie", "ogółem", "celkem", "celkom", "toplam", "итого",
        "всего", "итог", "合計", "総計", "小計", "合计", "总计", "小计", "总数", "합계", "총계",
    }
)  # fmt: skip
"""First words of a row that is a sum, in small letters and without a colon."""


class TableReader:
    """Iterates over the rows of a table as mappings of its header's names to values.

    Args:
        name: Name of the source in messages.
        rows: Its rows.
        columns: The mapping from columns to fields.
        header_row: Line number of the header, from 1; None to detect it.
        not_utf8: Returns the reason why a cell is not UTF-8; None if it is.

    Attributes:
        notes: Counts of harmless irregularities of the source, by description.
        header: The names of the columns.

    Raises:
        ReadError: It is not a table.
    """

    def __init__(
        self,
        name: str,
        rows: RowReader,
        *,
        columns: Columns,
        header_row: int | None = None,
        not_utf8: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._name = name
        self._columns = columns
        self._not_utf8 = not_utf8
        self.notes: Counter[str] = Counter()
        self.header: list[str] = []
        self._given: list[str] = []
        self._anchors: dict[int, str] = {}
        self._names: list[int] = []
        self._rows: Iterator[TableRow] = iter(())
        found = self._given_header(rows, header_row) if header_row else self._find(rows)
        if found is not None:
            rows.skip_to(found.line)
            self._rows = iter(rows)
            self._know(next(self._rows, found))
        rows.plausible = self.plausible
        self._table = RowDecoding(tuple(self.header), rows.delimiter)

    # ---------------------------------------------------------------------------------- header

    def _given_header(self, rows: RowReader, line: int) -> TableRow:
        rows.skip_to(line)
        there = next(iter(rows.first(1)), None)
        if there is None or there.line != line or there.blank:
            raise ReadError(f"{self._name} has no row {line} that can be its header")
        return there

    def _find(self, rows: RowReader) -> TableRow | None:
        """Return the header row; None if there are no rows."""
        there = [row for row in rows.first(_SEARCHED) if not row.blank]
        if not there:
            return None
        scores = list(map(self._score, there))
        texts = [_text(cell) for cell in there[0].cells]
        best = max(range(len(there)), key=lambda place: (scores[place], -place))
        widest_before = max((len(row.cells) for row in there[:best]), default=0)
        if scores[best] < _CERTAIN and len(there[best].cells) <= widest_before:
            best = 0
        if not any(scores) and (address := next(filter(canonical_email, texts), None)):
            raise ReadError(
                f"{self._name} begins with a record (of {address}) and has no header; put the "
                "names of its columns, such as Name and Email, in a line above it"
            )
        if not any(scores) and not self._is_table(there):
            raise ReadError(
                f"{self._name} is not a table of leads: no line of it names a known column; give "
                f"the line of its header with {parameter('header_row', '--header-row')}, or the "
                f"fields of its columns with {parameter('columns', '--map')}"
            )
        if best:
            self.notes["lines before the header, which were skipped"] = best
        return there[best]

    def _score(self, row: TableRow) -> int:
        return known_names(row.cells, self._columns)

    @staticmethod
    def _is_table(rows: Iterable[TableRow]) -> bool:
        """Return whether rows have more than one cell, and mostly as many as the first row."""
        widths = [len(row.cells) for row in rows]
        return widths[0] > 1 and widths.count(widths[0]) * 2 > len(widths)

    def _know(self, row: TableRow) -> None:
        self._given = [_text(cell) for cell in row.cells]
        while self._given and not self._given[-1]:
            self._given.pop()
        seen: Counter[str] = Counter()
        for number, cell in enumerate(self._given, 1):
            name = wanted = cell or f"column {number}"
            seen[wanted] += 1
            if seen[wanted] > 1:
                self.notes[f"columns named {wanted[:60]!r}"] = seen[wanted]
                name = f"{wanted} ({seen[wanted]})"
            self.header.append(name)
        wrong = self._not_utf8("".join(self.header))
        if wrong is not None:
            raise ReadError(f"{self._name}, line {row.line}: {wrong}")
        for number, name in enumerate(self.header):
            place = self._columns.place(name)
            if place is not None and place.field in _ANCHORS:
                self._anchors[number] = place.field
            if place is not None and place.field == "full_name":
                self._names.append(number)

    # ----------------------------------------------------------------------------------- rows

    def plausible(self, cells: list[str]) -> bool:
        """Return whether cells can form a complete row, to resume after a broken one."""
        if len(cells) < len(self.header):
            return False
        anchored = self._anchored(cells)
        if any(map(_text, cells[len(self.header) :])):
            return bool(anchored)
        return anchored is not False

    def _anchored(self, cells: Sequence[object]) -> bool | None:
        """Return whether addresses and numbers are in their columns; None if all are blank."""
        found: bool | None = None
        for number, field in self._anchors.items():
            text = _text(cells[number]) if number < len(cells) else ""
            if not text:
                continue
            if field == _EMAIL:
                if "@" not in text and " " in text:
                    return False
                found = found or canonical_email(text) is not None
            elif field == "phone":
                found = found or _LIKE_PHONE.fullmatch(text) is not None
            else:
                found = found or ("." in text and " " not in text)
        return found

    def __iter__(self) -> Iterator[Read | Broken]:
        rows = self._rows
        row = next(rows, None)
        while row is not None:
            following = next(rows, None)
            if following is not None and self._continues(row, following):
                row.lines += following.lines
                row.problem = (
                    "a line break in it is not quoted, so it is two rows; put quotes around the "
                    "cell that has it"
                )
                following = next(rows, None)
            if following is not None and self._is_title(row, following):
                one: Read | Broken | None = self._reject(
                    row, "the row has one cell only, above a repeated header; it is a title"
                )
            else:
                one = self._one(row)
            if one is not None:
                yield one
            row = following

    def _continues(self, row: TableRow, following: TableRow) -> bool:
        """Return whether the next row is the remainder of an incomplete row."""
        return (
            len(row.cells) < len(self.header)
            and row.problem is None
            and following.problem is None
            and len(row.cells) + len(following.cells) - 1 == len(self.header)
            and bool(self._anchored(row.cells))
            and not self._anchored(following.cells)
        )

    def _is_title(self, row: TableRow, following: TableRow) -> bool:
        """Return whether a row is the title of the rows under a repeated header."""
        return (
            self._repeats_header(following.cells)
            and row.problem is None
            and sum(map(bool, map(_text, row.cells))) == 1
        )

    def _repeats_header(self, cells: Sequence[object]) -> bool:
        if not cells or _text(cells[0]) != self._given[0]:
            return False
        return list(map(_text, cells[: len(self._given)])) == self._given

    def _one(self, row: TableRow) -> Read | Broken | None:
        """Return a row as a record, or as broken; None for a blank row or a repeated header."""
        if row.problem is not None:
            return self._reject(row, row.problem)
        if row.blank:
            return None
        width, cells = len(self.header), row.cells
        if len(cells) > width:
            if any(map(_text, cells[width:])):
                return self._reject(
                    row,
                    f"the row has {len(cells)} cells and the header {width}; put quotes around "
                    "cells that have the delimiter in them",
                )
            cells = cells[:width]
        if len(cells) < width and not self._anchored(cells):
            return self._reject(
                row,
                f"the row has {len(cells)} of {width} cells and reads like text, not like a lead; "
                "if it is the rest of a cell, put quotes around that, and if it is a lead, add the "
                "cells that are missing",
            )
        if self._repeats_header(cells):
            self.notes["repeated headers, which were skipped"] += 1
            return None
        return self._record(row, cells)

    def _record(self, row: TableRow, cells: Sequence[object]) -> Read | Broken:
        size = filled = 0
        first = only = ""
        for cell in cells:
            if cell is None or cell == "":
                continue
            if isinstance(cell, str):
                size += len(cell)
                if not cell.isascii() and (reason := self._not_utf8(cell)) is not None:
                    return self._reject(row, reason)
            if filled < _CERTAIN and (text := _text(cell)):
                first, only = first or text, text
                filled += 1
        if filled == 1 and len(self.header) > _CERTAIN and not _like_name(only):
            return self._reject(row, "the row has one cell only, which reads like a line of text")
        if (
            first.rstrip(" :").casefold() in _TOTALS
            and not self._anchored(cells)
            and not _has_other_text(cells, first)
        ):
            return self._reject(row, f"the row begins with {first!r}, so it is a total, not a lead")
        if self._has_number_for_name(cells) and not self._anchored(cells):
            return self._reject(row, "its name has no letter and it has no address: it is a total")
        return Read(dict(zip(self.header, cells, strict=False)), row.line, size)

    def _has_number_for_name(self, cells: Sequence[object]) -> bool:
        texts = [text for one in self._names if one < len(cells) and (text := _text(cells[one]))]
        return bool(texts) and not any(
            text[0].isalpha() or any(map(str.isalpha, text)) for text in texts
        )

    def _reject(self, row: TableRow, reason: str) -> Broken:
        raw = row.raw if row.lines else self._table.joined(row.cells)
        return Broken(reason, row.line, shown(raw), row.cut, self._table)


def known_names(cells: Iterable[object], columns: Columns) -> int:
    """Return the number of known columns in a row; 0 if it has values instead of names."""
    names = [cell for cell in cells if isinstance(cell, str) and len(cell) <= _NAME_LENGTH]
    if any("@" in name for name in names):
        return 0
    return sum(columns.place(name) is not None for name in names)


def has_header(rows: Iterable[Sequence[object]], columns: Columns) -> bool:
    """Return whether one of the first rows has two known columns, one of them a person's name."""
    return any(
        known_names(cells, columns) >= _CERTAIN and _has_name_column(cells, columns)
        for cells in islice(rows, _SEARCHED)
    )


def _has_name_column(cells: Sequence[object], columns: Columns) -> bool:
    places = (columns.place(cell) for cell in cells if isinstance(cell, str))
    return any(place is not None and place.field == "full_name" for place in places)


def _has_other_text(cells: Sequence[object], first: str) -> bool:
    """Return whether a cell has a letter and differs from the first one that is not blank."""
    texts = (text for cell in cells if (text := _text(cell)) and text != first)
    return any(any(map(str.isalpha, text)) for text in texts)


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _like_name(text: str) -> bool:
    """Return whether a text that is alone in its row can be a name."""
    if len(text) > _NAME_LENGTH or len(text.split()) > _NAME_WORDS or _NO_NAME.search(text):
        return False
    return text.casefold() not in _TOTALS

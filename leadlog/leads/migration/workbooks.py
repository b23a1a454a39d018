"""Reads the rows of a workbook's sheet: .xlsx, .xlsb, .xls and .ods, whatever the file's suffix."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from leadlog.core.errors import ReadError
from leadlog.leads.migration.csvs import TableRow
from leadlog.leads.migration.tables import has_header
from leadlog.leads.store.columns import Columns
from leadlog.leads.store.values import plain

__all__ = ["SheetRows", "is_workbook", "sheet_of"]

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class SheetRows:
    """The rows of a sheet.

    Args:
        rows: The rows, from the first one that is not blank.
        not_read: Names of the other sheets that have rows.

    Attributes:
        not_read: The same.
        delimiter: Separator of two cells, where a row is reported as text.
        plausible: Returns whether cells can form a row; always True for a sheet.
    """

    delimiter = "\t"

    def __init__(self, rows: Iterable[TableRow], not_read: Sequence[str] = ()) -> None:
        self.not_read = not_read
        self._rows = iter(rows)
        self._ahead: list[TableRow] = []
        self.plausible: Callable[[list[str]], bool] = lambda _: True

    def first(self, count: int) -> list[TableRow]:
        """Return the first rows without going on."""
        self._ahead += islice(self._rows, count - len(self._ahead))
        return list(self._ahead)

    def skip_to(self, line: int) -> None:
        """Skip all rows before row `line`."""
        self._ahead = [row for row in self._ahead if row.line >= line]
        while not self._ahead:
            row = next(self._rows, None)
            if row is None:
                return
            if row.line >= line:
                self._ahead.append(row)

    def __iter__(self) -> Iterator[TableRow]:
        return chain(self._ahead, self._rows)


def is_workbook(path: Path) -> bool:
    """Return whether a file is a workbook, by its first bytes."""
    with path.open("rb") as stream:
        begin = stream.read(8)
    return begin.startswith(_ZIP) or begin == _OLE


@contextmanager
def sheet_of(
    path: Path, wanted: str | None, columns: Columns, header_row: int | None = None
) -> Iterator[SheetRows]:
    """Open a sheet.

    Args:
        path: The workbook.
        wanted: Its name, or its number from 1; None for the first sheet with a header of leads, or
            else the first one with rows.
        columns: Maps columns to fields.
        header_row: Row of the header, if it was given; then None for `wanted` is the first sheet
            with rows.

    Raises:
        ReadError: The workbook cannot be read, has no such sheet, or is empty.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(path)
    except (CalamineError, OSError, ValueError) as error:
        raise ReadError(
            f"{path} is a workbook that cannot be read ({error}); save it again, or as CSV"
        ) from error
    with book:
        names = book.sheet_names
        try:
            if wanted is None:
                sheets = [book.get_sheet_by_name(name) for name in names]
            else:
                number = int(wanted) - 1 if wanted.isdecimal() and wanted not in names else None
                if number is None:
                    sheets = [book.get_sheet_by_name(wanted)]
                else:
                    sheets = [book.get_sheet_by_index(number)]
        except (CalamineError, IndexError, OverflowError) as error:
            raise ReadError(
                f"{path} has no sheet {wanted!r}; its sheets: {', '.join(names) or 'none'}"
            ) from error
        filled = [one for one in sheets if one.height]
        sheet = None
        if header_row is None:
            sheet = next((one for one in filled if has_header(one.iter_rows(), columns)), None)
        sheet = sheet or next(iter(filled), None)
        if sheet is None:
            raise ReadError(f"{path} is a workbook with nothing in it; give one that has rows")
        first = 1 + (sheet.start or (0, 0))[0]
        rows = (
            TableRow([_cell(cell) for cell in cells], number)
            for number, cells in enumerate(sheet.iter_rows(), first)
        )
        yield SheetRows(rows, not_read=[one.name for one in filled if one.name != sheet.name])


def _cell(value: Any) -> Any:
    """Return a cell like one of a text table: None if blank, whole numbers without .0."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return plain(value, "a cell")

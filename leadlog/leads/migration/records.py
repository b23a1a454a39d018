"""The records of one source, and their conversion to leads of the store."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from leadlog.core.doors import parameter
from leadlog.core.errors import ValidationError
from leadlog.leads.migration.csvs import CsvRows
from leadlog.leads.migration.decoding import Broken, Read
from leadlog.leads.migration.reader import JsonReader
from leadlog.leads.migration.rejects import corrected
from leadlog.leads.migration.result import Reject
from leadlog.leads.migration.shapes import ShapedRecords, flattened
from leadlog.leads.migration.sources import SourceText, is_table, opened
from leadlog.leads.migration.tables import TableReader
from leadlog.leads.migration.window import TextWindow
from leadlog.leads.migration.workbooks import is_workbook, sheet_of
from leadlog.leads.store.columns import Columns
from leadlog.leads.store.intake import Candidate, checked

__all__ = ["Reading", "SourceRecords", "batches", "candidate_of", "records_of", "reject_of"]

_BATCH_SIZE = 4 * 1024 * 1024
"""Approximate total length of the records held in memory at a time, in characters."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The options for reading sources.

    Attributes:
        encoding: Their encoding; None to detect it from the first bytes.
        table: Whether to read them as CSV, whatever their names.
        delimiter: Delimiter of the cells of a row; None to detect it.
        header_row: Line number of the header, from 1; None to detect it.
        sheet: Name or number of the sheet of a workbook; None to choose it (see `sheet_of`).
        columns: Pairs of column and field, for columns with unknown names.
    """

    encoding: str | None = None
    table: bool = False
    delimiter: str | None = None
    header_row: int | None = None
    sheet: str | None = None
    columns: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> Self:
        """Return the options stored by `as_dict`, perhaps by an earlier version."""
        known = {one.name for one in fields(cls)}
        found = {name: value for name, value in noted.items() if name in known}
        columns = tuple((str(column), str(field)) for column, field in found.pop("columns", ()))
        return cls(**found, columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON data."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def account(self, sha256: str) -> str:
        """Return the key of a source in the store: a digest of its content and of these options.

        The options are included because they determine the records.
        """
        if self == Reading(table=self.table):
            return sha256
        given = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(f"{sha256} {given}".encode()).hexdigest()

    def known_columns(self) -> Columns:
        """Return the mapping from columns to fields.

        Raises:
            ValidationError: A column is mapped to an unknown field.
        """
        return Columns(dict(self.columns))


@dataclass(slots=True)
class SourceRecords:
    """An open source.

    Attributes:
        text: Its text, with the read position; None for a workbook.
        notes: Counts of harmless irregularities, by description.
        header: Names of the columns of a table; empty for JSON.
    """

    text: SourceText | None
    notes: Counter[str]
    header: Sequence[str]
    _reader: ShapedRecords | TableReader
    _reading: Reading

    @property
    def position(self) -> int:
        """Number of bytes of the file read so far."""
        return 0 if self.text is None else self.text.position

    @property
    def encoding(self) -> str | None:
        """The encoding of the source; None for a workbook."""
        return None if self.text is None else self.text.encoding or None

    def __iter__(self) -> Iterator[Read | Broken]:
        seen = False
        for one in corrected(self._reader, self.notes, self._reading.delimiter):
            seen = True
            yield one
        self.notes.update(self._reader.notes)
        if self.text is not None and self.text.problem is not None:
            yield Broken(self.text.problem, 0)
        elif not seen:
            self.notes["sources without any record"] += 1


@contextmanager
def records_of(path: Path, reading: Reading, name: str | None = None) -> Iterator[SourceRecords]:
    """Open a source.

    Args:
        path: The file.
        reading: The options for reading it.
        name: Its name in messages; by default its path.

    Raises:
        ReadError: It should be a table but is not one.
    """
    columns = reading.known_columns()
    name = name or str(path)
    if is_workbook(path):
        with sheet_of(path, reading.sheet, columns, reading.header_row) as rows:
            table = TableReader(name, rows, columns=columns, header_row=reading.header_row)
            notes: Counter[str] = Counter()
            if rows.not_read:
                option = parameter("sheet", "--sheet")
                notes[f"other sheets that have rows and were not read (name one with {option})"] = (
                    len(rows.not_read)
                )
            yield SourceRecords(None, notes, table.header, table, reading)
        return
    as_table = reading.table or reading.delimiter or reading.header_row
    with opened(path, reading.encoding) as text:
        if not (as_table or is_table(path, text)):
            reader = JsonReader(TextWindow(text.read), escaped=lambda: text.escaped)
            yield SourceRecords(text, Counter(), (), ShapedRecords(reader, columns), reading)
            return
        text.check_table(name)
        source = CsvRows(text.read, reading.delimiter)
        table = TableReader(
            name,
            source,
            columns=columns,
            header_row=reading.header_row,
            not_utf8=text.not_utf8,
        )
        yield SourceRecords(text, Counter(), table.header, table, reading)


def batches(records: Iterable[Read | Broken], count: int) -> Iterator[list[Read | Broken]]:
    """Split records into lists of `count`, or of fewer if they are long.

    Args:
        records: The records.
        count: Maximum number of records per list.
    """
    batch: list[Read | Broken] = []
    size = 0
    for one in records:
        batch.append(one)
        size += one.size if isinstance(one, Read) else len(one.raw)
        if len(batch) == count or size >= _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def candidate_of(record: Read | Broken, columns: Columns) -> Candidate:
    """Return a record as a lead for the store, or the error that rejects it."""
    if isinstance(record, Broken):
        return ValidationError(record.reason)
    try:
        return checked(flattened(record.value, columns), columns)
    except ValidationError as error:
        # Its traceback refers to the caller's frame, whose list will hold it: a reference cycle.
        return error.with_traceback(None)


def reject_of(source: str, ordinal: int, record: Read | Broken, reason: str) -> Reject:
    """Return the reject for a record that was not migrated."""
    if isinstance(record, Broken):
        return Reject(
            source,
            ordinal,
            record.line or None,
            reason,
            raw=record.raw,
            cut=record.cut,
            table=record.table,
        )
    value: Any = record.value
    return Reject(source, ordinal, record.line, reason, record=value)

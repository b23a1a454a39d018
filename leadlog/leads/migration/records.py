"""The records of one source, numbered, and what the store would make of them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadlog.core.errors import ValidationError
from leadlog.leads.migration.csvs import TableReader
from leadlog.leads.migration.decoding import Broken, Read
from leadlog.leads.migration.reader import JsonReader
from leadlog.leads.migration.rejects import mended
from leadlog.leads.migration.result import Reject
from leadlog.leads.migration.sources import SourceText, is_table, opened
from leadlog.leads.migration.window import Window
from leadlog.leads.store.adding import Candidate, checked

__all__ = ["Reading", "SourceRecords", "batches", "candidate_of", "records_of", "reject_of"]

_BATCH_SIZE = 4 * 1024 * 1024
"""How long the records that are held at a time are together, about, characters."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read.

    Attributes:
        encoding: What they are encoded in; None to tell by their beginning.
        table: Whether they are CSV whatever their names say.
    """

    encoding: str | None = None
    table: bool = False


@dataclass(slots=True)
class SourceRecords:
    """An open source.

    Attributes:
        text: Its text, which knows how far it was read.
        notes: What was odd about it though nothing was lost, and how often.
    """

    text: SourceText
    notes: Counter[str]
    _reader: JsonReader | TableReader

    def __iter__(self) -> Iterator[Read | Broken]:
        seen = False
        for one in mended(self._reader, self.notes):
            seen = True
            yield one
        self.notes.update(self._reader.notes)
        if self.text.problem is not None:
            yield Broken(self.text.problem, 0)
        elif not seen:
            self.notes["sources without any record"] += 1


@contextmanager
def records_of(path: Path, reading: Reading) -> Iterator[SourceRecords]:
    """Open a source.

    Args:
        path: The file.
        reading: How it is read.
    """
    with opened(path, reading.encoding) as text:
        reader: JsonReader | TableReader
        if reading.table or is_table(path):
            reader = TableReader(text.read, lambda: text.escaped)
        else:
            reader = JsonReader(Window(text.read), escaped=lambda: text.escaped)
        yield SourceRecords(text, Counter(), reader)


def batches(records: Iterable[Read | Broken], count: int) -> Iterator[list[Read | Broken]]:
    """Split records into lists of so many, or of fewer where they are long.

    Args:
        records: What was read.
        count: Most records of a list.
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


def candidate_of(record: Read | Broken) -> Candidate:
    """Return a record as the store takes it, or why it does not."""
    if isinstance(record, Broken):
        return ValidationError(record.reason)
    try:
        return checked(record.value)
    except ValidationError as error:
        return error


def reject_of(source: str, ordinal: int, record: Read | Broken, reason: str) -> Reject:
    """Return what is told of a record that was not migrated."""
    if isinstance(record, Broken):
        return Reject(source, ordinal, record.line or None, reason, raw=record.raw, cut=record.cut)
    value: Any = record.value
    return Reject(source, ordinal, record.line, reason, record=value)

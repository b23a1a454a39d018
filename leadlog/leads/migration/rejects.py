"""The file of rejected records: one JSON line per record, to correct and migrate again.

A record that could be read is under `record`; the text of one that could not is under `raw`, for a
row of a table together with its `header` and `delimiter`. Correct it in place and migrate the file
like any other: the reader extracts the records from such lines.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from leadlog.core.errors import MigrationError
from leadlog.leads.migration.csvs import CsvRows
from leadlog.leads.migration.decoding import Broken, Read, RowDecoding
from leadlog.leads.migration.reader import JsonReader
from leadlog.leads.migration.result import Reject
from leadlog.leads.migration.tables import TableReader
from leadlog.leads.migration.window import TextWindow
from leadlog.leads.store.columns import Columns

__all__ = ["RejectsFile", "check_place", "corrected"]

_KEYS = {"source", "ordinal", "line", "reason"}


class RejectsFile:
    """Writes rejects.

    Args:
        stream: The stream of the file.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, reject: Reject) -> None:
        """Write one reject as a line."""
        line: dict[str, Any] = {
            "source": reject.source,
            "ordinal": reject.ordinal,
            "line": reject.line,
            "reason": reject.reason,
        }
        if reject.raw is None:
            line["record"] = reject.record
        else:
            line["raw"] = reject.raw
        if reject.cut:
            line["cut"] = True
        if reject.table is not None:
            line |= {"header": reject.table.header, "delimiter": reject.table.delimiter}
        try:
            text = json.dumps(line, ensure_ascii=False)
            text.encode()
        except UnicodeEncodeError:
            text = json.dumps(line)
        self._stream.write(f"{text}\n".encode())


def corrected(
    records: Iterable[Read | Broken], notes: Counter[str], delimiter: str | None
) -> Iterator[Read | Broken]:
    """Extract the records from lines of a rejects file; yield other records unchanged.

    Args:
        records: The records read.
        notes: Counts the records from such lines.
        delimiter: Delimiter of the cells of a row; None for the delimiter in the line.
    """
    for one in records:
        if isinstance(one, Broken) or not isinstance(one.value, dict):
            yield one
            continue
        value = one.value
        if not value.keys() >= _KEYS:
            yield one
            continue
        if "record" in value:
            notes["records from a file of rejects"] += 1
            yield Read(value["record"], one.line, one.size)
        elif isinstance(value.get("raw"), str):
            notes["records from a file of rejects"] += 1
            yield _read_again(value, one.line, delimiter)
        else:
            yield one


def _read_again(line: dict[str, Any], number: int | None, delimiter: str | None) -> Read | Broken:
    raw, header = line["raw"], line.get("header")
    table = None
    if isinstance(header, list) and header:
        table = RowDecoding(tuple(map(str, header)), delimiter or str(line.get("delimiter") or ","))
    if line.get("cut") is True:
        return Broken(
            "only the beginning of this record is here; take it from its source and correct it",
            number or 0,
            raw,
            cut=True,
            table=table,
        )
    found: list[Read | Broken]
    if table is not None:
        found = _row_again(raw, table)
    else:
        pieces = iter((raw,))
        found = list(JsonReader(TextWindow(lambda _: next(pieces, ""))))
    if len(found) == 1 and isinstance(found[0], Read):
        return Read(found[0].value, number, found[0].size)
    reason = "there is no record in it"
    if len(found) > 1:
        reason = f"there are {len(found)} records in it; give each a line of its own"
    elif found and isinstance(found[0], Broken):
        reason = found[0].reason
    return Broken(f"{reason} (the text under raw)", number or 0, raw, table=table)


def _row_again(raw: str, table: RowDecoding) -> list[Read | Broken]:
    pieces = iter((table.joined(table.header) + "\n", raw))
    rows = CsvRows(lambda _: next(pieces, ""), table.delimiter)
    return list(TableReader("a row", rows, columns=Columns(), header_row=1))


def check_place(path: Path) -> Path:
    """Return the absolute path of a rejects file.

    Raises:
        MigrationError: The path is a directory, or its directory does not exist.
    """
    path = path.expanduser().absolute()
    if path.is_dir() or not path.parent.is_dir():
        raise MigrationError(f"rejects cannot be written to {path}; give a file in a directory")
    return path

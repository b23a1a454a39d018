"""Records in the form of the API: without blank cells, with computed values."""

from collections.abc import Collection
from typing import Any

from leadlog.testing.airtable.fields import Field
from leadlog.testing.airtable.formula import Formula, as_text, broken, parse
from leadlog.testing.airtable.refusals import Refusal
from leadlog.testing.airtable.table import FakeTable, StoredRow
from leadlog.testing.airtable.values import is_blank, render_time

__all__ = ["evaluate", "record_of", "value_of"]

# The value shown by a formula cell that cannot be computed.
_ERROR = {"error": "#ERROR!"}


def record_of(
    table: FakeTable, row: StoredRow, *, by_id: bool = False, only: Collection[str] | None = None
) -> dict[str, Any]:
    """Return a record in the form of the API.

    Args:
        table: The row's table.
        row: The row.
        by_id: Whether fields are keyed by their ids.
        only: Ids of the fields to include; None for all.
    """
    shown = {}
    for field in table.fields:
        if only is not None and field.id not in only:
            continue
        value = row.cells.get(field.id) if not field.computed else value_of(table, row, field)
        if not is_blank(value):
            shown[field.id if by_id else field.name] = value
    return {"id": row.id, "createdTime": render_time(row.created), "fields": shown}


def value_of(table: FakeTable, row: StoredRow, field: Field, inside: Collection[str] = ()) -> Any:
    """Return the value that a cell shows; None if it is blank.

    A last-modified time is that of the watched fields, or of all writable fields; a row to which
    nothing was ever written has none.

    Args:
        table: The row's table.
        row: The row.
        field: The cell's field.
        inside: Ids of the formula fields being evaluated, which detects cycles.
    """
    if field.type == "autoNumber":
        return row.number
    if field.type == "createdTime":
        return render_time(row.created)
    if field.type == "lastModifiedTime":
        watched = field.options.get("referencedFieldIds") or row.modified
        times = [row.modified[one] for one in watched if one in row.modified]
        return render_time(max(times)) if times else None
    if field.type == "formula":
        return _formula_value(table, row, field, inside)
    return row.cells.get(field.id)


def evaluate(
    formula: Formula, table: FakeTable, row: StoredRow, inside: Collection[str] = ()
) -> Any:
    """Return the value of a formula for a row.

    Raises:
        Refusal: A field that it uses does not exist or has an error as its value.
    """

    def cell(key: str) -> Any:
        value = value_of(table, row, table.field(key), inside)
        if value == _ERROR:
            raise broken()
        return value

    return formula.value(row.id, cell)


def _formula_value(table: FakeTable, row: StoredRow, field: Field, inside: Collection[str]) -> Any:
    if field.id in inside:
        return _ERROR
    try:
        formula = parse(field.options["formula"])
        value = evaluate(formula, table, row, {*inside, field.id})
    except Refusal:
        return _ERROR
    if field.options["result"]["type"] == "singleLineText":
        return as_text(value)
    return int(value) if isinstance(value, bool) else value

"""Bulk inserts with as little overhead per row as possible.

SQLAlchemy builds and inspects a mapping of parameters for each row; for thousands of rows that
costs as much as SQLite itself. So for SQLite the statement is compiled once, and each row is passed
to the driver as a tuple. Columns for which no row has a value are left out, since the driver
searches an adapter for each None: 12 of them took longer than the other 9 values of a lead. With
PostgreSQL the cost of the driver dominates, and the difference is not measurable.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Insert

__all__ = ["Insertion"]

_Bound = tuple[int, Callable[[Any], Any]]
_Prepared = tuple[list[str], Callable[[Any], tuple[Any, ...]], list[_Bound], frozenset[int]]
"""Column names, a getter of their values, bind processors by position, and optional positions."""
_NOTHING: Any = object()
_MOST_TEXTS = 64


class Insertion:
    """An INSERT of all columns of a table, for many rows.

    Args:
        statement: The INSERT to execute.
    """

    def __init__(self, statement: Insert) -> None:
        self._statement = statement
        self._prepared: _Prepared | None = None
        self._texts: dict[tuple[int, ...], str] = {}

    def _prepare(self, dialect: Dialect) -> _Prepared:
        compiled: Any = self._statement.compile(dialect=dialect)
        names: list[str] = compiled.positiontup
        columns = self._statement.table.c
        bound = (columns[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names)
        take: Callable[[Any], tuple[Any, ...]] = itemgetter(*names)
        processors: list[_Bound] = [(place, found) for place, found in enumerate(bound) if found]
        optional = frozenset(
            place
            for place, name in enumerate(names)
            if columns[name].nullable and columns[name].server_default is None
        )
        self._texts[()] = str(compiled)
        prepared = self._prepared = names, take, processors, optional
        return prepared

    def _text(self, dialect: Dialect, names: Sequence[str], without: tuple[int, ...]) -> str:
        """Return the SQL text without the columns at the positions `without`."""
        found = self._texts.get(without)
        if found is None:
            kept = [name for place, name in enumerate(names) if place not in without]
            found = str(self._statement.compile(dialect=dialect, column_keys=kept))
            if len(self._texts) < _MOST_TEXTS:
                self._texts[without] = found
        return found

    def rows(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> CursorResult[Any]:
        """Insert rows.

        Args:
            connection: The connection to execute on.
            rows: A value for every column, by its name; other keys are ignored.

        Returns:
            The result, whose `rowcount` is the number of rows inserted.
        """
        if connection.dialect.name != "sqlite":
            names = self._statement.table.c.keys()
            named = [{name: row[name] for name in names} for row in rows]
            # Without the option SQLAlchemy does not ask PostgreSQL's driver for the row count.
            options = {"preserve_rowcount": True}
            return connection.execute(self._statement, named, execution_options=options)
        dialect = connection.dialect
        names, values_of, processors, optional = self._prepared or self._prepare(dialect)
        columns: list[Sequence[Any]] = list(zip(*map(values_of, rows), strict=True))
        for place, process in processors:
            columns[place] = _bound(columns[place], process)
        without = tuple(
            place for place in sorted(optional) if columns[place].count(None) == len(rows)
        )
        for place in reversed(without):
            del columns[place]
        text = self._text(dialect, names, without)
        return connection.exec_driver_sql(text, list(zip(*columns, strict=True)))


def _bound(values: Sequence[Any], process: Callable[[Any], Any]) -> list[Any]:
    """Process each value; reuse the result for runs of one object, such as a batch's timestamp."""
    found = []
    last, result = _NOTHING, None
    for value in values:
        if value is not last:
            last, result = value, process(value)
        found.append(result)
    return found

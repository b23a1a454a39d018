"""Inserts many rows with nothing per row but its values.

SQLAlchemy makes a mapping of parameters for each row and looks each of them over; by the thousand
that costs as much as SQLite itself does. So for SQLite the statement is compiled once, and each row
is handed to the driver as a tuple. PostgreSQL's driver has costs of its own, beside which that
does not show.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Insert

__all__ = ["Insertion"]

_Bound = tuple[int, Callable[[Any], Any]]
_Prepared = tuple[str, Callable[[Any], tuple[Any, ...]], list[_Bound]]
"""The statement, what takes a row's values in their order, and what binds those at some places."""
_NOTHING: Any = object()


class Insertion:
    """An INSERT of all columns of a table, for many rows.

    Args:
        statement: What is executed.
    """

    def __init__(self, statement: Insert) -> None:
        self._statement = statement
        self._prepared: _Prepared | None = None

    def _prepare(self, dialect: Dialect) -> _Prepared:
        compiled: Any = self._statement.compile(dialect=dialect)
        names: list[str] = compiled.positiontup
        columns = self._statement.table.c
        bound = (columns[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names)
        take: Callable[[Any], tuple[Any, ...]] = itemgetter(*names)
        processors: list[_Bound] = [(place, found) for place, found in enumerate(bound) if found]
        prepared = self._prepared = str(compiled), take, processors
        return prepared

    def rows(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> CursorResult[Any]:
        """Insert rows.

        Args:
            connection: Where.
            rows: A value for every column, by its name; what else is in them is passed over.

        Returns:
            The result, which knows how many rows were inserted.
        """
        if connection.dialect.name != "sqlite":
            names = self._statement.table.c.keys()
            named = [{name: row[name] for name in names} for row in rows]
            # Without the option the driver of PostgreSQL is not asked how many rows it wrote.
            options = {"preserve_rowcount": True}
            return connection.execute(self._statement, named, execution_options=options)
        text, values_of, processors = self._prepared or self._prepare(connection.dialect)
        columns: list[Sequence[Any]] = list(zip(*map(values_of, rows), strict=True))
        for place, process in processors:
            columns[place] = _bound(columns[place], process)
        return connection.exec_driver_sql(text, list(zip(*columns, strict=True)))


def _bound(values: Sequence[Any], process: Callable[[Any], Any]) -> list[Any]:
    """Process each value, but once where the same object follows itself, as times of a batch do."""
    found = []
    last, result = _NOTHING, None
    for value in values:
        if value is not last:
            last, result = value, process(value)
        found.append(result)
    return found

"""Verifies the log against the database: replays it and compares the result with the table."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from leadlog.core.doors import parameter
from leadlog.core.errors import ReadError
from leadlog.reading.change import class_of
from leadlog.reading.doubts import Doubts
from leadlog.reading.events import Skipped
from leadlog.reading.merged import read_merged
from leadlog.reading.replay import Replay, replay
from leadlog.reading.rows import BEFORE_LOG, BULK, Row
from leadlog.reading.table import Table
from leadlog.recording.sinks.report import ring_reports
from leadlog.verification.causes import Causes, described
from leadlog.verification.others import OtherClasses, keys_of
from leadlog.verification.report import CAUSES, Difference, VerificationReport
from leadlog.verification.tables import opened, rows_of, table_of
from leadlog.verification.values import equal, key_of, plain

__all__ = ["CAUSES", "Difference", "VerificationReport", "verify"]

_KEPT: Final = 1000
_GAPS_KEPT: Final = 50


def verify(
    directory: str | os.PathLike[str],
    database: str | os.PathLike[str],
    *,
    entity: str | Sequence[str] = "Lead",
    table: str | None = None,
    ignore: Collection[str] = (),
) -> VerificationReport:
    """Compare the state of a table according to the log with the real table.

    The log is read first, so calls that end in between appear as differences: run it while nothing
    writes to the table, or repeat it.

    Args:
        directory: the log directory.
        database: a path or a URL.
        entity: the mapped class's name as in the records, prefixed by the name of its database or
            the schema of its table if the log has rows of several (`one.Customer`,
            `tenant:Customer`). Several names if the classes are mapped to one table, as with
            single-table inheritance.
        table: the table's name; by default derived from the entity's name.
        ignore: columns that are not compared.

    Raises:
        StoreError: the URL cannot be read.
        ReadError: the log, the database or the table cannot be read.
    """
    skipped = Skipped()
    events = read_merged(directory, ("database_operations", "monitoring_data"), skipped=skipped)
    entities: Sequence[str] = (entity,) if isinstance(entity, str) else entity
    others = OtherClasses(entities)
    told = replay(
        others.noting(event.data for event in events),
        entities=entities,
        one_table=entities[0] if len(entities) > 1 else None,
    )
    entity = _entity(entities[0], told.tables)
    replayed = told.tables.get(entity) or Table(entity, Doubts())
    causes = Causes(replayed, told.doubts, told.first, skipped, ring_reports(Path(directory)))
    with opened(database) as connection:
        real = table_of(connection, entity, table)
        sharing = others.having([column.name for column in real.columns if not column.nullable])
        if sharing:
            again = read_merged(directory, ("database_operations",))
            causes.others = keys_of((event.data for event in again), sharing)
        report = VerificationReport(entity, real.name, told.first, told.last, told.events)
        _Comparison(replayed, real, causes, report, frozenset(ignore)).run(connection)
    report.gaps = _gaps(told, replayed, skipped)
    report.lost_updates = [
        f"{lost.key}: event {lost.event_id} at {lost.at} overwrote the {', '.join(lost.columns)} "
        f"of event {lost.overwritten}, which it had not read"
        for lost in replayed.lost_updates
    ]
    report.lost_update_count = replayed.lost_update_count
    return report


def _entity(entity: str, tables: Collection[str]) -> str:
    """Return the full name of an entity, which may be given without schema and database.

    Raises:
        ReadError: several schemas or databases have such an entity.
    """
    found = sorted(one for one in tables if class_of(one) == entity)
    if entity in tables or not found:
        return entity
    if len(found) > 1:
        raise ReadError(
            f"the log has {', '.join(found)}; name one of them with "
            f"{parameter('entity', '--entity')}"
        )
    return found[0]


def _name(column: sa.Column[Any], table: sa.Table, told: Table) -> str:
    """Return the name of a column in the log."""
    for name in (f"{table.name}.{column.name}", column.key):
        if name in told.columns:
            return name
    return column.name


def _dashed(part: Any) -> Any:
    """Return a UUID, stored by SQLite as digits only, with dashes; other values unchanged."""
    if type(part) is str and len(part) == 32:
        return "-".join((part[:8], part[8:12], part[12:16], part[16:20], part[20:]))
    return part


class _Comparison:
    """One comparison pass over the real table.

    Args:
        told: the replayed rows.
        real: the real table.
        causes: finds the causes of differences.
        report: receives the results.
        ignore: columns that are not compared.
    """

    def __init__(
        self,
        told: Table,
        real: sa.Table,
        causes: Causes,
        report: VerificationReport,
        ignore: frozenset[str],
    ) -> None:
        self._told = told
        self._real = real
        self._causes = causes
        self._report = report
        columns = list(real.columns)
        self._key = [columns.index(column) for column in real.primary_key.columns]
        causes.key_columns = frozenset(
            _name(column, real, told) for column in real.primary_key.columns
        )
        # The log uses the columns' names; a mapped class may use another name for its attribute.
        self._columns = [
            (place, _name(column, real, told), column.type)
            for place, column in enumerate(columns)
            # Rows are matched by the primary key, so it cannot differ.
            if not column.primary_key and not {column.name, column.key} & ignore
        ]
        names = {
            name
            for column in columns
            for name in (column.name, column.key, f"{real.name}.{column.name}")
        }
        report.columns_gone = sorted(told.columns - names - ignore)

    def run(self, connection: sa.Connection) -> None:
        """Compare row by row, then report missing rows."""
        report, rows, real = self._report, self._told.rows, self._real_rows(connection)
        report.rows_logged = len(rows)
        met: set[str] = set()
        for key, found in real:
            report.rows_found += 1
            row = rows.get(key)
            if row is None:
                values = {name: plain(found[place]) for place, name, _ in self._columns}
                self._note(self._causes.surplus(key, values))
                continue
            met.add(key)
            if row.perhaps is not None:
                report.rows_uncertain += 1
            if self._same(key, row, found):
                report.rows_equal += 1
        for key, row in rows.items():
            if key in met:
                continue
            if row.perhaps is not None:
                report.rows_uncertain += 1
                report.rows_equal += 1
            else:
                self._note(self._causes.missing(key, row))

    def _real_rows(self, connection: sa.Connection) -> Any:
        table = self._told.rows
        places = self._key
        for found in rows_of(connection, self._real):
            parts = tuple(found[place] for place in places)
            key = key_of(parts)
            if key not in table:
                dashed = key_of(tuple(map(_dashed, parts)))
                key = dashed if dashed in table else key
            yield key, found

    def _same(self, key: str, row: Row, found: Any) -> bool:
        report, values = self._report, row.values
        same = True
        for place, name, kind in self._columns:
            others = self._told.overwritten(row, name)
            why = row.why_unknown(name)
            if why is not None or others is None:
                report.values_unknown[why or BULK] += 1
                continue
            report.values_compared += 1
            logged, value = values.get(name), found[place]
            if equal(logged, value, kind):
                continue
            if any(equal(other, value, kind) for other in (*others, *row.lost_values(name))):
                report.values_either += 1
                continue
            same = False
            self._note(self._causes.changed(key, row, name, logged, plain(value)))
        return same

    def _note(self, difference: Difference) -> None:
        report = self._report
        report.difference_count += 1
        report.causes[difference.cause] += 1
        if len(report.differences) < _KEPT:
            report.differences.append(difference)


def _gaps(told: Replay, table: Table, skipped: Skipped) -> list[str]:
    """Return descriptions of gaps in the log, including those without an effect."""
    found = [described(doubt) for doubt in told.doubts if doubt.entity in (None, table.entity)]
    if len(found) > _GAPS_KEPT:
        found = [*found[:_GAPS_KEPT], f"and {len(found) - _GAPS_KEPT} more of that kind"]
    for gap in table.gaps[:_GAPS_KEPT]:
        columns = ", ".join(gap.columns) or "row"
        found.append(
            f"{gap.key}: something changed the {columns} before {gap.at} "
            f"(event {gap.event_id}): that is not in the log"
        )
    if table.gap_count > len(table.gaps[:_GAPS_KEPT]):
        found.append(f"{table.gap_count} such places in all")
    partial = Counter(row.why for row in table.rows.values() if not row.whole)
    if partial[BEFORE_LOG]:
        found.append(
            f"the log begins after {partial[BEFORE_LOG]} of the rows were created: only what was "
            "written since is compared"
        )
    found += [
        f"sampling kept {share:g} of the records of {name}" for name, share in table.sampled.items()
    ]
    if skipped.lines or skipped.unfinished:
        path, offset = skipped.places[0]
        found.append(
            f"{skipped.lines + skipped.unfinished} damaged lines, the first in {path} at byte "
            f"{offset}"
        )
    return found

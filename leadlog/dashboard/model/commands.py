"""The leadlog and jq commands that show the same as a view.

Tests compare both with the views: they find the same events for any filter and any log (unknown
outcomes, compressed files, damaged lines).
"""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

import orjson

from leadlog.core.layout import log_files
from leadlog.core.records.operation import STATEMENT_OPERATIONS
from leadlog.dashboard.model.filters import EventFilter
from leadlog.dashboard.model.windows import TimeWindow
from leadlog.reading.index.columns import TEXT_LIMIT
from leadlog_processors.log_types import LOG_TYPES

__all__ = ["CommandLines", "json_text", "period"]

_ROWS: Final = 500
_ALL: Final = tuple(one.category for one in LOG_TYPES)
_TABLES: Final[Mapping[str, str]] = {one.category: one.table for one in LOG_TYPES}
_TYPES: Final[Mapping[str, str]] = {one.category: one.name for one in LOG_TYPES}
_SHOWN: Final = "timestamp, log_type, event_name, event_id, session_id"

Place = tuple[str, str]
"""An SQL column and the jq path to the same value in a record."""

_COMMON: Final[Mapping[str, Place]] = {
    "level": ("level", ".level"),
    "event": ("event_name", ".event_name"),
    "session": ("session_id", ".session_id"),
    "user": ("context ->> '$.user'", ".context.user"),
}


@dataclass(frozen=True, slots=True)
class _Places:
    """The places of a filter's values in the records of one category.

    Attributes:
        facets: name in a filter to its place.
        success: place of the success flag.
        ms: place of the duration.
    """

    facets: Mapping[str, Place] = field(default_factory=dict)
    success: Place | None = None
    ms: Place | None = None


def _run(section: str) -> _Places:
    return _Places(
        {"operation": ("event_name", ".event_name")},
        ("success", f".{section}.success"),
        ("execution_time_ms", f".{section}.execution_time_ms"),
    )


_OWN: Final = _Places({"monitoring": ("monitoring_type", ".monitoring_info.monitoring_type")})
_PLACES: Final[Mapping[str, _Places]] = {
    "database_operations": _Places(
        {
            "operation": ("operation_type", ".operation_details.operation_type"),
            "outcome": ("outcome", ".operation_details.outcome"),
            "entity": ("entity", ".operation_details.entity"),
            "tier": ("performance_tier", ".training_labels.performance_tier"),
            "quality": ("data_quality", ".training_labels.data_quality"),
            "key": ("lead_id", ".lead_identifier.lead_id"),
        },
        ("success", ".operation_details.success"),
        ("execution_time_ms", ".operation_details.execution_time_ms"),
    ),
    "performance_metrics": _Places(
        {
            "operation": ("operation_name", ".operation_info.operation_name"),
            "tier": ("performance_tier", ".training_labels.performance_tier"),
        },
        ("success", ".operation_info.success"),
        ("total_duration_ms", ".operation_info.total_duration_ms"),
    ),
    "error_logs": _Places(
        {
            "operation": (
                "context ->> '$.operation_in_progress'",
                ".context.operation_in_progress",
            ),
            "error": ("error_type", ".error_details.error_type"),
            "fingerprint": (
                "coalesce(fingerprint, error_type)",
                "(.error_details | .fingerprint // .error_type)",
            ),
        },
    ),
    "sync_operations": _run("sync_results"),
    "migration_operations": _run("migration_results"),
    "monitoring_data": _OWN,
}


class _Tests:
    """The conditions of a filter on the records of one category, in SQL and in jq.

    Attributes:
        sql: SQL conditions, all of which must hold.
        jq: jq conditions, all of which must hold.
        none: whether no record of the category can match the filter.
    """

    def __init__(self, wanted: EventFilter, category: str) -> None:
        self.sql: list[str] = []
        self.jq: list[str] = []
        self.none = False
        self._places = _PLACES.get(category, _OWN if _TYPES.get(category) else _Places())
        for name, values in wanted.values.items():
            if name == "category":
                self.none |= category not in values
            else:
                self._add(name, values, negated=False)
        for name, values in wanted.without.items():
            if name == "category":
                self.none |= category in values
            else:
                self._add(name, values, negated=True)
        for name, own in (
            ("session", (wanted.session,)),
            ("key", (wanted.key,)),
            ("user", wanted.users),
        ):
            if own and own[0] is not None:
                self._add(name, [one for one in own if one is not None], negated=False)
        for sign, us in ((">=", wanted.least_us), ("<=", wanted.most_us)):
            if us is not None:
                self._limit(sign, us)

    def _limit(self, sign: str, us: int) -> None:
        """Add a limit on the duration, rounded to microseconds as in the index."""
        if self._places.ms is None:
            self.none = True
            return
        column, place = self._places.ms
        self.sql.append(f"round({column} * 1000) {sign} {us}")
        self.jq.append(f"({place} != null and ({place} * 1000 | round) {sign} {us})")

    def _add(self, name: str, values: Sequence[str], *, negated: bool) -> None:
        place = _COMMON.get(name) or self._places.facets.get(name)
        if name == "failed":
            place = self._places.success
        if place is None:  # records of this category have no such value
            self.none |= not negated
            return
        pairs = [self._one(name, place, value) for value in values]
        sql = " OR ".join(one for one, _ in pairs)
        jq = " or ".join(one for _, one in pairs)
        if negated:
            self.sql.append(f"NOT coalesce({sql}, false)")
            self.jq.append(f"({jq} | not)")
        else:
            self.sql.append(f"({sql})" if len(pairs) > 1 else sql)
            self.jq.append(f"({jq})" if len(pairs) > 1 else jq)

    def _one(self, name: str, place: Place, value: str) -> tuple[str, str]:
        column, path = place
        if name == "failed":
            word = {"yes": "false", "no": "true"}.get(value)
            return (
                ("false", "false") if word is None else (f"{column} = {word}", f"{path} == {word}")
            )
        if name == "operation" and column == "operation_type":
            entity, _, kind = value.rpartition(".")
            if kind in STATEMENT_OPERATIONS:
                own = self._places.facets["entity"]
                if not entity:
                    return (
                        f"({column} = {_sql_text(kind)} AND {own[0]} IS NULL)",
                        f"({path} == {json_text(kind)} and {own[1]} == null)",
                    )
                sql, jq = _equal(own, entity)
                return (
                    f"({sql} AND {column} = {_sql_text(kind)})",
                    f"({jq} and {path} == {json_text(kind)})",
                )
        return _equal(place, value)


def _equal(place: Place, value: str) -> tuple[str, str]:
    """Return conditions that a text equals a value; a prefix if the index truncated it."""
    column, path = place
    if len(value) == TEXT_LIMIT and value.endswith("…"):
        begin = value[:-1]
        return (
            f"starts_with({column}, {_sql_text(begin)})",
            f'(({path} // "") | startswith({json_text(begin)}))',
        )
    return f"{column} = {_sql_text(value)}", f"{path} == {json_text(value)}"


def _sql_text(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def json_text(value: object) -> str:
    """Return a value as a jq literal."""
    return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class CommandLines:
    """Builder of commands on one log.

    Attributes:
        directory: the log directory.
        damaged: categories with damaged lines, on which plain jq would fail.
    """

    directory: Path
    damaged: Collection[str] = ()

    @property
    def place(self) -> str:
        """The log directory, quoted for a shell."""
        return shlex.quote(str(self.directory))

    def leadlog(self, *words: str) -> str:
        """Return a leadlog command on this log."""
        return f"leadlog {' '.join(words)} --directory {self.place}"

    def query(self, sql: str, window: TimeWindow) -> str:
        """Return the command that runs an SQL query over a period."""
        return self.leadlog("query", shlex.quote(sql), period(window))

    def jq(self, program: str, *categories: str, window: TimeWindow | None = None) -> str:
        """Return a jq command that runs a program over the events of some categories.

        Args:
            program: jq program, run on each event.
            categories: categories to read; all by default.
            window: the period.
        """
        wanted = categories or _ALL
        files = [one for one in log_files(self.directory, wanted) if not one.archived]
        there = [name for name, _ in groupby(sorted({file.category for file in files}))]
        there.sort(key=_ALL.index)
        shown = there or list(wanted)
        plain = {file.category for file in files if not file.compressed}
        packed = {file.category for file in files if file.compressed}
        globs = [
            *(f"{self.place}/{one}/*.jsonl" for one in shown if one in plain or one not in packed),
            *(f"{self.place}/{one}/*.jsonl.zst" for one in shown if one in packed),
        ]
        if window is not None:
            program = f"{_within(window)} | {program}" if program else _within(window)
        options = "-c"
        if any(one in self.damaged for one in shown):
            options, program = "-cR", f"fromjson? | objects | {program}"
        if packed:
            return f"zstdcat -f {' '.join(globs)} | jq {options} {shlex.quote(program)}"
        return f"jq {options} {shlex.quote(program)} {' '.join(globs)}"

    def explore(self, wanted: EventFilter, window: TimeWindow) -> dict[str, str]:
        """Return the commands that find the matching events of a period."""
        tests = {category: _Tests(wanted, category) for category in _ALL}
        met = {name: one for name, one in tests.items() if not one.none}
        if not met:
            return {
                "leadlog": self.query("SELECT * FROM events WHERE false", window),
                "jq": self.jq("select(false)", window=window),
            }
        return {"leadlog": self.query(_sql(met), window), "jq": self._filtered(met, window)}

    def _filtered(self, met: Mapping[str, _Tests], window: TimeWindow) -> str:
        tests = {tuple(one.jq) for one in met.values()}
        if len(tests) == 1:
            (only,) = tests
            test = " and ".join(only)
        else:
            test = " or ".join(
                f"({' and '.join([f'.log_type == {json_text(_TYPES[name])}', *one.jq])})"
                for name, one in met.items()
            )
        return self.jq(f"select({test})" if test else "", *met, window=window)


def _sql(met: Mapping[str, _Tests]) -> str:
    last = f" ORDER BY timestamp DESC LIMIT {_ROWS}"
    if len(met) == 1:
        ((category, only),) = met.items()
        where = f" WHERE {' AND '.join(only.sql)}" if only.sql else ""
        return f"SELECT * FROM {_TABLES[category]}{where}{last}"  # noqa: S608 - told, not run
    if len(met) == len(_ALL) and len({tuple(one.sql) for one in met.values()}) == 1:
        common = next(iter(met.values())).sql
        where = f" WHERE {' AND '.join(common)}" if common else ""
        return f"SELECT * FROM events{where}{last}"  # noqa: S608 - told, not run
    return " UNION ALL ".join(_selects(met)) + last


def _selects(met: Mapping[str, _Tests]) -> Iterator[str]:
    for category, one in met.items():
        where = f" WHERE {' AND '.join(one.sql)}" if one.sql else ""
        yield f"SELECT {_SHOWN} FROM {_TABLES[category]}{where}"  # noqa: S608 - told, not run


def period(window: TimeWindow) -> str:
    """Return a period as command-line options."""
    return f"--since {window.since_text} --until {window.until_text}"


def _within(window: TimeWindow) -> str:
    return f'select(.timestamp >= "{window.since_text}" and .timestamp < "{window.until_text}")'

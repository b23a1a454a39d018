"""The examples of a target: labelled runs with features, split by time into three parts.

    train | embargo | calibration | embargo | test

The embargo is as long as the longest run, so no run of one part is still active when the next part
begins. No transaction, session or lead spans two parts: its examples are removed from the earlier
part, so that later parts keep the distribution of the log. Whole sessions are removed, because the
lead of a failed call is often unknown, and removing only the others would leak the outcome.
"""

from collections.abc import Collection
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from leadlog.core.clock import format_us, parse
from leadlog.core.doors import parameter
from leadlog.core.errors import TrainingError
from leadlog.training.as_of import MOST_ENDED, WINDOW, EndedRuns, check_arrays
from leadlog.training.targets import Target, thresholds_sql

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

__all__ = ["GROUPS", "LEAST_EXAMPLES", "PARTS", "Split", "label_runs", "make_features", "split"]

PARTS: Final = ("train", "calibration", "test")
GROUPS: Final = ("transaction", "session", "lead")
LEAST_EXAMPLES: Final = 30
"""Minimum number of examples per part."""

_TRAIN_SHARE, _CALIBRATION_SHARE = 0.6, 0.2
_SLICE: Final = 500_000
"""Runs per slice: those whose features are held as arrays at a time."""
_COMMON: Final = 20
"""Minimum number of training examples of an operation; rarer operations become `other`."""
_PLAIN_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+){0,5}"
_LONGEST_NAME: Final = 80


class Split(NamedTuple):
    """The result of a split.

    Attributes:
        parts: Tables by name of the part, ordered by `started_at`.
        boundaries: Start of calibration and of test, in the format of `timestamp`.
        embargo_s: Gap before each of these, in seconds.
        dropped: Number of examples left out, by reason.
        operations: The names that are kept; all others become `other`.
        first: Start of the first example.
        last: End of the last example.
    """

    parts: "dict[str, pa.Table]"
    boundaries: tuple[str, str]
    embargo_s: float
    dropped: dict[str, int]
    operations: tuple[str, ...]
    first: str
    last: str


def label_runs(
    connection: "DuckDBPyConnection", target: Target, objective_ms: float | None = None
) -> None:
    """Create the table `labelled`: all runs, with the target's `label` or null.

    Args:
        connection: A connection with the table `runs` of `leadlog.training.runs`.
        target: The target.
        objective_ms: For `slow`, a limit in milliseconds instead of the trailing percentile.
    """
    label = f"CASE WHEN {target.population} THEN {target.label} END"
    if target.name == "slow":
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE thresholds AS {thresholds_sql(objective_ms)}"
        )
        source = (
            "runs r ASOF LEFT JOIN thresholds t "
            "ON r.operation = t.operation AND r.started_us > t.ended_us"
        )
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE labelled AS SELECT *, "
            f"{label} AS label FROM (SELECT r.*, t.threshold_us FROM {source})"
        )
        return
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE labelled AS SELECT *, {label} AS label FROM runs"
    )


def make_features(
    connection: "DuckDBPyConnection", target: Target, asked: str = "SELECT * FROM labelled"
) -> None:
    """Create the table `features` for the runs of a SELECT, as of their start.

    Args:
        connection: A connection with the table `labelled`.
        target: The target whose labels of past runs are features.
        asked: A SELECT of `event_id`, `operation`, `session_id`, `started_us`, `items` and
            `megabytes`.

    Raises:
        TrainingError: A slice needs more ended runs than `MOST_ENDED`.
        MissingExtraError: NumPy or pyarrow is not installed.
    """
    check_arrays()
    label = "CAST(label * 1000000 AS BIGINT)" if target.kind == "binary" else "CAST(NULL AS BIGINT)"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW known AS SELECT * REPLACE ({label} AS label) FROM labelled"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE asked_runs AS SELECT event_id, operation, session_id, "
        f"started_us, items, megabytes FROM ({asked})"
    )
    create = "CREATE OR REPLACE TEMP TABLE features AS"
    for condition in _slices(connection):
        connection.register("found", _slice_features(connection, condition))
        connection.execute(f"{create} SELECT * FROM found")
        connection.unregister("found")
        create = "INSERT INTO features"


def _slices(connection: "DuckDBPyConnection") -> list[str]:
    """Return conditions that split `asked_runs` by its starts; all runs are in exactly one."""
    ((asked, first, last),) = connection.execute(
        "SELECT count(*), min(started_us), max(started_us) FROM asked_runs"
    ).fetchall()
    ((ended,),) = connection.execute(
        "SELECT count(*) FROM known WHERE ended_us >= $first AND ended_us < $last",
        {"first": first, "last": last},
    ).fetchall()
    count = -(-max(asked, ended) // _SLICE)
    if count < 2 or first is None:
        return ["true"]
    shares = [number / count for number in range(1, count)]
    ((edges,),) = connection.execute(
        f"SELECT quantile_disc(started_us, {shares}) FROM asked_runs"
    ).fetchall()
    edges = sorted(set(edges))
    return [
        f"(started_us < {edges[0]} OR started_us IS NULL)",
        *(f"started_us >= {one} AND started_us < {two}" for one, two in pairwise(edges)),
        f"started_us >= {edges[-1]}",
    ]


def _slice_features(connection: "DuckDBPyConnection", condition: str) -> "pa.Table":
    """Return the features of the runs in `asked_runs` that satisfy a condition.

    Of the ended runs it fetches those that ended after the first of them began and before the last
    one did, the last ones before that of each operation and of all, and those of their sessions.
    """
    source = f"(SELECT * FROM asked_runs WHERE {condition})"
    ((first, last),) = connection.execute(
        f"SELECT coalesce(min(started_us), 0), coalesce(max(started_us), 0) FROM {source}"
    ).fetchall()
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE slice_operations AS
        SELECT operation, CAST(row_number() OVER () - 1 AS INTEGER) AS code, since
        FROM (SELECT DISTINCT operation FROM {source}) LEFT JOIN (
            SELECT operation, list_min(max(ended_us, {WINDOW})) AS since
            FROM known WHERE ended_us < {first} GROUP BY operation
        ) USING (operation)""")
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE slice_sessions AS
        SELECT session_id, CAST(row_number() OVER () - 1 AS INTEGER) AS code
        FROM (SELECT DISTINCT session_id FROM {source} WHERE session_id IS NOT NULL)""")
    ((since,),) = connection.execute(
        f"SELECT list_min(max(ended_us, {WINDOW})) FROM known WHERE ended_us < {first}"
    ).fetchall()
    ended = f"""
        FROM known k LEFT JOIN slice_operations o ON k.operation = o.operation
            LEFT JOIN slice_sessions s ON k.session_id = s.session_id
        WHERE k.ended_us < {last} AND (k.ended_us >= {first if since is None else since}
            OR k.ended_us >= o.since OR s.code IS NOT NULL)"""
    ((count,),) = connection.execute(f"SELECT count(*) {ended}").fetchall()
    if count > MOST_ENDED:
        raise TrainingError(
            f"the features need {count:,} ended runs in memory at a time, and at most "
            f"{MOST_ENDED:,} are held; give a later start with {parameter('since', '--from')}, or "
            "open a session for each job (`leadlog.session`)"
        )
    history = EndedRuns(
        connection.sql(f"""
            SELECT coalesce(o.code, -1) AS operation, coalesce(s.code, -1) AS session, ended_us,
                coalesce(us, 0) AS us, CAST(us IS NOT NULL AS UTINYINT) AS timed, w,
                CAST(coalesce(failed, false) AS UTINYINT) AS failed,
                coalesce(label, 0) AS label, CAST(label IS NOT NULL AS UTINYINT) AS labelled
            {ended} ORDER BY ended_us, event_id""").to_arrow_table()
    )
    return history.features(
        connection.sql(f"""
            SELECT event_id, a.operation, coalesce(o.code, -1) AS operation_code,
                coalesce(s.code, -1) AS session_code, coalesce(started_us, 0) AS started_us,
                CAST(started_us IS NOT NULL AS UTINYINT) AS begun, items, megabytes
            FROM {source} a LEFT JOIN slice_operations o ON a.operation = o.operation
                LEFT JOIN slice_sessions s ON a.session_id = s.session_id""").to_arrow_table()
    )


def split(
    connection: "DuckDBPyConnection",
    target: Target,
    *,
    since: str | None = None,
    until: str | None = None,
    groups: Collection[str] = GROUPS,
    embargo_s: float | None = None,
) -> Split:
    """Return the examples of a target, split into three parts.

    Args:
        connection: A connection with the table `labelled`.
        target: The target.
        since: Earliest start of the examples, in the format of `timestamp` in the records; their
            features still use the whole log.
        until: End of the period; only examples that ended before it are used.
        groups: Units that must not span two parts, from `GROUPS`.
        embargo_s: Gap between parts in seconds; at least, and by default, the longest run.

    Raises:
        TrainingError: There are too few examples.
    """
    _Splitter(connection, target).examples(since, until)
    return _Splitter(connection, target).split(groups, embargo_s)


class _Splitter:
    def __init__(self, connection: "DuckDBPyConnection", target: Target) -> None:
        self._connection = connection
        self._target = target

    def _one(self, sql: str) -> tuple[Any, ...]:
        row = self._connection.execute(sql).fetchone()
        assert row is not None  # every SELECT here is an aggregate  # noqa: S101
        return row

    def examples(self, since: str | None, until: str | None) -> None:
        where = [self._target.population, "label IS NOT NULL", "started_us IS NOT NULL"]
        where += [] if since is None else [f"started_us >= {parse(since)}"]
        where += [] if until is None else [f"ended_us < {parse(until)}"]
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE examples AS "
            "SELECT *, coalesce('s' || session_id, 't' || transaction_id, 'e' || event_id) AS unit "
            f"FROM labelled WHERE {' AND '.join(where)}"
        )

    def split(self, groups: Collection[str], embargo_s: float | None) -> Split:
        total, first, last, longest = self._one(
            "SELECT count(*), min(started_us), max(ended_us), max(ended_us - started_us) "
            "FROM examples"
        )
        if total < LEAST_EXAMPLES * len(PARTS):
            raise self._too_few(total)
        embargo = longest if embargo_s is None else max(round(embargo_s * 1e6), longest)
        one, two = self._one(
            f"SELECT quantile_disc(started_us, {_TRAIN_SHARE}), "
            f"quantile_disc(started_us, {_TRAIN_SHARE + _CALIBRATION_SHARE}) FROM examples"
        )
        # Runs that end before a boundary precede the next part by at least the embargo.
        self._connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE placed AS SELECT *, CASE
                WHEN ended_us < {one} THEN 0
                WHEN started_us >= {one + embargo} AND ended_us < {two} THEN 1
                WHEN started_us >= {two + embargo} THEN 2 END AS part
            FROM examples""")
        (between,) = self._one("SELECT count(*) FROM placed WHERE part IS NULL")
        shared = self._separate(groups)
        self._check(groups, embargo)
        names = self._common_names()
        self._connection.execute(
            "CREATE OR REPLACE TEMP VIEW chosen AS SELECT * FROM placed WHERE part IS NOT NULL"
        )
        make_features(self._connection, self._target, "SELECT * FROM chosen")
        return Split(
            parts={name: self._part(number) for number, name in enumerate(PARTS)},
            boundaries=(format_us(one + embargo), format_us(two + embargo)),
            embargo_s=embargo / 1e6,
            dropped={"embargo": between, "shared_groups": shared},
            operations=names,
            first=format_us(first),
            last=format_us(last),
        )

    def _separate(self, groups: Collection[str]) -> int:
        """Drop sessions that share a group with a later part; return the number of examples."""
        keys = {
            "session": "SELECT unit, part, 's' || session_id AS key FROM placed",
            "transaction": "SELECT unit, part, 't' || transaction_id FROM placed",
            "lead": "SELECT unit, part, 'l' || unnest(leads) FROM placed",
        }
        chosen = [sql for name, sql in keys.items() if name in groups]
        dropped = 0
        for part in (1, 0) if chosen else ():
            condition = f"""part = {part} AND unit IN (
                WITH keys AS (SELECT * FROM ({" UNION ALL ".join(chosen)}) k(unit, part, key)
                    WHERE key IS NOT NULL AND part IS NOT NULL)
                SELECT unit FROM keys WHERE part = {part}
                    AND key IN (SELECT key FROM keys WHERE part > {part}))"""
            (found,) = self._one(f"SELECT count(*) FROM placed WHERE {condition}")
            self._connection.execute(f"UPDATE placed SET part = NULL WHERE {condition}")
            dropped += found
        return dropped

    def _check(self, groups: Collection[str], embargo: int) -> None:
        counts = dict(
            self._connection.execute(
                "SELECT part, count(*) FROM placed WHERE part IS NOT NULL GROUP BY part"
            ).fetchall()
        )
        for number, name in enumerate(PARTS):
            found = counts.get(number, 0)
            if found < LEAST_EXAMPLES:
                kinds = ", ".join(sorted(groups))
                remedy = (
                    f"the embargo is {embargo / 1e6:g} s, and no {kinds} may be in two parts; open "
                    "a session for each job (`leadlog.session`), name fewer with "
                    f"{parameter('groups', '--group')}, or wait until the log has more"
                    if groups
                    else f"the embargo is {embargo / 1e6:g} s; wait until the log has more"
                )
                raise TrainingError(
                    f"only {found} examples are left in the part {name!r}, and {LEAST_EXAMPLES} "
                    f"are needed: {remedy}"
                )

    def _too_few(self, total: int) -> TrainingError:
        hint = (
            "; for `slow` an operation needs 100 runs before its first label, or give "
            f"{parameter('objective_ms', '--objective-ms')}"
            if self._target.name == "slow"
            else ""
        )
        return TrainingError(
            f"there are {total} examples of {self._target.name!r} in that time, and "
            f"{LEAST_EXAMPLES * len(PARTS)} are needed at least{hint}; `leadlog summary` shows "
            "what the log has"
        )

    def _common_names(self) -> tuple[str, ...]:
        rows = self._connection.execute(f"""
            SELECT operation FROM placed
            WHERE part = 0 AND regexp_full_match(operation, '{_PLAIN_NAME}')
                AND length(operation) <= {_LONGEST_NAME}
            GROUP BY operation HAVING count(*) >= {_COMMON} ORDER BY operation""")
        return tuple(name for (name,) in rows.fetchall())

    def _part(self, number: int) -> "pa.Table":
        names = self._common_names()
        columns = ", ".join(f"f.{one.name}" for one in self._target.features[1:])
        label = "CAST(c.label AS TINYINT)" if self._target.kind == "binary" else "c.label"
        return self._connection.sql(
            f"""
            WITH numbered AS (
                SELECT unit, row_number() OVER (ORDER BY min(started_us), unit) - 1 AS number
                FROM placed GROUP BY unit
            )
            SELECT make_timestamptz(c.started_us) AS started_at, n.number AS "group",
                c.w / 1000.0::DOUBLE AS weight, {label} AS label,
                CASE WHEN c.operation IN (SELECT unnest($names)) THEN c.operation ELSE 'other' END
                    AS operation, {columns}
            FROM chosen c JOIN features f USING (event_id) JOIN numbered n USING (unit)
            WHERE c.part = {number}
            ORDER BY c.started_us, c.event_id""",
            params={"names": list(names)},
        ).to_arrow_table()

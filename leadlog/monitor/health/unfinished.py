"""Check of migrations that were started and not finished."""

from collections.abc import Iterator

from sqlalchemy import Connection, column, func, inspect, select, table
from sqlalchemy.exc import DBAPIError

from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.database import database_missing, opened
from leadlog.monitor.health.probes import ProbeContext

__all__ = ["probe"]

# By name: a store created before migrations existed lacks the table.
_RUNS = "migration_run"


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check `migrations`."""
    if database_missing(context) is not None:
        yield Check("migrations", "unknown", message="there is no lead store")
        return
    try:
        with opened(context.database) as connection:
            unfinished = _unfinished(connection)
    except DBAPIError as error:
        yield Check("migrations", "unknown", message=f"the lead store cannot be read: {error.orig}")
        return
    if unfinished is None:
        yield Check("migrations", "unknown", message="the lead store keeps no migrations")
        return
    yield judge(
        "migrations",
        float(unfinished),
        warning=1.0,
        unit="runs",
        message=f"{unfinished} migrations were begun and not finished"
        if unfinished
        else "no migration is unfinished",
        remedy="run `leadlog migrate` with the same files again; it continues where it stopped",
    )


def _unfinished(connection: Connection) -> int | None:
    if not inspect(connection).has_table(_RUNS):
        return None
    runs = table(_RUNS, column("ended_at"))
    ended = runs.c.ended_at
    return connection.execute(
        select(func.count()).select_from(runs).where(ended.is_(None))
    ).scalar_one()

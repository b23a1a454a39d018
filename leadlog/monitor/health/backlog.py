"""Checks of the sync's backlog: the number of waiting leads, and their age."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from leadlog.leads.store.models import SyncItem
from leadlog.leads.store.reports import waiting
from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.database import database_missing, opened
from leadlog.monitor.health.probes import ProbeContext

__all__ = ["probe"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_NAMES = ("sync_backlog", "sync_age", "sync_refused")


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check `sync_backlog`, `sync_age` and `sync_refused`."""
    if database_missing(context) is not None:
        for name in _NAMES:
            yield Check(name, "unknown", message="there is no lead store")
        return
    try:
        with opened(context.database) as connection:
            count, oldest = waiting(connection)
            refused = connection.execute(select(func.count()).select_from(SyncItem)).scalar_one()
    except DBAPIError as error:
        for name in _NAMES:
            yield Check(name, "unknown", message=f"the lead store cannot be read: {error.orig}")
        return
    settings = context.settings
    remedy = (
        "run `leadlog sync both`, and look why it did not: leadlog tail --category sync_operations"
    )
    limit = settings.health_backlog_leads
    yield judge(
        "sync_backlog",
        float(count),
        warning=limit,
        critical=limit * 10,
        unit="leads",
        message=f"{count} leads wait for a sync",
        remedy=remedy,
    )
    hours = 0.0
    if oldest is not None:
        hours = (_EPOCH + timedelta(microseconds=context.now_us()) - oldest) / _HOUR
    yield judge(
        "sync_age",
        round(max(hours, 0.0), 4),
        warning=settings.health_backlog_hours,
        critical=settings.health_backlog_hours * 3,
        unit="h",
        message="no lead waits for a sync"
        if oldest is None
        else f"the oldest unsynced lead has waited for {hours:.1f} h",
        remedy=remedy,
    )
    yield judge(
        "sync_refused",
        float(refused),
        warning=1.0,
        unit="leads",
        message=f"{refused} leads or rows were set aside because they were refused"
        if refused
        else "none was set aside",
        remedy="see why: leadlog sync status; after correcting them: leadlog sync retry",
    )

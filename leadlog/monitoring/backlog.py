"""Checks of the sync's backlog: how many leads wait, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from leadlog.monitoring.checks import Check, judge
from leadlog.monitoring.database import database_missing, opened
from leadlog.monitoring.probes import Context
from leadlog.store.models import Lead

__all__ = ["probe"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def probe(context: Context) -> Iterator[Check]:
    """Checks `sync_backlog` and `sync_age`.

    Only waiting leads are looked at, through an index that holds no others.
    """
    if database_missing(context) is not None:
        for name in ("sync_backlog", "sync_age"):
            yield Check(name, "unknown", message="there is no lead store")
        return
    try:
        with opened(context.database) as connection:
            row = connection.execute(
                select(func.count(), func.min(Lead.updated_at)).where(Lead.sync_pending)
            ).one()
    except DBAPIError as error:
        for name in ("sync_backlog", "sync_age"):
            yield Check(name, "unknown", message=f"the lead store does not say: {error.orig}")
        return
    waiting, oldest = cast("tuple[int, datetime | None]", row)
    settings = context.settings
    remedy = "run `leadlog sync`, and look why it did not: leadlog tail --type sync_operation"
    limit = settings.health_backlog_leads
    yield judge(
        "sync_backlog",
        float(waiting),
        warning=limit,
        critical=limit * 10,
        unit="leads",
        message=f"{waiting} leads wait for a sync",
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

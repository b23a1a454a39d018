"""Checks of shipping: the lag of each destination, and the records it refused."""

from collections.abc import Iterator

from leadlog.core.errors import LeadlogError
from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.probes import ProbeContext
from leadlog.reading.shipped import destinations, read_shipments

__all__ = ["LAG", "probe"]

LAG = "ship_lag:"
"""Prefix of the names of lag checks; the destination's name follows."""


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check `ship_lag:NAME` and `ship_refused:NAME` of each destination."""
    for name in destinations(context.directory):
        try:
            yield from _checks(context, name)
        except (OSError, LeadlogError) as error:
            yield Check(f"{LAG}{name}", "unknown", message=f"it cannot be read: {error}")


def _checks(context: ProbeContext, name: str) -> Iterator[Check]:
    one = read_shipments(context.directory, name)
    lag = one.lag(context.directory, context.now_us())
    seconds = None if lag.seconds is None else round(lag.seconds, 3)
    size = "" if lag.bytes is None else f" ({lag.bytes / 1e6:.1f} MB)"
    message = f"{name} has all of the log"
    if lag.files:
        age = "of unknown age" if seconds is None else f"{seconds:.0f} s old"
        message = f"the oldest event that {name} lacks is {age}{size}"
        if error := one.meta.get("error"):
            message += f"; {error}"
    yield judge(
        f"{LAG}{name}",
        seconds,
        warning=context.settings.health_ship_lag_seconds,
        unit="s",
        message=message,
        remedy=f"see that `leadlog ship {name}` runs, and `leadlog ship status {name}`; to "
        f"stop shipping there for good, `leadlog ship forget {name}`",
    )
    causes = [
        f"{cause} ({records if records is not None else 'unknown'} records)"
        for cause, (_, _, records) in one.dropped.items()
    ]
    said = [f"{one.refused} records were refused"] if one.refused else []
    yield judge(
        f"ship_refused:{name}",
        float(one.refused + len(causes)),
        warning=1.0,
        unit="findings",
        message=f"{name}: {'; '.join(said + causes)}"
        if said or causes
        else f"{name} refused nothing",
        remedy=f"see why: leadlog ship status {name}; then: leadlog ship replay {name}",
    )

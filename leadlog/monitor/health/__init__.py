"""Health checks of the store, the sync, the log and the machine, and metrics for Prometheus.

    from leadlog.monitor import health

    found = health.check()
    found.state, found.as_dict()

Everything expensive is imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.monitor.health.checks import Check, Health, State, judge
    from leadlog.monitor.health.health import (
        check,
        check_async,
        default_context,
        register,
        registered,
        unregister,
    )
    from leadlog.monitor.health.probes import ProbeContext, Registered

_HOMES = {
    "Check": "leadlog.monitor.health.checks",
    "Health": "leadlog.monitor.health.checks",
    "ProbeContext": "leadlog.monitor.health.probes",
    "Registered": "leadlog.monitor.health.probes",
    "State": "leadlog.monitor.health.checks",
    "check": "leadlog.monitor.health.health",
    "check_async": "leadlog.monitor.health.health",
    "default_context": "leadlog.monitor.health.health",
    "judge": "leadlog.monitor.health.checks",
    "register": "leadlog.monitor.health.health",
    "registered": "leadlog.monitor.health.health",
    "unregister": "leadlog.monitor.health.health",
}

__all__ = [
    "Check",
    "Health",
    "ProbeContext",
    "Registered",
    "State",
    "check",
    "check_async",
    "default_context",
    "judge",
    "register",
    "registered",
    "unregister",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'leadlog.monitor.health' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value

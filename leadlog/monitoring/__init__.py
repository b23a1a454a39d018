"""Monitoring: measured performance of the application's own code, and health checks.

    from leadlog import monitoring

    health = monitoring.check()
    health.state, health.as_dict()

Everything heavy is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.monitoring.checks import Check, Health, State, judge
    from leadlog.monitoring.health import (
        check,
        check_async,
        default_context,
        register,
        registered,
        unregister,
    )
    from leadlog.monitoring.probes import Context, Registered

_HOMES = {
    "Check": "leadlog.monitoring.checks",
    "Context": "leadlog.monitoring.probes",
    "Health": "leadlog.monitoring.checks",
    "Registered": "leadlog.monitoring.probes",
    "State": "leadlog.monitoring.checks",
    "check": "leadlog.monitoring.health",
    "check_async": "leadlog.monitoring.health",
    "default_context": "leadlog.monitoring.health",
    "judge": "leadlog.monitoring.checks",
    "register": "leadlog.monitoring.health",
    "registered": "leadlog.monitoring.health",
    "unregister": "leadlog.monitoring.health",
}

__all__ = [
    "Check",
    "Context",
    "Health",
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
        raise AttributeError(f"module 'leadlog.monitoring' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value

"""The monitor: follows the logs of all processes, keeps figures, checks health, sends notices.

    from leadlog.monitor import Monitor

    with Monitor("database_logs"):  # a thread of this process
        ...

`leadlog monitor` runs the same as a separate process. Modules are imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.monitor.monitor import Monitor
    from leadlog.monitor.state import StandbyError
    from leadlog.monitor.work import MonitorReport

_HOMES = {
    "Monitor": "leadlog.monitor.monitor",
    "MonitorReport": "leadlog.monitor.work",
    "StandbyError": "leadlog.monitor.state",
}

__all__ = ["Monitor", "MonitorReport", "StandbyError"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'leadlog.monitor' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value

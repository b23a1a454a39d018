"""Processors for structlog that turn an event into a truthful, labelled record.

Each is a plain callable over the event dict and works alone, in any structlog chain:

    structlog.configure(processors=[Session(), PerformanceTier(), Privacy(), JSONLine()])

They need the standard library and structlog only; rendering uses orjson. Each is imported on first
use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog_processors.envelope import Envelope
    from leadlog_processors.failure import Failure
    from leadlog_processors.labels import TrainingLabels
    from leadlog_processors.privacy import Privacy
    from leadlog_processors.quality import DataQuality
    from leadlog_processors.rendering import JSONLine
    from leadlog_processors.routing import Route
    from leadlog_processors.sampling import Sampling
    from leadlog_processors.session import Session, open_session
    from leadlog_processors.timing import PerformanceTier, Tiers

_HOMES = {
    "DataQuality": "quality",
    "Envelope": "envelope",
    "Failure": "failure",
    "JSONLine": "rendering",
    "PerformanceTier": "timing",
    "Privacy": "privacy",
    "Route": "routing",
    "Sampling": "sampling",
    "Session": "session",
    "Tiers": "timing",
    "TrainingLabels": "labels",
    "open_session": "session",
}

__all__ = [
    "DataQuality",
    "Envelope",
    "Failure",
    "JSONLine",
    "PerformanceTier",
    "Privacy",
    "Route",
    "Sampling",
    "Session",
    "Tiers",
    "TrainingLabels",
    "open_session",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'leadlog_processors' has no attribute {name!r}")
    return getattr(importlib.import_module(f"leadlog_processors.{home}"), name)

"""Processors for structlog that make an event a truthful, labelled record.

Each is a plain callable over the event dict and works alone, in anybody's chain:

    structlog.configure(processors=[Session(), PerformanceTier(), Privacy(), JSONLine()])

Standard library and structlog only; rendering uses orjson.
"""

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

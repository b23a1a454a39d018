"""Sampling: keeps a share of the ordinary events, and every error and slow event.

Each event with a rate has it as `sample_rate`, so counts can be re-weighted: a record stands for
`1 / sample_rate` events. Errors and slow events have 1.0 and count once.

With a rate of 0, only errors and slow events are kept. They still count exactly, but the ordinary
events cannot be estimated: their number is unknown, not zero.

>>> sample = Sampling({"get_lead": 0.25}, random=lambda: 0.1)
>>> sample(None, "info", {"operation_type": "get_lead"})
{'operation_type': 'get_lead', 'sample_rate': 0.25}
>>> sample(None, "error", {"operation_type": "get_lead"})["sample_rate"]
1.0
>>> sample(None, "info", {"operation_type": "add_lead"})
{'operation_type': 'add_lead'}
"""

from collections.abc import Callable, Collection, Mapping
from random import random as system_random
from typing import Final

from structlog import DropEvent
from structlog.typing import EventDict, WrappedLogger

from leadlog_processors.fields import (
    DATABASE_OPERATION,
    ERROR_LOG,
    MIGRATION_OPERATION,
    PERFORMANCE_METRICS,
    SYNC_OPERATION,
)

ANY_OPERATION: Final = "*"
"""Key of `rates` for every operation without a rate of its own."""

SLOW_TIERS: Final = ("slow", "very_slow")

_BAD_LEVELS: Final = frozenset(("error", "err", "exception", "critical", "fatal"))

_PLACES: Final[dict[str, tuple[str, str | None]]] = {
    DATABASE_OPERATION: ("operation_details", "operation_type"),
    PERFORMANCE_METRICS: ("operation_info", "operation_name"),
    SYNC_OPERATION: ("sync_results", None),
    MIGRATION_OPERATION: ("migration_results", None),
}
"""Log type to the section with `success`, and its key of the operation's name, if it has one."""


def _share(key: str, rate: object) -> float:
    if isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate <= 1:
        return float(rate)
    raise ValueError(
        f"sampling rate of {key!r} is {rate!r}; give a share to keep from 0 to 1"
        " (1 keeps everything, 0 only errors and slow events)"
    )


class Sampling:
    """Drops ordinary events at random, by operation.

    In: the name of the operation (`operation_details.operation_type`,
    `operation_info.operation_name`, or `operation_type` at top level), `log_type`, `level` (or else
    the logger method), `success` (in the log type's section, or at top level) and
    `training_labels.performance_tier`, so it must follow PerformanceTier.
    Out: `sample_rate` at top level, or the event is dropped. The rate is looked up by operation,
    then log type, then "*"; an event without a rate is not changed. Always kept, with a rate of
    1.0: level error or higher, an error_log, `success` false, a slow tier. Raises nothing but
    `DropEvent`. Cost: 0.08 µs without any rate, 0.29 for an event without one, 0.44 with one.

    Args:
        rates: operation_type, log_type or "*" to the share to keep, 0 to 1. A rate of 0 keeps only
            errors and slow events.
        random: returns numbers in [0, 1).
        slow_tiers: performance tiers that are always kept.

    Raises:
        ValueError: a rate is not a number from 0 to 1.
    """

    __slots__ = ("_random", "_rates", "_slow_tiers")

    def __init__(
        self,
        rates: Mapping[str, float],
        random: Callable[[], float] = system_random,
        slow_tiers: Collection[str] = SLOW_TIERS,
    ) -> None:
        # An event without the key looks up None, which is never in the dict.
        self._rates: dict[str | None, float] = {key: _share(key, rates[key]) for key in rates}
        self._random = random
        self._slow_tiers = frozenset(slow_tiers)

    def __call__(
        self, _logger: WrappedLogger, method_name: str, event_dict: EventDict
    ) -> EventDict:
        """Keep the event and add its rate, or drop it.

        Raises:
            DropEvent: the event was not selected.
        """
        rates = self._rates
        if not rates:
            return event_dict
        get = event_dict.get
        try:
            log_type = get("log_type")
            if log_type is None:
                operation, success = get("operation_type"), get("success")
            elif (place := _PLACES.get(log_type)) is not None:
                section = event_dict[place[0]]
                operation, success = section.get(place[1]), section.get("success")
            else:
                operation = success = None
            rate = rates.get(operation)
            if rate is None:
                rate = rates.get(log_type)
                if rate is None:
                    rate = rates.get(ANY_OPERATION)
                    if rate is None:
                        return event_dict
            labels = get("training_labels")
            keep = (
                success is False
                or log_type == ERROR_LOG
                or get("level", method_name) in _BAD_LEVELS
                or (labels is not None and labels.get("performance_tier") in self._slow_tiers)
            )
        except (AttributeError, KeyError, TypeError):
            return event_dict  # a foreign event with one of our log types: not ours to drop
        if keep or rate == 1.0:
            event_dict["sample_rate"] = 1.0
        elif self._random() < rate:
            event_dict["sample_rate"] = rate
        else:
            raise DropEvent
        return event_dict

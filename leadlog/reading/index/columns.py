"""The index's columns of an event besides its position: enough to count, chart and filter.

Most columns have few distinct values, so an event stores the number of its kind, and kinds have a
separate table. Filters are resolved to kinds, and hourly and daily counts are by kind.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from leadlog.core.clock import parse
from leadlog.core.records.operation import operation_name
from leadlog.reading.analytics.durations import is_duration
from leadlog.reading.analytics.subjects import LEAST_RATE
from leadlog.reading.change import change_of

__all__ = [
    "MANY",
    "TEXT_LIMIT",
    "Kind",
    "duration_of",
    "kind_of",
    "microseconds_of",
    "rows_of",
    "score_of",
    "signature_of",
    "user_of",
]

MANY: Final = "…"
"""Replaces names once too many distinct ones exist."""

TEXT_LIMIT: Final = 120


class Kind(NamedTuple):
    """The values that many events share; None for those an event lacks.

    Attributes:
        category: the folder.
        event_name: dotted name of the event.
        operation: display name of the operation, such as `Deal.update`.
        entity: the mapped class's name.
        outcome: outcome in the database.
        level: severity of the event.
        failed: whether the call, run or measurement failed.
        tier: band of the wall time.
        quality: band of the lead's score.
        error_type: type of an error.
        exception: qualified name of the error's class.
        fingerprint: fingerprint of an error; its type if it has none.
        monitoring: type of a monitoring record.
        rate: fraction of such events that is kept.
    """

    category: str
    event_name: str | None = None
    operation: str | None = None
    entity: str | None = None
    outcome: str | None = None
    level: str | None = None
    failed: bool | None = None
    tier: str | None = None
    quality: str | None = None
    error_type: str | None = None
    exception: str | None = None
    fingerprint: str | None = None
    monitoring: str | None = None
    rate: float = 1.0

    def lumped(self) -> "Kind":
        """Return the kind without names of unlimited variety."""
        return self._replace(
            event_name=MANY,
            operation=None if self.operation is None else MANY,
            entity=None if self.entity is None else MANY,
            exception=None if self.exception is None else MANY,
            fingerprint=None if self.fingerprint is None else MANY,
        )


_NOTHING: Final[Mapping[str, Any]] = {}


def microseconds_of(stamp: str) -> int:
    """Return a `timestamp` of a record as microseconds since 1970."""
    seconds = (int(stamp[11:13]) * 60 + int(stamp[14:16])) * 60 + int(stamp[17:19])
    fraction = stamp[20:-1]
    return _midnight(stamp[:10]) + seconds * 1_000_000 + int(fraction.ljust(6, "0") or 0)


@lru_cache(maxsize=256)
def _midnight(day: str) -> int:
    return parse(f"{day}T00:00:00Z")


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if type(found) is dict else _NOTHING


def _text(value: Any) -> str | None:
    if type(value) is not str:
        return None
    return value if len(value) <= TEXT_LIMIT else f"{value[: TEXT_LIMIT - 1]}…"


def signature_of(category: str, data: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the values that determine an event's kind, unchecked, within a microsecond.

    None if the kind has to be computed.
    """
    if data.get("log_type") != "database_operation":
        return None
    details, labels = data.get("operation_details"), data.get("training_labels")
    if type(details) is not dict or type(labels) is not dict:
        return None
    get = details.get
    return (
        category,
        data.get("event_name"),
        get("operation_type"),
        get("entity"),
        get("outcome"),
        data.get("level"),
        get("success"),
        labels.get("performance_tier"),
        labels.get("data_quality"),
        data.get("sample_rate"),
    )


def kind_of(category: str, data: Mapping[str, Any]) -> Kind:
    """Return the kind of an event: the values that it shares with many others.

    Args:
        category: the folder of its file.
        data: the event.
    """
    rate = data.get("sample_rate")
    if type(rate) is not float or not LEAST_RATE <= rate < 1:
        rate = 1.0
    name, level = _text(data.get("event_name")), _text(data.get("level"))
    log_type, labels = data.get("log_type"), _section(data, "training_labels")
    if log_type == "database_operation":
        details = _section(data, "operation_details")
        entity = _text(details.get("entity"))
        return Kind(
            category,
            name,
            operation_name(_text(details.get("operation_type")), entity),
            entity,
            _text(details.get("outcome")),
            level,
            _not(details.get("success")),
            _text(labels.get("performance_tier")),
            _text(labels.get("data_quality")),
            rate=rate,
        )
    if log_type == "performance_metrics":
        info = _section(data, "operation_info")
        return Kind(
            category,
            name,
            _text(info.get("operation_name")),
            level=level,
            failed=_not(info.get("success")),
            tier=_text(labels.get("performance_tier")),
            rate=rate,
        )
    if log_type == "error_log":
        details = _section(data, "error_details")
        error_type = _text(details.get("error_type"))
        return Kind(
            category,
            name,
            _text(_section(data, "context").get("operation_in_progress")),
            level=level,
            error_type=error_type,
            exception=_text(details.get("exception_class")),
            fingerprint=_text(details.get("fingerprint")) or error_type,
            rate=rate,
        )
    section = _RESULTS.get(str(log_type))
    if section is not None:
        failed = _not(_section(data, section).get("success"))
        return Kind(category, name, name, level=level, failed=failed, rate=rate)
    looked_at = _text(_section(data, "monitoring_info").get("monitoring_type"))
    return Kind(category, name, level=level, monitoring=looked_at, rate=rate)


_RESULTS: Final = {
    "sync_operation": "sync_results",
    "migration_operation": "migration_results",
}
_DURATIONS: Final = {
    "database_operation": ("operation_details", "execution_time_ms"),
    "performance_metrics": ("operation_info", "total_duration_ms"),
    "sync_operation": ("sync_results", "execution_time_ms"),
    "migration_operation": ("migration_results", "execution_time_ms"),
}


def _not(success: Any) -> bool | None:
    return None if type(success) is not bool else not success


def duration_of(data: Mapping[str, Any]) -> int | None:
    """Return the duration of an event in microseconds; None if unknown."""
    place = _DURATIONS.get(data.get("log_type", ""))
    if place is None:
        return None
    section = data.get(place[0])
    value = section.get(place[1]) if type(section) is dict else None
    return round(value * 1000) if is_duration(value) else None


def user_of(data: Mapping[str, Any]) -> str | None:
    """Return the bound user; None if there is none."""
    context = data.get("context")
    return _text(context.get("user")) if type(context) is dict else None


def score_of(data: Mapping[str, Any]) -> tuple[int, tuple[str | None, ...]] | None:
    """Return the quality score and marks of an event's lead; None without a lead.

    The score is from 0 to 1000; the marks are the source of the lead, and the codes that explain
    the score.
    """
    labels = data.get("training_labels")
    score = labels.get("data_quality_score") if type(labels) is dict else None
    if (type(score) is not float and type(score) is not int) or not 0 <= score <= 1:
        return None
    issues = _section(data, "training_labels").get("data_quality_issues")
    changed = _section(_section(data, "data_details"), "fields_changed").get("source")
    source = changed.get("new") if type(changed) is dict else None
    told = sorted({one for one in issues if type(one) is str}) if type(issues) is list else []
    return round(score * 1000), (_text(source), *told)


def rows_of(data: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...], bool]:
    """Return the rows that an event concerns.

    Returns:
        The key of its only row; the keys of rows that it lists; whether it may concern any row
        without naming it.
    """
    key: str | None = None
    listed: tuple[str, ...] = ()
    unnamed = False
    log_type = data.get("log_type")
    if log_type == "database_operation":
        key = _only_key(data)
        if key is None and (change := change_of(data)) is not None:
            key, listed = change.key, change.listed
            if change.previous is not None:
                listed = (*listed, change.previous)
            unnamed = key is None and change.keys is None and change.outcome != "completed"
    elif log_type == "monitoring_data":
        info = data.get("monitoring_info")
        unnamed = type(info) is dict and info.get("monitoring_type") == "log_health"
    return key, listed, unnamed


def _only_key(data: Mapping[str, Any]) -> str | None:
    """Return the key of an ordinary call on one row, as `change_of` does but much faster."""
    details, who = data.get("operation_details"), data.get("lead_identifier")
    if type(details) is not dict or type(who) is not dict or data.get("truncated"):
        return None
    if details.get("bulk") is True or details.get("records_cut"):
        return None
    if "previous_lead_id" in who:
        return None
    key = who.get("lead_id")
    return key if type(key) is str else None

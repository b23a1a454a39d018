"""Conversion of facts to the event that processors see: every section of its log type, in order.

An application's own log calls become records, too: `log.info("import.started", file="a.csv")` is
monitoring_data (application_event) with its values under `data_points`; an event of level error or
higher, or one with an exception, is an error_log (application_error) with its values in the
error's context.
"""

from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict

from leadlog.core.records import captured, shape
from leadlog.recording.pipeline.facts import Facts
from leadlog_processors.clock import format_us
from leadlog_processors.envelope import ENVELOPE, LEVELS
from leadlog_processors.fields import CATEGORIES, ERROR_LOG, LOG_TYPES, MONITORING_DATA
from leadlog_processors.session import merge_context

APPLICATION_ERROR: Final = "application_error"

_ERRORS: Final = frozenset(("error", "err", "exception", "critical", "fatal"))


def category_of(method: str, values: Mapping[str, Any], *, failed: bool) -> str:
    """Return the category of an application's own log call.

    Args:
        method: the logger's method.
        values: the logged values.
        failed: whether an exception was logged.
    """
    if "log_type" in values:
        log_type = values["log_type"]
        if type(log_type) is str and log_type in CATEGORIES:
            return CATEGORIES[log_type]
    return CATEGORIES[ERROR_LOG if failed or method in _ERRORS else MONITORING_DATA]


def event_of(facts: Facts) -> EventDict:
    """Return the event of facts, beginning with its envelope."""
    kind = facts["kind"]
    event: EventDict
    if kind == "operation":
        event = captured.operation(facts)
    elif kind == "call":
        function, *arguments = facts["call"]
        event = getattr(shape, function)(*arguments)
    elif kind == "free":
        event = _free(facts)
    else:
        event = facts["event"]
    if "schema_version" not in event:
        event = {**ENVELOPE, **event}
    event["event_id"] = event["event_id"] or facts["id"]
    ended = event["timestamp"]
    if ended is None:
        ended = facts["at"]
    event["timestamp"] = _time_text(ended)
    method, name = facts["method"], facts["name"]
    event["level"] = LEVELS.get(method, method)
    event["event_name"] = name if type(name) is str else str(name)
    event["session_id"] = facts["session"]
    event["process_id"] = facts["pid"]
    event["thread_name"] = facts["thread"]
    if "trace" in facts:
        event["trace_id"], event["span_id"] = facts["trace"]
    if "memory" in facts:
        metrics = event.get("performance_metrics")
        if metrics is not None and metrics.get("memory_usage_mb", 0) is None:
            metrics["memory_usage_mb"] = facts["memory"]
    if "failure" in facts:
        details = event.get("error_details") or {}
        for key, fact in facts["failure"].items():
            if details.get(key) is None:
                details[key] = fact
        event["error_details"] = details
    if "context" in facts:
        own = event.get("context")
        if event.get("log_type") == ERROR_LOG and isinstance(own, dict):
            merge_context(own, facts["context"])
        else:
            event["context"] = {**facts["context"], **(own or {})}
    return event


def _time_text(ended: Any) -> str:
    """Return a time in the format of records; any other value as text."""
    if type(ended) is int:
        try:
            return format_us(ended)
        except OverflowError:
            pass
    return str(ended)


def _public(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values without structlog's transient keys, which begin with `_`."""
    for key in values:
        if str(key)[:1] == "_":
            return {key: value for key, value in values.items() if str(key)[:1] != "_"}
    return values


def _free(facts: Facts) -> EventDict:
    values = facts["values"]
    log_type = values.get("log_type")
    if type(log_type) is str and log_type in LOG_TYPES:
        return _by_hand(values)
    if "failure" in facts or facts["method"] in _ERRORS:
        error_type = values.pop("error_type", None) or APPLICATION_ERROR
        details = {} if "failure" in facts else {"message": facts["name"]}
        return shape.error_log(str(error_type), details, _public(values))
    return shape.application_event(_public(values), facts["id"])


def _by_hand(values: Mapping[str, Any]) -> EventDict:
    """Return a record written by hand, with the keys it lacks."""
    shaped = shape.blank(values["log_type"])
    for key, value in values.items():
        section = shaped.get(key)
        if isinstance(section, dict) and isinstance(value, Mapping):
            section.update(value)
        elif key in shaped or key in ("context", "sample_rate") or key.startswith("_"):
            shaped[key] = value
        else:
            shaped.setdefault("extra", {})[key] = value
    return shaped

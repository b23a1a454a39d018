"""Texts of notices: short, with a remedy, and without secrets."""

from collections.abc import Iterator

from leadlog.core.clock import format_us
from leadlog.monitor.notification.groups import Notice
from leadlog.monitor.states import AlertState
from leadlog_processors.masking import mask_text

__all__ = ["body", "title"]

_MOST_ALERTS = 10
_MOST_CHARACTERS = 500


def title(notice: Notice) -> str:
    """Return the first line: severity, rule, number of alerts."""
    if notice.kind == "resolved":
        return f"[leadlog] resolved: {notice.rule}"
    many = f" ({len(notice.firing)})" if len(notice.firing) > 1 else ""
    still = "still " if notice.kind == "again" else ""
    return f"[leadlog] {still}{notice.severity}: {notice.rule}{many}"


def body(notice: Notice, directory: str) -> str:
    """Return the text after the first line.

    Args:
        notice: the content.
        directory: the log directory, named in the text.
    """
    return "\n".join(_lines(notice, directory))


def _lines(notice: Notice, directory: str) -> Iterator[str]:
    for one in notice.firing[:_MOST_ALERTS]:
        yield f"{one.severity}: {_clean(one.message)}"
        yield f"  since {_time(one.since_us)}"
        if one.remedy:
            yield f"  {_clean(one.remedy)}"
    if len(notice.firing) > _MOST_ALERTS:
        yield f"and {len(notice.firing) - _MOST_ALERTS} more"
    for one in notice.resolved[:_MOST_ALERTS]:
        yield f"resolved: {_clean(_subject(one))}"
        yield f"  it was: {_clean(one.message)}"
    if len(notice.resolved) > _MOST_ALERTS:
        yield f"and {len(notice.resolved) - _MOST_ALERTS} more are resolved"
    yield ""
    yield f"Log: {directory}"
    if notice.firing:
        yield f'Not now? leadlog alerts silence {notice.rule} --for 2h --comment "…"'


def _subject(alert: AlertState) -> str:
    return f"{alert.rule} {alert.label}".rstrip()


def _time(us: int) -> str:
    return format_us(us)[:19].replace("T", " ") + " UTC"


def _clean(text: str) -> str:
    """Return one line without secrets and without control characters."""
    line = " ".join(mask_text(text).split())
    shown = "".join(char if char.isprintable() else "?" for char in line)
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[: _MOST_CHARACTERS - 1]}…"

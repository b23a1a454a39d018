"""The daily summary: one UTC day's files, added up in one pass.

Memory is constant apart from eight bytes per measured duration (for exact percentiles) and one
entry per distinct error. Percentiles are values that were measured: the one at rank
`ceil(share * n)`, with `n` beside it. Where nothing was measured there is `null`, not 0.

An event that sampling kept with a `sample_rate` stands for `1 / sample_rate` events, and is
counted so; `summary_info.sampled_events` says how many such events were read, and where it is not
0 the counts are estimates. Maxima are never scaled up.
"""

import datetime as dt
import os
import threading
from pathlib import Path
from typing import Any

import orjson

from leadlog.analytics.sections import (
    Errors,
    Migrations,
    Operations,
    Performance,
    Section,
    Syncs,
)
from leadlog.clock import format_us, now_us
from leadlog.errors import LogDirectoryError
from leadlog.layout import log_files, summary_path
from leadlog.reading.events import Skipped, read_events

__all__ = ["daily_summary", "write_daily_summary"]


def daily_summary(
    directory: str | os.PathLike[str],
    date: str | dt.date,
    *,
    session_id: str | None = None,
    created_us: int | None = None,
) -> dict[str, Any]:
    """Adds up the files of one UTC day.

    Args:
        directory: the log directory.
        date: the day, `2026-11-23`.
        session_id: of the session that asks, for `summary_info`.
        created_us: the time to write into it, microseconds since 1970; now by default.

    Returns:
        The sections of the record contract's "Daily summary". A day without files has counts
        of 0 and everything else null.

    Raises:
        ValueError: `date` is no date.
        ReadError: a file cannot be read.
    """
    day = _day(date)
    created = format_us(now_us() if created_us is None else created_us)
    skipped = Skipped()
    parts: dict[str, Section] = {
        "operation_summary": Operations(),
        "sync_summary": Syncs(),
        "migration_summary": Migrations(),
        "error_summary": Errors(),
        "performance_summary": Performance(),
    }
    wanted = {
        "database_operation": (parts["operation_summary"], parts["performance_summary"]),
        "sync_operation": (parts["sync_summary"], parts["performance_summary"]),
        "migration_operation": (parts["migration_summary"],),
        "error_log": (parts["error_summary"],),
        "performance_metrics": (parts["performance_summary"],),
    }
    events = sampled = 0
    for file in log_files(directory, since=day, until=day):
        for event in read_events(file.path, skipped=skipped):
            events += 1
            rate = event.data.get("sample_rate")
            weight = 1.0
            if isinstance(rate, float) and 0.0 < rate < 1.0:
                sampled += 1
                weight = 1.0 / rate
            for part in wanted.get(event.data.get("log_type", ""), ()):
                part.add(event.data, weight)
    # The last line of a day that is over will not be finished any more.
    over = created[:10] > day
    return {
        "summary_info": {
            "date": day,
            "created_at": created,
            "session_id": session_id,
            "events_read": events,
            "lines_skipped": skipped.lines + (skipped.unfinished if over else 0),
            "sampled_events": sampled,
        },
        **{name: part.result() for name, part in parts.items()},
    }


def write_daily_summary(
    directory: str | os.PathLike[str],
    date: str | dt.date,
    *,
    session_id: str | None = None,
    created_us: int | None = None,
) -> Path:
    """Adds up one UTC day and writes the result beside the log, atomically.

    A reader sees the old summary or the new one, never a part.

    Args:
        directory: the log directory.
        date: the day, `2026-11-23`.
        session_id: of the session that asks.
        created_us: the time to write into it; now by default.

    Returns:
        The file, `monitoring_data/daily-summary-<date>.json`.

    Raises:
        ValueError: `date` is no date.
        ReadError: a log file cannot be read.
        LogDirectoryError: the summary cannot be written.
    """
    summary = daily_summary(directory, date, session_id=session_id, created_us=created_us)
    path = summary_path(directory, summary["summary_info"]["date"])
    text = orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror or error}; "
            "check that you may write there and that the disk has room"
        ) from error
    return path


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        # As private as the log itself: error messages may be in it.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _day(date: str | dt.date) -> str:
    if isinstance(date, dt.date):
        return date.strftime("%Y-%m-%d")
    try:
        return dt.date.fromisoformat(date).isoformat()
    except ValueError:
        raise ValueError(f"{date!r} is no date; write a UTC day such as 2026-11-23") from None

"""Summaries of days: one, or several together, which is the same as their tallies together.

Where the bucket table of a sealed day is stored, the events need not be read; percentiles are then
those of buckets, and the ones that were measured are null. Where nothing was measured there is
`null`, not 0.

An event that sampling kept with a `sample_rate` stands for `1 / sample_rate` events, and is
counted so; `summary_info.sampled_events` says how many such events were read, and where it is not
0 the counts are estimates. Maxima are never scaled up, and `n` beside percentiles is the number of
durations that were read.
"""

import datetime as dt
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from leadlog.core.clock import format_us, now_us
from leadlog.core.errors import LogDirectoryError, ReadError
from leadlog.core.files import make_folder, replace
from leadlog.core.layout import LogFile, log_files, summary_path
from leadlog.core.places import modes_of
from leadlog.reading.analytics.buckets import load_buckets
from leadlog.reading.analytics.counting import Engine, EventCounter, engine_for
from leadlog.reading.analytics.sections import Exact, sections
from leadlog.reading.analytics.tally import Tally

if TYPE_CHECKING:
    from leadlog.reading.analytics.spark import SparkEngine

__all__ = [
    "Period",
    "count_days",
    "count_days_on_spark",
    "daily_summary",
    "events_of",
    "summary_of",
    "write_daily_summary",
]


_ATTEMPTS = 3


@attrs.frozen
class Period:
    """What some days add up to.

    Attributes:
        first: UTC day, `2026-11-23`.
        last: UTC day; the same for one day.
        tally: of all of them.
        exact: percentiles as they were measured, by operation; None where a day was read from
            its bucket table.
        days: UTC day to the tally of that day alone.
        from_buckets: the days that were read from their bucket tables.
    """

    first: str
    last: str
    tally: Tally
    exact: Exact | None
    days: dict[str, Tally]
    from_buckets: tuple[str, ...]


def count_days(
    directory: str | os.PathLike[str],
    first: str | dt.date,
    last: str | dt.date | None = None,
    *,
    exact: bool = False,
    engine: Engine = "auto",
    today: str | None = None,
) -> Period:
    """Add up UTC days.

    Args:
        directory: the log directory.
        first: the first day, `2026-11-23`.
        last: the last day; the first one by default.
        exact: reads the events of every day, whatever is stored, for exact percentiles.
        engine: `python` and `duckdb` come to the same; by default what is faster.
        today: the UTC day; the clock's by default.

    Raises:
        ValueError: a day is not a date, or the last is before the first.
        ReadError: a file cannot be read.
        MissingExtraError: DuckDB is needed and not installed.
    """
    since, until = _days(first, last)
    now = format_us(now_us())[:10] if today is None else today
    files = log_files(directory, since=since, until=until)
    for _ in range(_ATTEMPTS - 1):
        try:
            return _counted(directory, since, until, files, exact=exact, engine=engine, now=now)
        except ReadError:
            # Sealed, merged or removed since it was listed?
            before, files = files, log_files(directory, since=since, until=until)
            if files == before:
                raise
    return _counted(directory, since, until, files, exact=exact, engine=engine, now=now)


def _counted(
    directory: str | os.PathLike[str],
    since: str,
    until: str,
    listed: Iterable[LogFile],
    *,
    exact: bool,
    engine: Engine,
    now: str,
) -> Period:
    by_day: defaultdict[str, list[LogFile]] = defaultdict(list)
    for file in listed:
        by_day[file.date].append(file)
    stored = {
        day: tally
        for day, files in by_day.items()
        if not exact and (tally := load_buckets(directory, day, files)) is not None
    }
    rest = {day: files for day, files in by_day.items() if day not in stored}
    counter = _counter([file for files in rest.values() for file in files], engine, not stored)
    try:
        fresh = {day: counter.count(files, over=now > day) for day, files in sorted(rest.items())}
        measured = None if stored else counter.exact()
    finally:
        counter.close()
    return _period(since, until, {**stored, **fresh}, measured, tuple(sorted(stored)))


def count_days_on_spark(
    engine: "SparkEngine",
    first: str | dt.date,
    last: str | dt.date | None = None,
    *,
    exact: bool = False,
) -> Period:
    """Add up UTC days of an archive: what `count_days` says of the same sealed days.

    What differs: damaged lines are not in the archive's Parquet files, so `lines_skipped` is
    None, and no bucket table is read, so `from_buckets` is empty.

    Args:
        engine: made without `since` and `until`, for days go by the files they are in.
        first: the first day, `2026-11-23`.
        last: the last day; the first one by default.
        exact: also asks for percentiles as they were measured.

    Raises:
        ValueError: a day is not a date, or the last is before the first.
        ReadError: Spark cannot read the archive.
    """
    from leadlog.reading.analytics.tally_queries import TIMED, TallyQueries, events_in
    from leadlog.reading.tables import FLAT

    since, until = _days(first, last)
    queries = TallyQueries(engine.tuples)
    relations = {
        category: events_in(table, category, since, until) for table, category in FLAT.items()
    }
    for category, relation in relations.items():
        queries.count(category, relation)
    measured = queries.exact(relations[TIMED]) if exact else None
    period = _period(since, until, queries.days, measured, ())
    for tally in (period.tally, *period.days.values()):
        tally.lines_skipped = None
    return period


def _period(
    since: str,
    until: str,
    by_day: Mapping[str, Tally],
    exact: Exact | None,
    from_buckets: tuple[str, ...],
) -> Period:
    days = dict(sorted(by_day.items()))
    whole = Tally()
    if len(days) == 1:
        (whole,) = days.values()
    else:
        for tally in days.values():
            whole.merge(tally)
    return Period(since, until, whole, exact, days, from_buckets)


def _days(first: str | dt.date, last: str | dt.date | None) -> tuple[str, str]:
    since, until = _day(first), _day(first if last is None else last)
    if until < since:
        raise ValueError(f"the last day {until} is before the first day {since}; turn them round")
    return since, until


def _counter(files: Sequence[LogFile], engine: Engine, exact: bool) -> Any:
    if engine_for(files, engine) == "python":
        return EventCounter()
    from leadlog.reading.analytics.relational import TableCounter  # DuckDB takes a while to load

    return TableCounter(exact=exact)


def summary_of(period: Period) -> dict[str, Any]:
    """Return the sections of the record contract's "Daily summary", without `summary_info`."""
    return sections(period.tally, period.exact)


def daily_summary(
    directory: str | os.PathLike[str],
    date: str | dt.date,
    *,
    session_id: str | None = None,
    created_us: int | None = None,
    engine: Engine = "auto",
) -> dict[str, Any]:
    """Add up the files of one UTC day, event by event.

    Args:
        directory: the log directory.
        date: the day, `2026-11-23`.
        session_id: of the session that asks, for `summary_info`.
        created_us: the time to write into it, microseconds since 1970; now by default.
        engine: `python` and `duckdb` come to the same; by default what is faster.

    Returns:
        The sections of the record contract's "Daily summary". A day without files has counts
        of 0 and everything else null.

    Raises:
        ValueError: `date` is not a date.
        ReadError: a file cannot be read.
    """
    created = format_us(now_us() if created_us is None else created_us)
    period = count_days(directory, date, exact=True, engine=engine, today=created[:10])
    return {
        "summary_info": {
            "date": period.first,
            "created_at": created,
            "session_id": session_id,
            **events_of(period.tally),
        },
        **summary_of(period),
    }


def events_of(tally: Tally) -> dict[str, int | None]:
    """Return how many events were read, lines were damaged, and events were sampled."""
    counts = list(tally.counts())
    return {
        "events_read": sum(count for _, count in counts),
        "lines_skipped": tally.lines_skipped,
        "sampled_events": sum(count for rate, count in counts if rate < 1.0),
    }


def write_daily_summary(
    directory: str | os.PathLike[str],
    date: str | dt.date,
    *,
    session_id: str | None = None,
    created_us: int | None = None,
) -> Path:
    """Add up one UTC day and write the result beside the log, atomically.

    A reader sees the old summary or the new one, never a part.

    Args:
        directory: the log directory.
        date: the day, `2026-11-23`.
        session_id: of the session that asks.
        created_us: the time to write into it; now by default.

    Returns:
        The file, `monitoring_data/daily-summary-<date>.json`.

    Raises:
        ValueError: `date` is not a date.
        ReadError: a log file cannot be read.
        LogDirectoryError: the summary cannot be written.
    """
    summary = daily_summary(directory, date, session_id=session_id, created_us=created_us)
    path = summary_path(directory, summary["summary_info"]["date"])
    text = orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        files, folders = modes_of(Path(directory))
        make_folder(path.parent, folders)
        replace(path, text, mode=files)
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror or error}; "
            "check that you may write there and that the disk has room"
        ) from error
    return path


def _day(date: str | dt.date) -> str:
    if isinstance(date, dt.date):
        return date.strftime("%Y-%m-%d")
    try:
        return dt.date.fromisoformat(date).isoformat()
    except ValueError:
        raise ValueError(f"{date!r} is not a date; write a UTC day such as 2026-11-23") from None

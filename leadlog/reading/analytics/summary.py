"""Summaries of one or several days; that of several equals the sum of their tallies.

If the bucket table of a sealed day is stored, its events need not be read; percentiles are then
those of buckets, and the exact ones are null. Values that were not measured are `null`, not 0.

A sampled event with a `sample_rate` represents `1 / sample_rate` events, and is counted so;
`summary_info.sampled_events` is the number of such events, and if it is not 0 the counts are
estimates. Maxima are never scaled, and `n` next to percentiles is the number of durations read.
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
    """The totals of some days.

    Attributes:
        first: UTC day, `2026-11-23`.
        last: UTC day; equal to `first` for one day.
        tally: tally of all days.
        exact: exact percentiles by operation; None if a day was read from its bucket table.
        days: tally of each UTC day.
        from_buckets: days read from their bucket tables.
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
    """Return the totals of UTC days.

    Args:
        directory: the log directory.
        first: the first day, `2026-11-23`.
        last: the last day; the first one by default.
        exact: read the events of every day, whatever is stored, for exact percentiles.
        engine: `python` and `duckdb` give the same result; by default the faster one.
        today: the current UTC day; the clock's by default.

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
            # sealed, merged or removed since it was listed?
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
    """Return the totals of an archive's UTC days, as `count_days` does for the same sealed days.

    Two things differ: damaged lines are not in the archive's Parquet files, so `lines_skipped` is
    None, and no bucket table is read, so `from_buckets` is empty.

    Args:
        engine: made without `since` and `until`; days are those of the files.
        first: the first day, `2026-11-23`.
        last: the last day; the first one by default.
        exact: also compute exact percentiles.

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
    """Return the summary of one UTC day, computed event by event.

    Args:
        directory: the log directory.
        date: the day, `2026-11-23`.
        session_id: session that requests it, for `summary_info`.
        created_us: creation time to state, microseconds since 1970; now by default.
        engine: `python` and `duckdb` give the same result; by default the faster one.

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
    """Return the numbers of events read, damaged lines, and sampled events."""
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
    """Write the summary of one UTC day into the log directory; return the path of the file.

    The file is replaced atomically: a reader sees the old summary or the new one.

    Args:
        directory: the log directory.
        date: the day, `2026-11-23`.
        session_id: session that requests it.
        created_us: creation time to state; now by default.

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

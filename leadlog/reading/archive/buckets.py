"""The bucket tables of sealed days, made where they are missing or out of date.

They are made of the parts, after the parts are in place, and only then: so a killed janitor may
leave a day without its table, never with a wrong one, and the next one makes it.
"""

from collections import defaultdict
from pathlib import Path

from leadlog.core.errors import LeadlogError
from leadlog.core.layout import CATEGORIES, LogFile, archived_days, log_files
from leadlog.reading.analytics.buckets import load_buckets, store_buckets

__all__ = ["store_missing"]


def store_missing(root: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Make the bucket table of every day that is sealed as a whole and have none.

    Returns:
        The days that it was made for, and those that it could not be made for, with the reason.
    """
    sealed = sorted({day for category in CATEGORIES for day in archived_days(root, category)})
    if not sealed:
        return (), {}
    by_day: defaultdict[str, list[LogFile]] = defaultdict(list)
    for file in log_files(root, since=sealed[0], until=sealed[-1]):
        by_day[file.date].append(file)
    stored = []
    failed = {}
    for day in sealed:
        files = by_day[day]
        if not files or not all(file.archived for file in files):
            continue
        try:
            if load_buckets(root, day, files) is None:
                _store(root, day, files)
                stored.append(day)
        except (LeadlogError, OSError) as error:
            failed[day] = str(error)
    return tuple(stored), failed


def _store(root: Path, day: str, files: list[LogFile]) -> None:
    from leadlog.reading.analytics.relational import TableCounter  # DuckDB takes a while to load

    counter = TableCounter()
    try:
        store_buckets(root, day, files, counter.count(files, over=True))
    finally:
        counter.close()

"""The bucket tables of sealed days, created if they are missing or out of date.

They are made from the parts once these are in place. So a killed janitor may leave a day without
its table, but never with a wrong one, and the next run makes it.
"""

from collections import defaultdict
from pathlib import Path

from leadlog.core.errors import LeadlogError
from leadlog.core.layout import CATEGORIES, LogFile, archived_days, log_files
from leadlog.reading.analytics.buckets import load_buckets, store_buckets

__all__ = ["store_missing"]


def store_missing(root: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Create the bucket table of every completely sealed day that has none.

    Returns:
        The days whose table was created, and the reasons by day where it could not be.
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
    from leadlog.reading.analytics.relational import TableCounter  # DuckDB is slow to import

    counter = TableCounter()
    try:
        store_buckets(root, day, files, counter.count(files, over=True))
    finally:
        counter.close()

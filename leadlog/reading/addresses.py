"""Search of rows by any e-mail address that they ever had."""

import os
from collections.abc import Iterable

from leadlog.core.layout import log_files
from leadlog.reading.change import addresses_of, change_of
from leadlog.reading.events import Event, Skipped, read_events
from leadlog.reading.history import pushdown_for_email
from leadlog.reading.index import Index, events_of_row
from leadlog.reading.merged import read_merged

__all__ = ["keys_with_address"]

_OPERATIONS = "database_operations"


def keys_with_address(
    directory: str | os.PathLike[str],
    address: str,
    *,
    entity: str | None = None,
    index: Index | None = None,
) -> list[str]:
    """Return the keys of rows that ever had an e-mail address, ordered by when they first had it.

    Args:
        directory: the log directory.
        address: the address, in any case.
        entity: only rows of this mapped class.
        index: of the log, up to date; without it the whole log is read.

    Raises:
        ReadError: a file cannot be read.
        IndexUnavailableError: the index cannot be read.
    """
    wanted = address.strip().casefold()
    pushdown = pushdown_for_email(wanted)
    if index is None:
        return _keys(read_merged(directory, (_OPERATIONS,), pushdown=pushdown), wanted, entity)
    found: list[Event] = []
    for file in log_files(directory, [_OPERATIONS]):
        if file.archived:
            found += read_events(file.path, skipped=Skipped(), predicate=pushdown[_OPERATIONS])
    for key in index.with_address(wanted):
        found += events_of_row(directory, index, key, pushdown={}, skipped=Skipped())
    return _keys(found, wanted, entity)


def _keys(events: Iterable[Event], wanted: str, entity: str | None) -> list[str]:
    since: dict[str, str] = {}
    for event in events:
        change = change_of(event.data)
        if change is None or change.key is None or entity not in (None, change.entity):
            continue
        if any(one.casefold() == wanted for one in addresses_of(event.data)):
            since[change.key] = min(since.get(change.key, change.at), change.at)
    return sorted(since, key=lambda key: (since[key], key))

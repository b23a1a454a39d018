"""The history of one row: who did what to it, when, and what became of it.

Calls that failed or were rolled back are in it too, marked as such: what was tried belongs to the
history, what it would have written does not belong to the row.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain, islice
from typing import Any, Final

import orjson

from leadlog.core.layout import log_files
from leadlog.reading.change import Change, Kind, change_of
from leadlog.reading.part import Predicate, distinct_values
from leadlog.reading.replay import Replay
from leadlog.reading.rows import Break, Doubt

__all__ = ["Entry", "History", "history", "pushdown_for", "pushdown_for_email", "sealed_keys"]

_OPERATIONS: Final = "database_operations"
_KEYS_KEPT: Final = 20_000  # of others, to name a close one where none is found
_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that was about the row.

    Attributes:
        at: when it ended.
        event_id: of its record.
        entity: the mapped class's name.
        operation: `operation_type`.
        kind: create, update, delete or read; None where it may be any.
        outcome: what the database did.
        effective: whether it changed the row, as far as the log knows.
        user: `context.user`; None where nobody was bound.
        context: what else was bound.
        session_id: of the session.
        process_id: of the writer.
        transaction_id: same for all calls of one database transaction.
        changes: column to `{"old": …, "new": …}`, as logged.
        rows: how many rows it changed, where it was not about this one alone.
        error: why it failed.
        gap: what does not fit what went before; None where all fits.
    """

    at: str
    event_id: str
    entity: str
    operation: str
    kind: Kind | None
    outcome: str
    effective: bool
    user: str | None
    context: Mapping[str, Any]
    session_id: str | None
    process_id: int | None
    transaction_id: str | None
    changes: Mapping[str, Any]
    rows: int | None = None
    error: str | None = None
    gap: Break | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What the log tells of one row.

    Attributes:
        key: the primary key as text.
        entries: the calls in the order of the log.
        doubts: calls on many rows that may have changed it without saying so, and lost records.
        names: entities that have a row with this key.
        near: keys like this one, where there are no entries.
    """

    key: str
    entries: tuple[Entry, ...]
    doubts: tuple[Doubt, ...] = ()
    names: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


def pushdown_for(key: str) -> dict[str, Predicate]:
    """What the history of a row needs of a log: category to its events (see `read_merged`).

    Besides the calls that name the row, these are the ones that may have changed it without
    saying so, and what the log says of its own gaps.

    Args:
        key: the row's primary key as text.
    """
    condition = (
        "lead_identifier.lead_id = $key OR list_contains(lead_identifier.lead_ids, $key) "
        "OR truncated OR ((lead_identifier.lead_id IS NULL OR operation_details.bulk "
        "OR operation_details.records_cut IS NOT NULL) "
        "AND operation_details.outcome IS DISTINCT FROM 'completed')"
    )
    return {
        _OPERATIONS: Predicate(condition, {"key": key}),
        "monitoring_data": Predicate("monitoring_info.monitoring_type = 'log_health'"),
    }


def pushdown_for_email(address: str) -> dict[str, Predicate]:
    """What may tell of rows with an e-mail address, in whatever case: as `pushdown_for`.

    Args:
        address: without spaces around it.
    """
    email, changed = "lead_identifier.email", "data_details.fields_changed"
    # Of other texts than ASCII, Python knows more spellings that are the same than SQL does.
    condition = (
        f"lower({email}) = $address OR strlen({email}) <> length({email}) "
        f"OR contains(lower({changed}), $quoted) OR strlen({changed}) <> length({changed})"
    )
    quoted = orjson.dumps(address)[1:-1].decode()
    return {
        _OPERATIONS: Predicate(condition, {"address": address.lower(), "quoted": quoted.lower()})
    }


def sealed_keys(directory: str | os.PathLike[str]) -> Iterator[str]:
    """Keys of rows that sealed days tell of, which `pushdown_for` leaves out.

    Raises:
        ReadError: a file cannot be read.
    """
    for file in log_files(directory, [_OPERATIONS]):
        if file.archived:
            yield from distinct_values(file.path, "lead_identifier.lead_id", _KEYS_KEPT)


def history(
    events: Iterable[Mapping[str, Any]],
    key: str,
    *,
    entity: str | None = None,
    reads: bool = False,
    since: str | None = None,
    until: str | None = None,
    others: Iterable[str] = (),
) -> History:
    """The calls on one row.

    Args:
        events: decoded lines, nearly in time order (see `leadlog.reading.merged`).
        key: the row's primary key as text.
        entity: the mapped class's name; any by default.
        reads: whether calls that only read it are wanted too.
        since: first moment wanted, as in the records; what was before is still used to see gaps.
        until: moment from which on nothing is wanted.
        others: keys of rows whose calls are not among the events; asked only where there is no
            call on this one, to name a close one.
    """
    told = Replay(None if entity is None else (entity,))
    found: list[Entry] = []
    seen: dict[str, None] = {}
    for data in events:
        if until is not None and data["timestamp"] >= until:
            continue
        change = change_of(data)
        if change is None:
            told.feed(data)
            continue
        if entity is not None and change.entity not in (entity, None):
            continue
        if change.key == key or key in change.listed:
            if change.outcome != "completed" or reads:
                found.append(_entry(change, data))
            if change.key is None and (change.keys is not None or change.partly):
                change = change._replace(keys=(key,))
            told.apply(change)
        elif change.key is None and change.keys is None and change.outcome != "completed":
            told.apply(change)
        elif len(seen) < _KEYS_KEPT and not found:
            seen.update(dict.fromkeys(change.listed if change.key is None else (change.key,)))
    told.finish()
    found.sort(key=lambda entry: (entry.at, entry.event_id))
    gaps = {gap.event_id: gap for table in told.tables.values() for gap in table.breaks}
    entries = tuple(
        replace(entry, gap=gaps[entry.event_id]) if entry.event_id in gaps else entry
        for entry in found
        if since is None or entry.at >= since
    )
    names = tuple(dict.fromkeys(entry.entity for entry in found))
    first = found[0].at if found else ""
    return History(
        key,
        entries,
        tuple(d for d in told.doubts if d.at >= first and d.entity in (*names, None)),
        names,
        () if found else _near(key, dict.fromkeys(chain(seen, islice(others, _KEYS_KEPT)))),
    )


def _entry(change: Change, data: Mapping[str, Any]) -> Entry:
    details: Mapping[str, Any] = data["operation_details"]
    context = data.get("context")
    context = dict(context) if type(context) is dict else {}
    user, session, process = (
        context.pop("user", None),
        data.get("session_id"),
        data.get("process_id"),
    )
    error = details.get("error_message")
    return Entry(
        change.at,
        change.event_id,
        change.entity or "",
        change.operation,
        change.kind,
        change.outcome,
        change.outcome == "committed" and change.rows != 0,
        None if user is None else str(user),
        context,
        session if type(session) is str else None,
        process if type(process) is int else None,
        change.transaction_id,
        change.columns or {},
        change.rows if change.key is None else None,
        error if type(error) is str else None,
    )


def _near(key: str, others: Iterable[str]) -> tuple[str, ...]:
    """Keys that begin as this one, else those that are spelled alike."""
    others = list(others)
    begun = [other for other in others if key and other.startswith(key)]
    return tuple((begun or get_close_matches(key, others, n=_NEAR, cutoff=0.6))[:_NEAR])

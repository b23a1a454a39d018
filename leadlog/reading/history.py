"""The history of one row: who changed it, how, when, and with which outcome.

Rows of two classes may have the same key; each has a separate history. Calls that failed or were
rolled back are included and marked: the attempt belongs to the history, the values that it would
have written do not belong to the row. Also included are calls on many rows that do not name them
and may have changed this one.
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
from leadlog.reading.doubts import Doubt
from leadlog.reading.part import Predicate, distinct_values
from leadlog.reading.replay import Replay
from leadlog.reading.rows import Gap, LostUpdate

__all__ = [
    "Entry",
    "Histories",
    "History",
    "history",
    "pushdown_for",
    "pushdown_for_email",
    "sealed_keys",
]

_OPERATIONS: Final = "database_operations"
_KEYS_KEPT: Final = 20_000  # of other rows, to suggest a similar one if none is found
_UNNAMED_KEPT: Final = 10_000  # calls that name no row
_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that concerned the row, or may have.

    Attributes:
        at: end of the call.
        event_id: event_id of its record.
        entity: the mapped class's name; "" if the record names none.
        operation: `operation_type`.
        kind: create, update, delete or read; None if it cannot be determined.
        outcome: outcome in the database.
        effective: whether it changed the row, as far as the log knows.
        user: `context.user`; None if no user was bound.
        context: the other bound values.
        session_id: identifier of the session.
        process_id: process id of the writer.
        transaction_id: same for all calls of one database transaction.
        changes: `{"old": …, "new": …}` by column, as logged.
        rows: number of rows it changed, if it did not concern this one alone.
        error: the error message of a failed call.
        named: whether the record names the row; if not, the call may have changed it.
        gap: contradiction to earlier calls; None if there is none.
        lost_update: values that it overwrote without having read them; None if there are none.
        renamed: `{"from": …, "to": …}` if it changed the row's key; `to` is None if only the
            database knows the new one.
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
    named: bool = True
    gap: Gap | None = None
    lost_update: LostUpdate | None = None
    renamed: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The history of one row according to the log.

    Attributes:
        entity: the mapped class's name; "" for records that name none.
        key: the primary key as text.
        entries: the calls in the order of the log.
        doubts: lost records, and calls on rows of an unknown class.
    """

    entity: str
    key: str
    entries: tuple[Entry, ...]
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class Histories:
    """The histories of rows with the same key, each of another class.

    Attributes:
        key: the primary key as text.
        rows: the histories that have entries, by class.
        near: similar keys, if the log has no call on this one.
    """

    key: str
    rows: tuple[History, ...] = ()
    near: tuple[str, ...] = ()


def pushdown_for(key: str) -> dict[str, Predicate]:
    """Return the events that a row's history needs, by category.

    In addition to the calls that name the row, these are calls that may have changed it without
    naming it, and the log's reports of its gaps. See `read_merged`.

    Args:
        key: the row's primary key as text.
    """
    condition = (
        "lead_identifier.lead_id = $key OR list_contains(lead_identifier.lead_ids, $key) "
        "OR lead_identifier.previous_lead_id = $key "
        "OR truncated OR ((lead_identifier.lead_id IS NULL OR operation_details.bulk "
        "OR operation_details.records_cut IS NOT NULL) "
        "AND operation_details.outcome IS DISTINCT FROM 'completed')"
    )
    return {
        _OPERATIONS: Predicate(condition, {"key": key}),
        "monitoring_data": Predicate("monitoring_info.monitoring_type = 'log_health'"),
    }


def pushdown_for_email(address: str) -> dict[str, Predicate]:
    """Return a filter for rows with an e-mail address, in any case, as `pushdown_for` does.

    address: the address without surrounding spaces.
        address: without spaces around it.
    """
    email, changed = "lead_identifier.email", "data_details.fields_changed"
    # For non-ASCII texts, Python's case folding knows more equivalents than SQL does.
    condition = (
        f"lower({email}) = $address OR strlen({email}) <> length({email}) "
        f"OR contains(lower({changed}), $quoted) OR strlen({changed}) <> length({changed})"
    )
    quoted = orjson.dumps(address)[1:-1].decode()
    return {
        _OPERATIONS: Predicate(condition, {"address": address.lower(), "quoted": quoted.lower()})
    }


def sealed_keys(directory: str | os.PathLike[str]) -> Iterator[str]:
    """Yield keys of rows in sealed days, which `pushdown_for` leaves out.

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
) -> Histories:
    """Return the calls on the rows with a key, by class.

    Args:
        events: decoded lines, nearly in time order (see `leadlog.reading.merged`).
        key: the row's primary key as text.
        entity: the mapped class's name; any by default.
        reads: whether to include calls that only read the row.
        since: first time to include, as in the records; earlier calls still serve to detect gaps.
        until: end of the period; excluded.
        others: keys of rows whose calls are not among the events; consulted only to suggest a
            similar key if there is no call on this one.
    """
    found = _Collected(key, entity, reads)
    for data in events:
        if until is None or data["timestamp"] < until:
            found.feed(data)
    rows = tuple(found.histories(since))
    near = () if found.named else _near(key, chain(found.other_keys, islice(others, _KEYS_KEPT)))
    return Histories(key, rows, near)


class _Collected:
    """The calls on the rows with one key, collected event by event.

    Attributes:
        named: calls that name the row, by entity.
        other_keys: keys of other rows, as long as there is no call on this one.
    """

    def __init__(self, key: str, entity: str | None, reads: bool) -> None:
        self._key = key
        self._entity = entity
        self._reads = reads
        self._replay = Replay(None if entity is None else (entity,))
        self._unnamed: list[Entry] = []
        self.named: dict[str, list[Entry]] = {}
        self.other_keys: dict[str, None] = {}

    def feed(self, data: Mapping[str, Any]) -> None:
        """Process one event of any type."""
        change = change_of(data)
        if change is None:
            self._replay.feed(data)
        elif self._entity is not None and change.entity not in (self._entity, None):
            return
        elif self._key in (change.key, change.previous) or self._key in change.listed:
            if self._entity is None or change.entity is not None:
                self._about_the_row(change, data)
            else:
                self._replay.apply(change)
        elif change.key is None and change.keys is None and change.outcome != "completed":
            if change.outcome in ("committed", "unknown") and change.rows != 0:
                self._about_any_row(change, data)
            self._replay.apply(change)
        elif not self.named and len(self.other_keys) < _KEYS_KEPT:
            keys = change.listed if change.key is None else (change.key,)
            self.other_keys.update(dict.fromkeys(keys))

    def _about_the_row(self, change: Change, data: Mapping[str, Any]) -> None:
        if change.outcome != "completed" or self._reads:
            self.named.setdefault(change.entity or "", []).append(_entry(change, data))
        if change.key is None and (change.keys is not None or change.partly):
            change = change._replace(keys=(self._key,))
        self._replay.apply(change)

    def _about_any_row(self, change: Change, data: Mapping[str, Any]) -> None:
        if change.entity is not None and change.kind != "create":
            if len(self._unnamed) == _UNNAMED_KEPT:
                del self._unnamed[0]
            self._unnamed.append(replace(_entry(change, data), effective=False, named=False))

    def histories(self, since: str | None) -> Iterator[History]:
        """Yield the history of each class's row; call it once, after the last event."""
        self._replay.finish()
        for entity in sorted(self.named):
            entries = self.named[entity]
            entries += [entry for entry in self._unnamed if entry.entity == entity]
            entries.sort(key=lambda entry: (entry.at, entry.event_id))
            first = next(entry.at for entry in entries if entry.named)
            told = tuple(self._explained(entity, entries, since))
            doubts = tuple(
                doubt for doubt in self._replay.doubts if doubt.at >= first and not doubt.entity
            )
            if told:
                yield History(entity, self._key, told, doubts)

    def _explained(self, entity: str, entries: list[Entry], since: str | None) -> Iterator[Entry]:
        """Add gaps and lost updates; omit calls on unnamed rows while the row did not exist."""
        table = self._replay.tables.get(entity)
        gaps = {gap.event_id: gap for gap in table.gaps} if table else {}
        lost = {one.event_id: one for one in table.lost_updates} if table else {}
        first = next((entry for entry in self.named[entity] if entry.effective), None)
        there = first is None or first.kind != "create"  # else it predates the log
        for entry in entries:
            if entry.named and (entry.effective or entry.kind == "read"):
                left = entry.renamed is not None and entry.renamed["from"] == self._key
                there = entry.kind != "delete" and not left
            elif not entry.named and not there:
                continue
            if since is not None and entry.at < since:
                continue
            gap, lost_update = gaps.get(entry.event_id), lost.get(entry.event_id)
            if gap is not None or lost_update is not None:
                entry = replace(entry, gap=gap, lost_update=lost_update)  # noqa: PLW2901
            yield entry


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
        renamed=None if change.previous is None else {"from": change.previous, "to": change.key},
    )


def _near(key: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return keys with this prefix, or else similar ones."""
    others = dict.fromkeys(others)
    begun = [other for other in others if key and other.startswith(key)]
    return tuple((begun or get_close_matches(key, others, n=_NEAR, cutoff=0.6))[:_NEAR])

"""The change of a table in one `database_operation` record: the row, and the outcome.

Only this module decides whether a record is a create, an update or a delete. If the writer states
it (`data_details.change`), that is used; otherwise it follows from the operation type, from the
outcome of a duplicate and from the recorded values.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

__all__ = ["Change", "Kind", "addresses_of", "change_of", "class_of", "unreadable"]

Kind = Literal["create", "update", "delete", "read"]

MASKED: Final = "masked"
TRUNCATED: Final = "truncated"

_KINDS: Final[Mapping[str, Kind]] = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "read": "read",
}
_PREFIXES: Final[Mapping[str, Kind]] = {
    "get_": "read",
    "search_": "read",
    "find_": "read",
    "add_": "create",
    "create_": "create",
    "insert_": "create",
    "bulk_insert": "create",
    "insert": "create",
    "update_": "update",
    "bulk_update": "update",
    "mark_": "update",
    "delete_": "delete",
    "remove_": "delete",
}
_CHANGED: Final = "data_details.fields_changed"
_PATH_LIMIT: Final = 128  # a longer path is truncated in `truncated_fields`
_IDS_LISTED: Final = 100  # at most in `lead_ids`
_MASK: Final = "***"
_pseudonym: Final = re.compile(r"\bp:[0-9a-f]{16}\b").search


class Change(NamedTuple):
    """The interpretation of one record.

    Attributes:
        at: end of the operation, as in the record.
        event_id: event_id of the record.
        entity: the mapped class's name, preceded by its table's schema and its database's name if
            the record has them (`database:schema.Class`); None if the class of a statement is
            unknown.
        operation: `operation_type`.
        kind: create, update, delete or read; None if it cannot be determined.
        outcome: outcome in the database; "" if the record does not state it.
        key: primary key of the only row as text; None for many rows, or if it is unknown.
        previous: the row's key before a call that changed it; `key` is then the new one, or None if
            only the database knows it.
        keys: keys of all rows of a call for many rows; None if not all are known.
        listed: keys that the record of such a call lists, whether all or not.
        partly: whether `listed` has only some of the rows that it changed.
        rows: number of rows; None if unknown.
        columns: `{"old": …, "new": …}` by column; None if the columns are unknown.
        cut: columns whose values were truncated and so are unknown.
        whole: whether `columns` has all columns that were written.
        sample_rate: fraction of such records that is kept; 1.0 for all.
        transaction_id: identifier of the database transaction.
    """

    at: str
    event_id: str
    entity: str | None
    operation: str
    kind: Kind | None
    outcome: str
    key: str | None
    keys: tuple[str, ...] | None
    rows: int | None
    columns: Mapping[str, Mapping[str, Any]] | None
    cut: frozenset[str] = frozenset()
    whole: bool = True
    sample_rate: float = 1.0
    transaction_id: str | None = None
    listed: tuple[str, ...] = ()
    partly: bool = False
    previous: str | None = None


def class_of(entity: str) -> str:
    """Return an entity's bare name.

    >>> class_of("tenant:crm.Deal"), class_of("crm.Deal"), class_of("Deal")
    ('Deal', 'Deal', 'Deal')
    """
    return entity.rpartition(":")[2].rpartition(".")[2]


def unreadable(value: Any) -> str | None:
    """Return why a logged value differs from the written one; None if it does not.

    >>> unreadable("***"), unreadable({"note": "call p:0123456789abcdef"}), unreadable("Ana")
    ('masked', 'masked', None)
    """
    kind = type(value)
    if kind is str:
        return MASKED if _MASK in value or ("p:" in value and _pseudonym(value)) else None
    if kind is dict:
        return next(filter(None, map(unreadable, value.values())), None) if value else None
    if kind is list:
        return next(filter(None, map(unreadable, value)), None) if value else None
    return None


def change_of(data: Mapping[str, Any]) -> Change | None:
    """Return the change of a table in a record; None if there is none, or the record is damaged.

    Args:
        data: one event of the log, of any type.
    """
    if data.get("log_type") != "database_operation":
        return None
    details, who, what = (
        data.get("operation_details"),
        data.get("lead_identifier"),
        data.get("data_details"),
    )
    if type(details) is not dict:
        return None
    if type(who) is not dict:
        who = {}
    if type(what) is not dict:
        what = {}
    get = details.get
    operation, outcome, rows = get("operation_type"), get("outcome"), get("records_affected")
    entity, transaction, schema = get("entity"), get("transaction_id"), get("schema")
    if type(schema) is str and type(entity) is str:
        entity = f"{schema}.{entity}"
    database = get("database")
    if type(database) is str and type(entity) is str:
        entity = f"{database}:{entity}"
    columns, event_id, rate = (
        what.get("fields_changed"),
        data.get("event_id"),
        data.get("sample_rate"),
    )
    if type(columns) is not dict:
        columns = None
    if type(rows) is not int:
        rows = None
    if type(operation) is not str:
        operation = ""
    if type(outcome) is not str:
        outcome = ""
    cut: frozenset[str] = frozenset()
    whole = True
    if data.get("truncated"):
        cut, whole, who = _cut(data.get("truncated_fields"), columns, who)
    bulk = get("bulk") is True
    if get("records_cut"):  # it stands for changes that have no separate record
        who, bulk = {}, True
    kind = _kind(operation, outcome, columns, what, bulk=bulk)
    key, previous = who.get("lead_id"), who.get("previous_lead_id")
    if bulk or type(key) is not str:
        key = None
    if bulk or type(previous) is not str:
        previous = None
    listed: tuple[str, ...] = ()
    keys = None
    partly = False
    if key is None:
        listed = _listed(who)
        keys, partly = _rows_named(operation, listed, who.get("lead_count"), rows)
    if operation == "mark_for_sync" and columns is None:
        # The name of a store's call says what it writes.
        columns = {"sync_pending": {"new": True}}
    return Change(
        data["timestamp"],
        event_id if type(event_id) is str else "",
        entity if type(entity) is str and entity else None,
        operation,
        kind,
        _effective(operation, outcome, rows, what),
        key,
        keys,
        rows,
        columns,
        cut,
        whole,
        rate if type(rate) is float else 1.0,
        transaction if type(transaction) is str else None,
        listed,
        partly,
        previous,
    )


def addresses_of(data: Mapping[str, Any]) -> list[str]:
    """Return the e-mail addresses in a record: the row's, and the old and new values.

    Args:
        data: one event of the log, of any type.
    """
    found = []
    who, what = data.get("lead_identifier"), data.get("data_details")
    if type(who) is dict:
        found.append(who.get("email"))
    changed = what.get("fields_changed") if type(what) is dict else None
    cell = changed.get("email") if type(changed) is dict else None
    if type(cell) is dict:
        found += cell.values()
    return [one for one in found if type(one) is str]


def _kind(
    operation: str,
    outcome: str,
    columns: Mapping[str, Any] | None,
    what: Mapping[str, Any],
    *,
    bulk: bool,
) -> Kind | None:
    """Return the kind of change, as stated or inferred; None if it cannot be determined."""
    said = what.get("change")
    if type(said) is str and said in _KINDS:
        return _KINDS[said]
    found = _by_name(operation)
    if found == "read":
        return found
    if outcome == "completed" and found is None:
        return "read"
    if bulk:
        if operation == "add_leads":  # some may have existed already
            return "create" if what.get("duplicate_action") == "none" else None
        return found
    if what.get("duplicate_action") in ("updated", "merged"):
        return "update"
    if found in ("create", None) and columns:
        old = [cell for cell in columns.values() if type(cell) is dict and "old" in cell]
        if any("new" in cell for cell in old):
            return "update"
        if found is None:
            return "delete" if len(old) == len(columns) else "update"
    return found


@lru_cache(maxsize=256)
def _by_name(operation: str) -> Kind | None:
    if operation in _KINDS:
        return _KINDS[operation]
    for start, kind in _PREFIXES.items():
        if operation.startswith(start):
            return kind
    return None


def _effective(operation: str, outcome: str, rows: int | None, what: Mapping[str, Any]) -> str:
    """Return the outcome; a single record for all batches of `add_leads` counts as committed."""
    if operation == "add_leads" and outcome == "failed" and rows and "batch_number" not in what:
        return "committed"
    return outcome


def _listed(who: Mapping[str, Any]) -> tuple[str, ...]:
    ids = who.get("lead_ids")
    if type(ids) is not list:
        return ()
    return tuple(one for one in ids if type(one) is str)


def _rows_named(
    operation: str, listed: tuple[str, ...], count: Any, rows: int | None
) -> tuple[tuple[str, ...] | None, bool]:
    """Return (keys of all rows, or None if the record lacks any, whether it lists some)."""
    if not listed:
        return None, False
    if operation == "mark_for_sync":
        # These are the requested ids: rows that were marked already are not counted.
        complete = len(listed) < _IDS_LISTED
        return (listed, False) if complete else (None, True)
    if type(count) is not int or (rows != count and operation != "add_leads"):
        return None, False
    return (listed, False) if len(listed) == count else (None, len(listed) < count)


def _cut(
    paths: Any, columns: Mapping[str, Any] | None, who: Mapping[str, Any]
) -> tuple[frozenset[str], bool, Mapping[str, Any]]:
    """Return (truncated columns, whether all columns are recorded, the keys that are intact)."""
    known = [path for path in paths if type(path) is str] if type(paths) is list else ["…"]
    everything = "…" in known  # more were truncated than are listed
    cut = {
        column
        for column, cell in (columns or {}).items()
        if any(_touches(path, f"{_CHANGED}.{column}") for path in known)
        or (everything and _looks_cut(cell))
    }
    whole = not everything and _CHANGED not in known and "data_details" not in known
    if everything or any(path.startswith("lead_identifier") for path in known):
        key = who.get("lead_id")
        whole_key = type(key) is str and not key.endswith("…")
        who = {"lead_id": key} if whole_key else {}
    return frozenset(cut), whole, who


def _touches(path: str, column: str) -> bool:
    column = column[:_PATH_LIMIT]
    return path == column or path.startswith((f"{column}.", f"{column}["))


def _looks_cut(cell: Any) -> bool:
    values = cell.values() if type(cell) is dict else (cell,)
    return any(type(v) in (dict, list) or (type(v) is str and v.endswith("…")) for v in values)

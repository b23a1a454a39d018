"""The change of a table in one `database_operation` record: which row, with which outcome.

Only here is decided whether a record is a create, an update or a delete. A writer that says so
itself (`data_details.change`) is believed; of one that does not, it follows from the type of the
operation, from the outcome of a duplicate and from which values are there.
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
_PATH_LIMIT: Final = 128  # a longer path is cut in `truncated_fields`
_IDS_LISTED: Final = 100  # at most in `lead_ids`
_MASK: Final = "***"
_pseudonym: Final = re.compile(r"\bp:[0-9a-f]{16}\b").search


class Change(NamedTuple):
    """One record, understood.

    Attributes:
        at: when the operation ended, as in the record.
        event_id: of the record.
        entity: the mapped class's name, behind its table's schema and its database's name where
            the record has them (`database:schema.Class`); None where a statement's is not known.
        operation: `operation_type`.
        kind: create, update, delete or read; None where it may be any.
        outcome: what the database did; "" where the record does not say.
        key: the one row's primary key as text; None for many rows, or where it is not known.
        previous: the row's key before the call, where that changed it; `key` is the new one,
            or None where only the database knows it.
        keys: the keys of all the rows of a call that touched many; None where not all are known.
        listed: the keys that the record of such a call names, be they all or not.
        partly: whether `listed` are some of the rows that it changed, though not all.
        rows: how many rows; None where that is not known.
        columns: column to `{"old": …, "new": …}`; None where the columns are not known.
        cut: columns whose values were cut, so that they are not known.
        whole: whether `columns` names all columns that were written.
        sample_rate: the share of such records that is kept; 1.0 for all.
        transaction_id: of the database transaction.
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
    """Why a logged value is not the one that was written; None where it is.

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
    """Return the change of a table in a record; None where there is none, or it is damaged.

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
    if get("records_cut"):  # it stands for changes that have no record of their own
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
        # The store's own call says by its name what it writes.
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
    """Return the e-mail addresses in a call: its row's, the old and the new one.

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
    """Return the kind of change, said by the record or inferred; None where it may be any."""
    said = what.get("change")
    if type(said) is str and said in _KINDS:
        return _KINDS[said]
    found = _by_name(operation)
    if found == "read":
        return found
    if outcome == "completed" and found is None:
        return "read"
    if bulk:
        if operation == "add_leads":  # some were there already, perhaps
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
    """Return the outcome; one record of all batches of `add_leads` counts what was committed."""
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
    """Return the keys of all rows, if the record has them all, and whether it has some."""
    if not listed:
        return None, False
    if operation == "mark_for_sync":
        # The ids that were asked for: those that were marked already are not counted.
        complete = len(listed) < _IDS_LISTED
        return (listed, False) if complete else (None, True)
    if type(count) is not int or (rows != count and operation != "add_leads"):
        return None, False
    return (listed, False) if len(listed) == count else (None, len(listed) < count)


def _cut(
    paths: Any, columns: Mapping[str, Any] | None, who: Mapping[str, Any]
) -> tuple[frozenset[str], bool, Mapping[str, Any]]:
    """(columns that were cut, whether all columns are there, the keys that can be trusted)."""
    known = [path for path in paths if type(path) is str] if type(paths) is list else ["…"]
    everything = "…" in known  # more were cut than are listed
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

"""The duplicate keys in the database: looking up their owners, claiming and releasing them.

Keys are written in a fixed order, so that two transactions that want the same keys cannot deadlock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, Table, and_, bindparam, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from leadlog.core.errors import StoreError
from leadlog.leads.store.bulk import Insertion
from leadlog.leads.store.duplicates import KINDS
from leadlog.leads.store.models import LeadKey

__all__ = ["ATTEMPTS", "Key", "chunks", "exchange", "lost_again", "owners_of"]

T = TypeVar("T")
Key = tuple[str, str]
"""Kind and value."""

ATTEMPTS = 10
"""Number of attempts of a writer whose keys other writers claim in between."""

_CHUNK = 500
_TABLE: Table = LeadKey.__table__  # type: ignore[assignment]  # declarative types it FromClause
_COLUMNS = _TABLE.c
_ROWS = select(_COLUMNS.kind, _COLUMNS.value, _COLUMNS.lead_id)
_OWNERS_OF_ONE = _ROWS.where(
    or_(*(and_(_COLUMNS.kind == kind, _COLUMNS.value == bindparam(kind)) for kind in KINDS))
)
_OWNERS_OF_MANY = _ROWS.where(
    or_(
        *(
            and_(_COLUMNS.kind == kind, _COLUMNS.value.in_(bindparam(kind, expanding=True)))
            for kind in KINDS
        )
    )
)
_CLAIM = {
    "sqlite": Insertion(sqlite.insert(_TABLE).on_conflict_do_nothing()),
    "postgresql": Insertion(postgresql.insert(_TABLE).on_conflict_do_nothing()),
}
_RELEASE = delete(_TABLE).where(
    _COLUMNS.kind == bindparam("the_kind"),
    _COLUMNS.value == bindparam("the_value"),
    _COLUMNS.lead_id == bindparam("owner"),
)
_NONE = dict.fromkeys(KINDS)


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """Split an iterable into lists of `size`; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def owners_of(connection: Connection, keys: Sequence[Mapping[str, str]]) -> dict[Key, str]:
    """Return the id of the owning lead for each of the given keys that has one.

    Args:
        connection: The connection to query.
        keys: The keys of each lead by kind, as returned by `keys_of`.
    """
    owners: dict[Key, str] = {}
    if len(keys) == 1:
        if keys[0]:
            for kind, value, lead_id in connection.execute(_OWNERS_OF_ONE, {**_NONE, **keys[0]}):
                owners[kind, value] = lead_id
        return owners
    for chunk in chunks(keys):
        wanted = {kind: [own[kind] for own in chunk if kind in own] for kind in KINDS}
        for kind, value, lead_id in connection.execute(_OWNERS_OF_MANY, wanted):
            owners[kind, value] = lead_id
    return owners


def _claim(connection: Connection, wanted: Mapping[Key, str]) -> bool:
    """Insert keys that are free; return whether all of them were."""
    if not wanted:
        return True
    rows = [
        {"kind": kind, "value": value, "lead_id": wanted[kind, value]}
        for kind, value in sorted(wanted)
    ]
    done = _CLAIM[connection.dialect.name].rows(connection, rows)
    return done.rowcount == len(rows)


def exchange(
    connection: Connection, released: Mapping[Key, str], claimed: Mapping[Key, str]
) -> bool:
    """Release keys and claim others, all or nothing.

    Returns:
        False if another writer claimed one of the keys in between; the caller looks up the owners
        again.
    """
    _release(connection, released)
    if _claim(connection, claimed):
        return True
    _release(connection, claimed)
    _claim(connection, released)
    return False


def _release(connection: Connection, unwanted: Mapping[Key, str]) -> None:
    if unwanted:
        rows = [
            {"the_kind": kind, "the_value": value, "owner": unwanted[kind, value]}
            for kind, value in sorted(unwanted)
        ]
        connection.execute(_RELEASE, rows)


def lost_again() -> StoreError:
    """Return the error for a writer that lost every attempt to claim its keys."""
    return StoreError(
        f"other writers took the keys of this lead {ATTEMPTS} times in a row; try again"
    )

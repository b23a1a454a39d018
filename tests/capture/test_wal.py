"""PostgreSQL's write-ahead log is the oracle: each row change in it has exactly one record.

The server decodes its own log (`wal_level = logical`, a slot with test_decoding), whatever the
origin of a change. A record of one row must have that row's new values, and its old values if it
has any; a record of many rows must have their count. Anything unmatched on either side is a fault.
"""

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, groupby
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings

from tests.capture.people import Base, logging_to_memory
from tests.capture.schedules import schedules
from tests.capture.test_replay import HALF_WRITTEN, UNREAD, Place

EXAMPLES = 2_000 if os.environ.get("SOAK") else 20
TABLES = {
    "Person": ("people",),
    "Customer": ("people", "customers"),
    "Note": ("notes",),
    "Topic": ("topics",),
    "topic_links": ("topic_links",),
}
KEYS = {"topic_links": ("topic_id", "related_id")}
SLOT = "leadlog"
_CHANGE = re.compile(r"table public\.(\w+): (INSERT|UPDATE|DELETE):(.*)", re.DOTALL)
_COLUMN = re.compile(r"(\w+)\[([\w ]+)\]:(?:'((?:[^']|'')*)'|(\S+))")
_KINDS = {"INSERT": "create", "UPDATE": "update", "DELETE": "delete"}

Row = dict[str, Any]


class RowChange(NamedTuple):
    """One change of one row, as decoded by the server."""

    table: str
    kind: str
    old: Row
    new: Row

    @property
    def key(self) -> str:
        """The primary key as text."""
        row = self.new or self.old
        return ",".join(str(row[name]) for name in KEYS.get(self.table, ("id",)))


class Decoder:
    """Reads the changes committed since its creation or its last call.

    Args:
        engine: engine of the database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        with self._engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                connection.execute(sa.text(f"ALTER TABLE {table.name} REPLICA IDENTITY FULL"))
            connection.execute(
                sa.text("SELECT pg_create_logical_replication_slot(:slot, 'test_decoding')"),
                {"slot": SLOT},
            )

    def transactions(self) -> list[list[RowChange]]:
        """The row changes of each transaction that changed rows, in the order of the commits."""
        asked = sa.text(
            "SELECT xid::text, data FROM pg_logical_slot_get_changes(:slot, NULL, NULL)"
        )
        with self._engine.connect() as connection:
            # Changes not flushed yet are not decoded, and the cluster flushes at its own pace.
            connection.execute(sa.text("SET synchronous_commit = on"))
            connection.execute(sa.text("SELECT pg_logical_emit_message(true, 'flushed', '')"))
            rows = connection.execute(asked, {"slot": SLOT}).all()
        found = []
        for _, lines in groupby(rows, key=lambda row: row.xid):
            changes = [_change_of(row.data) for row in lines if row.data.startswith("table")]
            if changes:
                found.append(changes)
        return found

    def close(self) -> None:
        """Drop the slot, without which the database cannot be dropped."""
        with self._engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_drop_replication_slot(:slot)"), {"slot": SLOT})


def _change_of(text: str) -> RowChange:
    match = _CHANGE.fullmatch(text)
    assert match is not None, text
    table, verb, rest = match.groups()
    old, separator, new = rest.partition(" new-tuple:")
    if verb == "UPDATE":
        assert separator, text
        return RowChange(table, "update", _row(old), _row(new))
    row = _row(rest)
    return RowChange(
        table, _KINDS[verb], {} if verb == "INSERT" else row, row if verb == "INSERT" else {}
    )


def _row(text: str) -> Row:
    row: Row = {}
    for name, kind, quoted, bare in _COLUMN.findall(text):
        if bare == "null":
            row[name] = None
        elif kind == "json":
            row[name] = json.loads(quoted.replace("''", "'"))
        else:
            row[name] = int(bare) if kind == "integer" else quoted.replace("''", "'")
    return row


def test_a_change_is_read_as_the_server_writes_it() -> None:
    """Quotes, nulls and both tuples of an UPDATE are parsed."""
    text = (
        "table public.people: UPDATE: old-key: id[integer]:1 email[character varying]:'it''s' "
        "new-tuple: id[integer]:1 email[character varying]:'a b' score[integer]:null"
    )
    assert _change_of(text) == RowChange(
        "people",
        "update",
        {"id": 1, "email": "it's"},
        {"id": 1, "email": "a b", "score": None},
    )


# --------------------------------------------------------------------------------- records beside


def written(records: Iterable[Mapping[str, Any]], *, apart: bool) -> list[list[Mapping[str, Any]]]:
    """Return the records of committed changes, by transaction if `apart`.

    Without a transaction, a flush that fails half-way leaves its earlier changes, and its records
    have the outcome `unknown`; in a transaction only those do that the driver itself ended.
    """
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for record in records:
        details = record["operation_details"]
        if details["operation_type"] == "read" or details["records_affected"] == 0:
            continue
        if details["outcome"] in {"committed", "unknown"}:
            found.setdefault(details["transaction_id"] if apart else None, []).append(record)
    return list(found.values())


def by_transaction(
    changes: Iterable[list[RowChange]],
    records: Iterable[list[Mapping[str, Any]]],
    *,
    apart: bool = True,
) -> list[str]:
    """Return the differences of records and row changes, by transaction if `apart`.

    A transaction that the driver itself ended is `unknown`, and was committed or not.
    """
    if not apart:
        return differences([*chain(*changes)], [*chain(*records)])
    return _paired(list(changes), list(records))


def _paired(changes: list[list[RowChange]], records: list[list[Mapping[str, Any]]]) -> list[str]:
    """Return the fewest disagreements; uncertain records may match the next transaction or none."""

    @cache
    def fewest(change: int, record: int) -> list[str]:
        """Return the fewest differences from these positions on."""
        if change == len(changes):
            return [f"not committed: {one}" for one in records[record:] if not _is_unsure(one)]
        first = records[record] if record < len(records) else []
        found = differences(changes[change], first) + fewest(change + 1, record + 1)
        if found and first and _is_unsure(first):
            found = min(found, fewest(change, record + 1), key=len)
        return found

    return fewest(0, 0)


def _is_unsure(records: Iterable[Mapping[str, Any]]) -> bool:
    return all(record["operation_details"]["outcome"] == "unknown" for record in records)


def differences(changes: list[RowChange], records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the differences of the records and row changes of a transaction."""
    problems: list[str] = []
    left: defaultdict[tuple[str, str], list[RowChange]] = defaultdict(list)
    for change in changes:
        left[change.table, change.key].append(change)
    # Last matched change of each row, since its records are in the order of its changes.
    reached: Counter[tuple[str, str]] = Counter()
    counted: Counter[tuple[str, str]] = Counter()
    vague: set[tuple[str, str]] = set()
    perhaps: Counter[tuple[str, str]] = Counter()  # of one row each, which may have been changed
    for record in records:
        details, data = record["operation_details"], record["data_details"]
        tables, kind = TABLES[details["entity"]], data.get("change")
        unknown = details["outcome"] == "unknown"
        if unknown and (kind is None or record["lead_identifier"]["lead_id"] is None):
            kinds = {details["operation_type"]}
            if "upsert" in kinds:
                kinds |= {"create", "update"}
            vague |= {(table, one) for table in tables for one in kinds}
            continue
        if unknown:
            perhaps.update((table, kind) for table in tables)
            continue
        if kind is None:
            assert details["records_affected"] is not None, record
            counted[tables[0], details["operation_type"]] += details["records_affected"]
            continue
        key = record["lead_identifier"]["lead_id"]
        fields = data["fields_changed"] or {}
        matched = {}
        for table in tables:
            own = left[table, key]
            at = _match(own, reached[table, key], kind, fields)
            if at is not None:
                matched[table] = own.pop(at)
                reached[table, key] = at
        if not matched or (kind != "update" and len(matched) < len(tables)):
            problems.append(f"{kind} of {details['entity']} {key} is in no row of {tables}")
            continue
        problems += _misfits(
            f"{kind} of {details['entity']} {key}",
            kind,
            matched,
            fields,
            stale=any(table in tables for table, _ in counted),
        )
    rest = Counter((table, change.kind) for (table, _), own in left.items() for change in own)
    for table in {table for table, _ in chain(rest, counted)}:
        # An upsert is a create or an update; what is not certain may be either, or nothing.
        least = most = 0
        for kind in ("create", "update", "delete"):
            more = rest[table, kind] - counted[table, kind]
            if more < 0:
                problems.append(f"{kind} of {-more} rows of {table} that the server did not change")
                continue
            unsure = more if (table, kind) in vague else min(more, perhaps[table, kind])
            if kind != "delete":
                least, most = least + more - unsure, most + more
            elif more > unsure:
                problems.append(f"delete of {more - unsure} rows of {table} without a record")
        upserts = counted[table, "upsert"]
        if upserts > most:
            problems.append(f"upsert of {upserts - most} rows of {table} that the server did not")
        elif upserts < least:
            missing = least - upserts
            problems.append(f"create or update of {missing} rows of {table} without a record")
    return problems


def _match(own: list[RowChange], start: int, kind: str, fields: Mapping[str, Any]) -> int | None:
    """Return the position of the next change of a kind that fits a record best.

    Skipped changes belong to calls on many rows, which name none.
    """
    places = (at for at in range(start, len(own)) if own[at].kind == kind)
    return min(
        places, key=lambda at: len([*_misfits("", kind, {"": own[at]}, fields)]), default=None
    )


def _misfits(
    what: str,
    kind: str,
    matched: Mapping[str, RowChange],
    fields: Mapping[str, Any],
    *,
    stale: bool = False,
) -> Iterator[str]:
    """Return the differences of a record and its row changes.

    With `stale`, a statement bypassed the Session after it read the row: its old values are those
    that it had read.
    """
    old: Row = {}
    new: Row = {}
    for change in matched.values():
        old |= dict.fromkeys(change.new) | change.old  # nulls are not in the old tuple
        new |= change.new
    for name, cell in fields.items():
        if "new" in cell and kind != "delete" and cell["new"] != new.get(name):
            yield f"{what}: {name} became {new.get(name)!r}, the log says {cell['new']!r}"
        if "old" in cell and kind != "create" and not stale and cell["old"] != old.get(name):
            yield f"{what}: {name} was {old.get(name)!r}, the log says {cell['old']!r}"
    if kind == "create":
        silent = {name for name, value in new.items() if value is not None} - fields.keys()
    elif kind == "update":
        silent = {name for name, value in new.items() if value != old.get(name)} - fields.keys()
    else:
        silent = set()
    for name in sorted(silent - {"id"}):
        yield f"{what}: the log does not say that {name} became {new[name]!r}"


INSERTED = RowChange("notes", "create", {}, {"id": 1, "person_id": None, "body": "a"})
UPDATED = RowChange(
    "notes",
    "update",
    {"id": 1, "person_id": 5, "body": "a"},
    {"id": 1, "person_id": 5, "body": "b"},
)


def record(kind: str | None, rows: int = 1, **fields: Any) -> dict[str, Any]:
    """Return the parts of a committed record on notes that a comparison reads."""
    details = {"entity": "Note", "operation_type": kind or "update", "outcome": "committed"}
    return {
        "operation_details": {**details, "records_affected": rows},
        "lead_identifier": {"lead_id": "1" if kind else None},
        "data_details": {"change": kind, "fields_changed": fields},
    }


CREATE = record("create", id={"new": 1}, body={"new": "a"})
UPDATE = record("update", body={"old": "a", "new": "b"})
UPSERT = record(None)
UPSERT["operation_details"] |= {"operation_type": "upsert", "outcome": "unknown"}


@pytest.mark.parametrize(
    ("changes", "records", "found"),
    [
        ([INSERTED, UPDATED], [CREATE, UPDATE], ""),
        ([INSERTED, UPDATED], [CREATE, record(None)], ""),
        ([INSERTED, UPDATED], [CREATE], "update of 1 rows of notes without a record"),
        ([INSERTED], [CREATE, UPDATE], "update of Note 1 is in no row"),
        ([INSERTED], [CREATE, CREATE], "create of Note 1 is in no row"),
        ([UPDATED], [record(None, rows=2)], "update of 1 rows of notes that the server did not"),
        ([UPDATED], [record("update", body={"old": "a", "new": "c"})], "body became 'b'"),
        ([UPDATED], [record("update", body={"old": "x", "new": "b"})], "body was 'a'"),
        ([UPDATED], [record("update")], "the log does not say that body became 'b'"),
        ([INSERTED], [record("create", id={"new": 1})], "the log does not say that body became"),
        ([INSERTED, UPDATED], [UPSERT], ""),
    ],
)
def test_a_record_that_says_less_or_more_is_found(
    changes: list[RowChange], records: list[dict[str, Any]], found: str
) -> None:
    """The oracle itself: each kind of difference has its message."""
    problems = differences(changes, records)
    assert len(problems) == bool(found)
    assert found in "".join(problems)


@pytest.fixture(params=("postgresql", "postgresql_autocommit", "psycopg_async", "asyncpg"))
def decoded(
    request: pytest.FixtureRequest, postgres_database: str
) -> Iterator[tuple[Place, Decoder]]:
    """A captured database with each driver, and its server's decoder."""
    place = Place(request.param, postgres_database)
    decoder = Decoder(place.oracle)
    yield place, decoder
    decoder.close()
    place.close()


@pytest.mark.hypothesis
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@settings(
    max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None, print_blob=True
)
@given(schedule=schedules)
@example(schedule=HALF_WRITTEN)
@example(schedule=UNREAD)
def test_each_row_change_that_the_server_decodes_has_one_record(
    decoded: tuple[Place, Decoder], schedule: Any, request: pytest.FixtureRequest
) -> None:
    """The record is in the same transaction, with the same values, and no record has more."""
    place, decoder = decoded
    place.empty()
    decoder.transactions()
    apart = "autocommit" not in request.node.name
    with logging_to_memory() as log:
        place.run(schedule)
        records = written(log.records(), apart=apart)
    changes = decoder.transactions()
    assert by_transaction(changes, records, apart=apart) == []

"""One record by its id, with its related records."""

import json
import os

import pytest

from leadlog.core.layout import CATEGORIES
from leadlog.reading import archive
from leadlog.reading.archive import Policy
from leadlog.reading.lookup import find, records_of_session

pytestmark = pytest.mark.handmade_lines

DAYS = ("2026-11-01", "2026-11-02")
SESSION, TRANSACTION = "k3v9x0ab", "tx-1"


def record(category, day, second, identifier, **sections):
    return {
        "timestamp": f"{day}T10:00:{second:02}.000000Z",
        "level": "info",
        "log_type": {"error_logs": "error_log"}.get(category, category.removesuffix("s")),
        "event_name": "a.b",
        "session_id": SESSION,
        "event_id": identifier,
        **sections,
    }


def operation(day, second, identifier, transaction=TRANSACTION):
    details = {"operation_id": identifier, "transaction_id": transaction, "success": True}
    return record("database_operations", day, second, identifier, operation_details=details)


@pytest.fixture(params=["plain", "compressed", "parquet"])
def root(request, tmp_path):
    """Return two days in each form, with an operation that failed in a transaction of three."""
    root = tmp_path / "database_logs"
    made = {
        ("database_operations", DAYS[0]): [
            operation(DAYS[0], 1, "op-1"),
            operation(DAYS[0], 2, "op-2"),
            operation(DAYS[0], 5, "op-12", transaction="tx-12"),
        ],
        ("database_operations", DAYS[1]): [operation(DAYS[1], 0, "op-3")],
        ("error_logs", DAYS[0]): [
            record(
                *("error_logs", DAYS[0], 3, "ev-9"),
                error_details={"error_id": "er-1", "error_message": "no"},
                context={"operation_id": "op-2", "user": "ana"},
            )
        ],
        ("sync_operations", DAYS[0]): [
            record("sync_operations", DAYS[0], 4, "ev-10", sync_details={"sync_id": "sy-1"})
        ],
    }
    for (category, day), events in made.items():
        path = root / category / f"{day}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(one) + "\n" for one in events))
        os.utime(path, (1_793_534_400, 1_793_534_400))
    if request.param != "plain":
        days = 1 if request.param == "parquet" else None
        archive.run(root, Policy(1, parquet_after_days=days), today="2026-11-23")
    return root


@pytest.mark.parametrize(
    ("identifier", "event"),
    [
        ("op-2", "op-2"),
        ("op-12", "op-12"),
        ("ev-9", "ev-9"),
        ("er-1", "ev-9"),
        ("sy-1", "ev-10"),
        ("tx-1", "op-1"),
        ("op-3", "op-3"),
    ],
)
def test_each_kind_of_id_finds_its_record(root, identifier, event):
    """For an operation and its error, the operation is returned."""
    assert find(root, identifier).record["event_id"] == event


@pytest.mark.parametrize("identifier", ["op", "op-", "op-22", "ana", SESSION, "%", ""])
def test_what_is_no_record_s_id_finds_nothing(root, identifier):
    """Neither a prefix of an id nor another value finds a record."""
    assert find(root, identifier) is None


def test_what_belongs_to_it(root):
    """The error, the operations of the transaction across midnight, and the session are found."""
    found = find(root, "op-2")
    assert [one["event_id"] for one in found.errors] == ["ev-9"]
    assert [one["event_id"] for one in found.transaction] == ["op-1", "op-2", "op-3"]
    assert len(found.session) == 6
    assert (found.transaction_id, found.session_id) == (TRANSACTION, SESSION)


def test_a_session_is_in_time_order_over_all_categories(root):
    """The records of a session are limited to the requested times."""
    found = records_of_session(root, SESSION)
    assert [one["event_id"] for one in found] == ["op-1", "op-2", "ev-9", "ev-10", "op-12", "op-3"]
    after = records_of_session(root, SESSION, since=f"{DAYS[0]}T10:00:05.000000Z")
    assert [one["event_id"] for one in after] == ["op-12", "op-3"]
    before = records_of_session(root, SESSION, until=f"{DAYS[0]}T10:00:02.000000Z")
    assert [one["event_id"] for one in before] == ["op-1"]


def test_an_id_is_found_in_each_category(tmp_path):
    """The event_id is found in each category."""
    for number, category in enumerate(CATEGORIES):
        path = tmp_path / category / f"{DAYS[0]}.jsonl"
        path.parent.mkdir()
        path.write_text(json.dumps(record(category, DAYS[0], number, f"ev-{number}")) + "\n")
    for number in range(len(CATEGORIES)):
        assert find(tmp_path, f"ev-{number}").record["event_id"] == f"ev-{number}"

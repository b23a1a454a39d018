"""The table at a point in time, from records alone."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import format_us
from leadlog.reading.replay import Replay, replay, rows_of

START = 1_795_428_000_000_000
Rows = list[dict[str, Any]]


class Log:
    """Creates records in order, a second apart."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._next = count()

    def call(
        self,
        operation: str,
        key: str | None = None,
        changed: dict[str, Any] | None = None,
        *,
        outcome: str = "committed",
        rows: int | None = 1,
        entity: str | None = "Lead",
        seconds: float | None = None,
        **more: Any,
    ) -> str:
        number = next(self._next)
        at = START + round(1_000_000 * (number if seconds is None else seconds))
        who = {"lead_id": key} | {
            name: more.pop(name)
            for name in ("lead_ids", "lead_count", "previous_lead_id")
            if name in more
        }
        event_id = f"{number:030x}"
        self.events.append(
            {
                "timestamp": format_us(at),
                "event_id": event_id,
                "log_type": "database_operation",
                "operation_details": {
                    "operation_type": operation,
                    "outcome": outcome,
                    "entity": entity,
                    "records_affected": rows,
                    "bulk": more.pop("bulk", "lead_ids" in who),
                },
                "lead_identifier": who,
                "data_details": {"fields_changed": changed},
                **more,
            }
        )
        return event_id

    def create(self, key: str, **values: Any) -> str:
        changed = {"id": {"new": key}} | {name: {"new": value} for name, value in values.items()}
        return self.call("create", key, changed)

    def update(self, key: str, **pairs: tuple[Any, Any]) -> str:
        return self.call(
            "update", key, {name: {"old": old, "new": new} for name, (old, new) in pairs.items()}
        )

    def rows(self, at: str | None = None) -> Rows:
        table = replay(self.events, at=at).tables.get("Lead")
        return [] if table is None else list(rows_of(table))


@pytest.fixture
def log() -> Log:
    return Log()


def test_created_updated_and_deleted_rows_are_as_the_last_commit_left_them(log: Log) -> None:
    """Only existing rows are present, with their last values; unwritten columns are null."""
    log.create("1", name="Ana", title="CTO")
    log.create("2", name="Bo")
    log.update("1", title=("CTO", "CEO"))
    log.call("delete", "2", {"name": {"old": "Bo"}})
    log.create("3", name="Cy")
    assert log.rows() == [
        {"_key": "1", "id": "1", "name": "Ana", "title": "CEO"},
        {"_key": "3", "id": "3", "name": "Cy", "title": None},
    ]


@pytest.mark.parametrize(
    "outcome", ["rolled_back", "savepoint_rolled_back", "failed", "commit_failed", "completed", ""]
)
def test_what_was_not_committed_changes_nothing(log: Log, outcome: str) -> None:
    """Attempts of every kind leave the row unchanged."""
    log.create("1", name="Ana")
    log.call("update", "1", {"name": {"old": "Ana", "new": "Bo"}}, outcome=outcome)
    log.call("delete", "1", {"name": {"old": "Ana"}}, outcome=outcome)
    log.call("create", "2", {"name": {"new": "Cy"}}, outcome=outcome, rows=0)
    assert log.rows() == [{"_key": "1", "id": "1", "name": "Ana"}]


def test_a_moment_in_between_shows_the_table_as_it_was_then(log: Log) -> None:
    """Later events are ignored; an event at exactly that time counts."""
    log.create("1", name="Ana")
    log.update("1", name=("Ana", "Anna"))
    log.call("delete", "1", {})
    assert log.rows(at=format_us(START - 1)) == []
    assert [row["name"] for row in log.rows(at=format_us(START))] == ["Ana"]
    assert [row["name"] for row in log.rows(at=format_us(START + 1_999_999))] == ["Anna"]
    assert log.rows(at=format_us(START + 2_000_000)) == []


def test_a_value_that_the_database_made_is_unknown_until_it_is_told(log: Log) -> None:
    """A column changed without a value is not null."""
    log.call("create", "1", {"id": {"new": "1"}, "n": {}, "name": {"new": "Ana"}})
    assert log.rows() == [{"_key": "1", "id": "1", "name": "Ana", "_unknown": ["n"]}]
    log.call("update", "1", {"n": {"new": 7}})
    assert log.rows() == [{"_key": "1", "id": "1", "n": 7, "name": "Ana"}]


def test_masked_and_cut_values_are_unknown_and_not_taken_for_values(log: Log) -> None:
    """`***` is a mask, not a value."""
    changed = {"name": {"new": "***"}, "notes": {"new": "long…"}, "title": {"new": "CTO"}}
    path = "data_details.fields_changed.notes.new"
    log.call("create", "1", changed, truncated=True, truncated_fields=[path])
    assert log.rows() == [{"_key": "1", "title": "CTO", "_unknown": ["name", "notes"]}]


def test_a_create_of_which_columns_were_cut_off_keeps_what_is_left(log: Log) -> None:
    """The truncated columns are unknown, not null."""
    paths = ["data_details.fields_changed"]
    log.create("2", name="Bo", title="CEO")
    log.call("create", "1", {"name": {"new": "Ana"}}, truncated=True, truncated_fields=paths)
    assert log.rows()[0] == {"_key": "1", "name": "Ana", "_unknown": ["*"]}


def test_a_row_that_an_update_shows_first_is_known_in_part(log: Log) -> None:
    """If the log begins after its creation, its other columns are unknown."""
    log.create("2", name="Bo", title="CEO")
    log.update("1", title=("CTO", "CEO"))
    assert log.rows()[0] == {"_key": "1", "title": "CEO", "_unknown": ["*"]}
    table = replay(log.events).tables["Lead"]
    assert table.rows["1"].why == "before_log"
    assert table.gap_count == 0


def test_a_row_that_was_read_may_be_there(log: Log) -> None:
    """A row read by key or in a search may exist, until a change makes it certain."""
    log.call("get_lead", "1", outcome="completed")
    log.call("search_leads", lead_ids=["1", "2"], lead_count=2, rows=2, outcome="completed")
    log.call("get_lead", "9", outcome="completed", rows=0)
    seen = {"_unknown": ["*"], "_uncertain": True}
    assert log.rows() == [{"_key": "1", **seen}, {"_key": "2", **seen}]
    log.create("1", name="Ana")  # its record was written after that of the read
    assert log.rows()[0] == {"_key": "1", "id": "1", "name": "Ana"}


def test_a_row_that_only_its_own_transaction_saw_is_not_there(log: Log) -> None:
    """It was created, read and rolled back; the record of its creation is last."""
    log.call("read", "1", outcome="completed")
    log.call("create", "1", {"n": {"new": 1}}, outcome="rolled_back")
    assert log.rows() == []


def test_a_read_that_overtook_a_deletion_does_not_bring_the_row_back(log: Log) -> None:
    """The read began while the row existed and ended after its deletion."""
    log.create("1", name="Ana")
    log.call("delete", "1", {})
    log.call("get_lead", "1", outcome="completed")
    assert log.rows() == []


def test_many_rows_with_all_their_keys_are_changed_one_by_one(log: Log) -> None:
    """Recorded columns are set, others become unknown, deleted rows are removed."""
    for key in "123":
        log.create(key, name=key)
    both = {"lead_ids": ["1", "2"], "lead_count": 2, "rows": 2}
    log.call("update", None, {"name": {"new": "x"}}, **both)
    assert [row["name"] for row in log.rows()] == ["x", "x", "3"]
    log.call("update", None, None, **both)
    assert log.rows()[0] == {"_key": "1", "_unknown": ["*"]}
    log.call("delete", None, None, **both)
    assert [row["_key"] for row in log.rows()] == ["3"]
    log.call("create", None, None, **both)
    assert log.rows()[0] == {"_key": "1", "_unknown": ["*"]}


def test_changes_that_have_no_record_of_their_own_are_a_blind_spot(log: Log) -> None:
    """A transaction with too many changes states how many records it omitted."""
    log.create("1", name="Ana")
    log.call("create", "1", {"name": {"new": "Bo"}}, rows=900)
    log.events[-1]["operation_details"]["records_cut"] = 900
    found = replay(log.events)
    assert [(doubt.kind, doubt.rows) for doubt in found.doubts] == [("create", 900)]
    assert log.rows() == [{"_key": "1", "id": "1", "name": "Ana"}]


def test_a_change_of_an_uncounted_row_is_uncertain(log: Log) -> None:
    """It is unknown whether the UPDATE or DELETE matched a row."""
    log.create("1", name="Ana")
    log.call("update", "1", {"name": {"new": "Bo"}}, rows=None)
    log.call("delete", "2", None, rows=None)
    assert log.rows() == [{"_key": "1", "id": "1", "_unknown": ["name"]}]


def test_rows_that_a_call_on_more_rows_names_are_changed_and_the_others_in_doubt(log: Log) -> None:
    """The record lists only the first keys."""
    for key in "123":
        log.create(key, name=key)
    log.call("delete", None, None, lead_ids=["1"], lead_count=3, rows=3)
    found = replay(log.events)
    assert list(found.tables["Lead"].rows) == ["2", "3"]
    assert [(doubt.kind, doubt.rows) for doubt in found.doubts] == [("delete", 2)]


def test_many_rows_without_their_keys_are_a_blind_spot(log: Log) -> None:
    """The rows stay as recorded, and the doubt is kept with its record."""
    log.create("1", name="Ana")
    event_id = log.call("delete", None, None, bulk=True, rows=5)
    log.call("delete", None, None, bulk=True, rows=0)
    log.call("execute", None, None, entity=None, rows=None)
    found = replay(log.events)
    assert list(found.tables["Lead"].rows) == ["1"]
    first, second = found.doubts
    assert (first.cause, first.event_id, first.rows) == ("blind_spot", event_id, 5)
    assert first.touches("Lead", "delete")
    assert not first.touches("Lead", "create")
    assert not first.touches("Other", "delete")
    assert (second.entity, second.kind) == (None, None)
    assert second.touches("Other", "create", "any")


def test_mark_for_sync_sets_what_its_name_says(log: Log) -> None:
    """Of the requested ids, those of leads wait afterwards, even if they did before."""
    log.create("1", sync_pending=False)
    log.create("2", sync_pending=True)
    log.call("mark_for_sync", lead_ids=["1", "2", "nobody"], lead_count=1)
    assert [row["sync_pending"] for row in log.rows()] == [True, True]


def test_an_unknown_outcome_makes_the_row_uncertain_until_it_is_told_anew(log: Log) -> None:
    """Neither the old nor the new value is claimed, nor the row's existence."""
    log.create("1", name="Ana", title="CTO")
    log.call("update", "1", {"title": {"old": "CTO", "new": "CEO"}}, outcome="unknown")
    assert log.rows() == [{"_key": "1", "id": "1", "name": "Ana", "_unknown": ["title"]}]
    log.call("delete", "1", {}, outcome="unknown")
    assert log.rows()[0]["_uncertain"] is True
    log.create("2", name="Bo")
    log.call("create", "3", {"name": {"new": "Cy"}}, outcome="unknown")
    assert log.rows()[2]["_uncertain"] is True
    log.call("delete", "3", {"name": {"old": "Cy"}})
    log.create("1", name="Ann")
    assert log.rows() == [
        {"_key": "1", "id": "1", "name": "Ann", "title": None},
        {"_key": "2", "id": "2", "name": "Bo", "title": None},
    ]


def test_a_change_that_does_not_fit_tells_that_one_in_between_is_missing(log: Log) -> None:
    """`old` differs from the recorded value; the new value counts nevertheless."""
    log.create("1", name="Ana", n=1)
    event_id = log.update("1", n=(5, 6))
    table = replay(log.events).tables["Lead"]
    (found,) = table.gaps
    assert (found.event_id, found.what, found.columns) == (event_id, "changed", {"n": (1, 5)})
    assert log.rows() == [{"_key": "1", "id": "1", "n": 6, "name": "Ana"}]


def test_a_row_made_twice_or_changed_after_its_end_tells_the_same(log: Log) -> None:
    """Its deletion, or its second creation, is missing in the log."""
    log.create("1", name="Ana")
    log.create("1", name="Bo")
    log.call("delete", "1", {"name": {"old": "Bo"}})
    log.update("1", name=("Cy", "Di"))
    table = replay(log.events).tables["Lead"]
    assert [found.what for found in table.gaps] == ["deleted", "created"]
    assert log.rows() == [{"_key": "1", "name": "Di", "_unknown": ["*"]}]


def test_a_blind_spot_explains_a_change_that_does_not_fit(log: Log) -> None:
    """A contradiction that a blind spot explains is not a gap."""
    log.create("1", n=1)
    log.call("update", None, {"n": {}}, bulk=True, rows=2)
    log.update("1", n=(5, 6))
    assert replay(log.events).tables["Lead"].gap_count == 0


def test_a_value_that_a_call_on_unnamed_rows_may_have_replaced_is_unknown(log: Log) -> None:
    """Only the columns it wrote, on rows recorded before it, are unknown until recorded again."""
    log.create("1", n=10, name="Ana")
    log.call("update", None, {"n": {"new": 77}}, bulk=True, rows=1)
    log.create("2", n=10, name="Bo")
    assert log.rows() == [
        {"_key": "1", "id": "1", "name": "Ana", "_unknown": ["n"]},
        {"_key": "2", "id": "2", "n": 10, "name": "Bo"},
    ]
    log.update("1", n=(77, 78))
    assert log.rows()[0] == {"_key": "1", "id": "1", "n": 78, "name": "Ana"}


def test_a_value_that_a_call_on_unnamed_rows_wrote_again_stays_known(log: Log) -> None:
    """The value is the same whether or not the call matched the row."""
    log.create("1", n=77)
    log.call("update", None, {"n": {"new": 77}}, bulk=True, rows=1)
    assert log.rows() == [{"_key": "1", "id": "1", "n": 77}]
    log.call("update", None, {"n": {}}, bulk=True, rows=1)
    assert log.rows() == [{"_key": "1", "id": "1", "_unknown": ["n"]}]


def test_sql_text_on_unnamed_rows_leaves_no_column_known(log: Log) -> None:
    """SQL text does not say which columns it wrote; other classes are not affected."""
    log.create("1", n=10)
    log.call("create", "1", {"n": {"new": 1}}, entity="Company")
    log.call("update", None, None, bulk=True, rows=1)
    assert log.rows() == [{"_key": "1", "_unknown": ["id", "n", "*"]}]
    company = replay(log.events).tables["Company"]
    assert list(rows_of(company)) == [{"_key": "1", "n": 1}]


@pytest.mark.parametrize("outcome", ["committed", "unknown"])
def test_a_row_that_a_call_on_unnamed_rows_may_have_deleted_is_uncertain(
    log: Log, outcome: str
) -> None:
    """It is uncertain until a later record shows that the row exists."""
    log.create("1", n=10)
    log.call("delete", None, None, bulk=True, rows=1, outcome=outcome)
    assert log.rows() == [{"_key": "1", "id": "1", "n": 10, "_uncertain": True}]
    log.update("1", n=(10, 11))
    assert log.rows() == [{"_key": "1", "id": "1", "n": 11}]


def test_a_change_that_had_read_an_older_value_is_a_lost_update_and_no_gap(log: Log) -> None:
    """The overwritten change and the lost value are named."""
    log.create("1", n=1, name="Ana")
    first = log.update("1", n=(1, 2))
    second = log.update("1", n=(1, 3))
    table = replay(log.events).tables["Lead"]
    assert table.gap_count == 0
    (lost,) = table.lost_updates
    assert (lost.event_id, lost.overwritten, lost.columns) == (second, first, {"n": (2, 1)})
    assert log.rows() == [{"_key": "1", "id": "1", "n": 3, "name": "Ana"}]


@pytest.mark.parametrize("writers", [2, 12, 40])
def test_any_number_of_writers_that_read_the_same_value_lose_all_changes_but_one(
    log: Log, writers: int
) -> None:
    """None of them is a gap, for any number of writers in any order."""
    log.create("1", n=0, note=None)
    for number in range(1, writers + 1):
        log.update("1", n=(0, number), note=(None, f"by {number}"))
    table = replay(log.events).tables["Lead"]
    assert (table.gap_count, table.lost_update_count) == (0, writers - 1)
    assert log.rows()[0]["n"] == writers


def test_one_change_can_overwrite_a_logged_value_and_one_that_is_not_in_the_log(log: Log) -> None:
    """Each column is reported as a lost update or a gap accordingly."""
    log.create("1", n=1, m=1)
    log.update("1", n=(1, 2))
    log.update("1", n=(1, 3), m=(8, 9))
    table = replay(log.events).tables["Lead"]
    assert [gap.columns for gap in table.gaps] == [{"m": (1, 8)}]
    assert [lost.columns for lost in table.lost_updates] == [{"n": (2, 1)}]


def test_the_same_value_of_another_spelling_is_no_gap(log: Log) -> None:
    """A number that was set as 1.5 is returned as 1.50."""
    log.create("1", price="1.5")
    log.update("1", price=("1.50", "2"))
    assert replay(log.events).tables["Lead"].gap_count == 0


def test_an_update_of_the_primary_key_moves_the_row(log: Log) -> None:
    """The row keeps the values that it had under its old key."""
    log.create("1", name="Ana")
    log.call("update", "2", {"id": {"old": "1", "new": "2"}}, previous_lead_id="1")
    assert log.rows() == [{"_key": "2", "id": "2", "name": "Ana"}]


def test_a_number_that_becomes_like_the_key_moves_nothing(log: Log) -> None:
    """A changed key is stated by the record, not guessed from values."""
    log.create("1", size="x")
    log.call("update", "2", {"size": {"old": "1", "new": "2"}})
    assert [row["_key"] for row in log.rows()] == ["1", "2"]


def test_a_key_that_was_left_can_be_taken_by_another(log: Log) -> None:
    """The row's later change is recorded before the one that assigned its key."""
    log.create("1", name="Ana")
    log.call("update", "2", {"name": {"old": "Ana", "new": "Bo"}}, seconds=2.5)
    log.call("update", "2", {"id": {"old": "1", "new": "2"}}, previous_lead_id="1", seconds=2.6)
    log.create("1", name="new")
    assert log.rows() == [
        {"_key": "1", "id": "1", "name": "new"},
        {"_key": "2", "id": "2", "name": "Bo"},
    ]


def test_a_key_whose_change_is_not_certain(log: Log) -> None:
    """Neither the old row nor the new one is certain."""
    log.create("1", name="Ana")
    log.call(
        "update", "2", {"id": {"old": "1", "new": "2"}}, previous_lead_id="1", outcome="unknown"
    )
    table = replay(log.events).tables["Lead"]
    assert {key: row.perhaps is not None for key, row in table.rows.items()} == {
        "1": True,
        "2": True,
    }


def test_sampled_writes_and_dropped_records_are_remembered(log: Log) -> None:
    """The log itself records that it is incomplete."""
    log.call("create", "1", {"n": {"new": 1}}, sample_rate=0.25)
    points = {"condition": "dropping", "state": "ended", "category": "database_operations"}
    info = {"monitoring_type": "log_health", "data_points": points | {"lines": 9, "detail": "full"}}
    health = {"timestamp": format_us(START + 5), "log_type": "monitoring_data"}
    log.events.append(health | {"monitoring_info": info})
    found = replay(log.events)
    assert found.tables["Lead"].sampled == {"create": 0.25}
    assert [(doubt.cause, doubt.lines) for doubt in found.doubts] == [("dropped", 9)]


def test_other_entities_are_kept_apart_and_can_be_left_out(log: Log) -> None:
    """Two classes may have the same keys."""
    log.create("1", name="Ana")
    log.call("create", "1", {"name": {"new": "Acme"}}, entity="Company")
    assert set(replay(log.events).tables) == {"Lead", "Company"}
    assert set(replay(log.events, entities=["Company"]).tables) == {"Company"}


def test_more_blind_spots_than_can_be_kept_are_kept_as_one(log: Log) -> None:
    """The last doubt stands for all beyond the limit, and may have changed anything."""
    for _ in range(10_005):
        log.call("delete", None, None, bulk=True, rows=5)
    log.create("1", name="Ana")
    doubts = replay(log.events).doubts
    assert len(doubts) == 10_000
    assert doubts[-1].touches("Lead", "update", "n")
    assert not doubts[-1].touches("Other", "update", "n")
    assert log.rows() == [{"_key": "1", "id": "1", "name": "Ana"}]
    log.call("update", None, None, bulk=True, rows=5)
    assert log.rows() == [{"_key": "1", "_unknown": ["id", "name", "*"], "_uncertain": True}]


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 2), st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=30
    ),
    order=st.data(),
)
def test_the_order_of_the_database_is_found_where_clocks_disagree(
    steps: list[tuple[int, int, int]], order: Any
) -> None:
    """Calls on one row that end slightly late by their own clock are put in the real order."""
    log, table, numbers = Log(), {}, count(1)
    for place, (row, what, late) in enumerate(steps):
        key = str(row)
        before = table.get(key)
        # Up to 0.3 s late, so an update may be reordered with several others. Two deletions of one
        # row cannot be distinguished, so rows here have only one deletion.
        soon, late_at = place * 0.1 + min(late, 1) * 0.15, place * 0.1 + late * 0.15
        if before is None:
            table[key] = next(numbers)
            log.call("create", key, {"n": {"new": table[key]}}, seconds=soon)
        elif what:
            table[key] = next(numbers)
            log.call("update", key, {"n": {"old": before, "new": table[key]}}, seconds=late_at)
        else:
            del table[key]
            log.call("delete", key, {"n": {"old": before}}, seconds=soon)
    log.events = order.draw(st.permutations(log.events))
    found = replay(log.events).tables["Lead"]
    assert {row["_key"]: row["n"] for row in rows_of(found)} == table
    assert found.gap_count == 0


def test_a_replay_can_be_fed_event_by_event(log: Log, event: Callable[..., Any]) -> None:
    """Events of other types are counted and skipped, and the log's times are known."""
    told = Replay()
    told.feed(event(START, log_type="error_log"))
    told.feed(event(START + 1, log_type="monitoring_data", monitoring_info=3))
    told.finish()
    assert (told.events, told.first, told.last) == (2, format_us(START), format_us(START + 1))
    assert told.tables == {}

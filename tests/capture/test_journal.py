"""Every transition of the outcome journal, and every path to an operation's outcome."""

import itertools
from typing import Any

import pytest

from leadlog.recording.capture import journal
from leadlog.recording.capture.operation import Operation


class Dialect:
    """Substitute for an engine's dialect; the journal only references it weakly."""


DIALECT = Dialect()


class Write:
    """A pending write that records the outcomes it receives."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.told: list[str] = []

    def __repr__(self) -> str:
        return self.name

    def resolve(self, outcome: str, transaction_id: str) -> None:
        assert transaction_id
        self.told.append(outcome)


class Rest(Write):
    """Substitute for further writes."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def absorb(self, other: Any) -> None:
        self.count += other.count


def begin() -> tuple[dict[Any, Any], journal.Transaction]:
    """Return a connection's `info` and its journal."""
    info: dict[Any, Any] = {}
    return info, journal.transaction_of(info, DIALECT)


def written(transaction: journal.Transaction, name: str = "") -> Write:
    write = Write(name)
    assert transaction.add(write)
    return write


# ------------------------------------------------------------------------------- the transaction


@pytest.mark.parametrize(
    "outcome",
    [journal.COMMITTED, journal.ROLLED_BACK, journal.UNKNOWN, journal.COMMIT_FAILED],
)
def test_the_end_of_a_transaction_is_told_once(outcome: str) -> None:
    """Every write of every frame gets it; afterwards the connection has no journal."""
    info, transaction = begin()
    first = written(transaction)
    transaction.savepoint("s")
    second = written(transaction)
    journal.finalise(info, outcome)
    journal.finalise(info, journal.ROLLED_BACK)
    transaction.finalise(journal.ROLLED_BACK)
    assert first.told == second.told == [outcome]
    assert info == {}
    assert journal.find(info) is None


def test_a_connection_has_one_journal_and_its_records_share_an_id() -> None:
    """The journal lasts until the transaction ends; the next transaction has another."""
    info, transaction = begin()
    assert journal.transaction_of(info, DIALECT) is transaction is journal.find(info)
    journal.finalise(info, journal.COMMITTED)
    assert journal.transaction_of(info, DIALECT).transaction_id != transaction.transaction_id


@pytest.mark.parametrize(
    ("poisoned", "committing", "commit_failed", "end", "told"),
    [
        (False, False, False, journal.COMMITTED, journal.COMMITTED),
        (False, True, False, journal.COMMITTED, journal.COMMITTED),
        (False, False, True, journal.COMMITTED, journal.COMMITTED),
        (True, False, False, journal.COMMITTED, journal.ROLLED_BACK),
        (True, True, False, journal.COMMITTED, journal.ROLLED_BACK),
        (True, True, True, journal.COMMITTED, journal.ROLLED_BACK),
        (False, False, False, journal.ROLLED_BACK, journal.ROLLED_BACK),
        (True, False, False, journal.ROLLED_BACK, journal.ROLLED_BACK),
        (False, True, False, journal.ROLLED_BACK, journal.UNKNOWN),
        (False, True, True, journal.ROLLED_BACK, journal.UNKNOWN),
        (False, False, True, journal.ROLLED_BACK, journal.COMMIT_FAILED),
        (False, True, True, journal.UNKNOWN, journal.UNKNOWN),
        (True, True, True, journal.UNKNOWN, journal.UNKNOWN),
        (False, True, False, journal.COMMIT_FAILED, journal.COMMIT_FAILED),
    ],
)
def test_what_the_end_means(
    poisoned: bool, committing: bool, commit_failed: bool, end: str, told: str
) -> None:
    """COMMIT of a poisoned transaction is a rollback, an interrupted one is unknown."""
    info, transaction = begin()
    write = written(transaction)
    transaction.poisoned = poisoned
    transaction.committing = committing
    transaction.commit_failed = commit_failed
    journal.finalise(info, end)
    assert write.told == [told]


def test_an_interrupted_commit_is_unknown() -> None:
    """COMMIT was sent without a response, and the connection was rolled back or lost."""
    info, transaction = begin()
    write = written(transaction)
    journal.commits(info)
    journal.finalise(info, journal.ROLLED_BACK)
    assert write.told == [journal.UNKNOWN]


def test_a_refused_commit_that_leaves_the_transaction_open() -> None:
    """It may be retried, and counts as failed only if the transaction is then abandoned."""
    for end, told in ((journal.COMMITTED,) * 2, (journal.ROLLED_BACK, journal.COMMIT_FAILED)):
        info, transaction = begin()
        write = written(transaction)
        journal.commits(info)
        journal.commit_failed(info, still_open=True)
        assert (transaction.committing, transaction.commit_failed) == (False, True)
        assert write.told == []
        journal.finalise(info, end)
        assert write.told == [told]


def test_a_refused_commit_that_ends_the_transaction() -> None:
    """A deferred constraint does so; the connection's next transaction has its own journal."""
    info, transaction = begin()
    write = written(transaction)
    journal.commits(info)
    journal.commit_failed(info, still_open=False)
    assert write.told == [journal.COMMIT_FAILED]
    assert info == {}


def test_without_a_journal_nothing_ends() -> None:
    """A transaction that wrote nothing has no journal, and gets none."""
    info: dict[Any, Any] = {}
    journal.commits(info)
    journal.commit_failed(info, still_open=True)
    journal.commit_failed(info, still_open=False)
    journal.ended_elsewhere(info)
    journal.finalise(info, journal.COMMITTED)
    assert info == {}


@pytest.mark.parametrize("committing", [False, True])
@pytest.mark.parametrize("poisoned", [False, True])
def test_a_transaction_that_ended_elsewhere_is_unknown(poisoned: bool, committing: bool) -> None:
    """This is independent of its earlier state."""
    info, transaction = begin()
    write = written(transaction)
    transaction.poisoned, transaction.committing = poisoned, committing
    journal.ended_elsewhere(info)
    assert write.told == [journal.UNKNOWN]
    assert info == {}


def test_a_prepared_transaction_has_not_ended() -> None:
    """The driver no longer has it, but the database keeps it for the second phase."""
    info, transaction = begin()
    write = written(transaction)
    transaction.prepared = True
    journal.ended_elsewhere(info)
    assert write.told == []
    journal.finalise(info, journal.COMMITTED)
    assert write.told == [journal.COMMITTED]


def test_open_transactions_are_known_by_their_engine() -> None:
    """True as long as one of their writes is waiting."""
    other = Dialect()
    info, transaction = begin()
    assert journal.any_open()
    assert not journal.is_waiting_on(DIALECT)
    transaction.savepoint("s")
    written(transaction)
    assert journal.is_waiting_on(DIALECT)
    assert not journal.is_waiting_on(other)
    transaction.rollback_to("s")
    assert not journal.is_waiting_on(DIALECT)
    journal.finalise(info, journal.ROLLED_BACK)


def test_what_is_open_when_the_process_ends_is_unknown() -> None:
    """A later exit function may commit it, which is not reported a second time."""
    info, transaction = begin()
    write = written(transaction)
    journal.settle_open()
    journal.finalise(info, journal.COMMITTED)
    assert write.told == [journal.UNKNOWN]


# ------------------------------------------------------------------------------------ savepoints


def test_a_write_is_noted_once_in_a_row() -> None:
    """A call that writes twice waits once, but once more after a savepoint."""
    _, transaction = begin()
    write = written(transaction)
    assert transaction.last() is write
    assert not transaction.add(write)
    assert transaction.count == 1
    other = written(transaction)
    assert transaction.last() is other
    assert transaction.add(write)
    assert transaction.count == 3
    transaction.savepoint("s")
    assert transaction.last() is None
    assert transaction.add(write)
    assert transaction.count == 4


def test_a_released_savepoint_shares_the_end_of_what_is_around_it() -> None:
    """It has no outcome before that end."""
    info, transaction = begin()
    transaction.savepoint("outer")
    transaction.savepoint("inner")
    write = written(transaction)
    transaction.release("inner")
    transaction.release("outer")
    assert write.told == []
    journal.finalise(info, journal.ROLLED_BACK)
    assert write.told == [journal.ROLLED_BACK]


def test_releasing_an_outer_savepoint_releases_those_inside() -> None:
    """Releasing an outer savepoint releases the inner ones, as in SQL; earlier writes stay."""
    info, transaction = begin()
    transaction.savepoint("outer")
    first = written(transaction)
    transaction.savepoint("inner")
    second = written(transaction)
    transaction.release("outer")
    transaction.rollback_to("inner")  # which no longer exists
    journal.finalise(info, journal.COMMITTED)
    assert first.told == second.told == [journal.COMMITTED]


def test_rolling_back_to_a_savepoint_ends_what_came_after_it() -> None:
    """Inner savepoints end as well; it stays open itself, and earlier writes keep waiting."""
    info, transaction = begin()
    before = written(transaction)
    transaction.savepoint("outer")
    first = written(transaction)
    transaction.savepoint("inner")
    second = written(transaction)
    transaction.rollback_to("outer")
    assert first.told == second.told == [journal.SAVEPOINT_ROLLED_BACK]
    after = written(transaction)
    transaction.rollback_to("outer")
    assert after.told == [journal.SAVEPOINT_ROLLED_BACK]
    last = written(transaction)
    transaction.release("outer")
    journal.finalise(info, journal.COMMITTED)
    assert before.told == last.told == [journal.COMMITTED]


@pytest.mark.parametrize("end", ["release", "rollback_to"])
def test_a_name_that_is_used_again_is_the_innermost_savepoint(end: str) -> None:
    """The outer savepoint of that name remains, and can be ended later."""
    info, transaction = begin()
    transaction.savepoint("s")
    outer = written(transaction, "outer")
    transaction.savepoint("s")
    inner = written(transaction, "inner")
    getattr(transaction, end)("s")
    assert outer.told == []
    if end == "release":
        assert inner.told == []
        transaction.rollback_to("s")
        assert inner.told == outer.told == [journal.SAVEPOINT_ROLLED_BACK]
    else:
        assert inner.told == [journal.SAVEPOINT_ROLLED_BACK]
        transaction.release("s")
        transaction.rollback_to("s")
        assert outer.told == [journal.SAVEPOINT_ROLLED_BACK]
    journal.finalise(info, journal.COMMITTED)
    assert len(outer.told) == len(inner.told) == 1


@pytest.mark.parametrize("end", ["release", "rollback_to"])
def test_a_name_that_is_none_ends_no_savepoint(end: str) -> None:
    """The database would refuse it; the first frame has no name."""
    info, transaction = begin()
    first = written(transaction)
    transaction.savepoint("s")
    second = written(transaction)
    getattr(transaction, end)("other")
    getattr(transaction, end)("")
    assert first.told == second.told == []
    journal.finalise(info, journal.COMMITTED)
    assert first.told == second.told == [journal.COMMITTED]


def test_rolling_back_to_a_savepoint_heals_a_poisoned_transaction() -> None:
    """On PostgreSQL its COMMIT is a commit again; a release does not change that."""
    info, transaction = begin()
    transaction.savepoint("s")
    transaction.poisoned = True
    transaction.release("s")
    assert transaction.poisoned
    transaction.savepoint("s")
    transaction.rollback_to("s")
    assert not transaction.poisoned
    write = written(transaction)
    journal.finalise(info, journal.COMMITTED)
    assert write.told == [journal.COMMITTED]


def test_a_call_that_wrote_inside_and_outside_of_a_released_savepoint() -> None:
    """A call that wrote inside and outside of a released savepoint gets both outcomes."""
    info, transaction = begin()
    write = written(transaction)
    transaction.savepoint("s")
    transaction.add(write)
    transaction.release("s")
    assert write.told == [journal.COMMITTED]
    journal.finalise(info, journal.ROLLED_BACK)
    assert write.told == [journal.COMMITTED, journal.ROLLED_BACK]


def test_the_rest_of_a_savepoint_goes_into_the_rest_around_it() -> None:
    """Merged by kind; the first of a kind moves there itself. Rolled back, it counts alone."""
    info, transaction = begin()
    outer, inner, other = Rest(1), Rest(2), Rest(4)
    transaction.add_rest("create", outer)
    transaction.savepoint("s")
    assert transaction.rest("create") is None
    transaction.add_rest("create", inner)
    transaction.add_rest("update", other)
    transaction.release("s")
    assert transaction.rest("create") is outer
    assert transaction.rest("update") is other
    assert outer.count == 3
    transaction.savepoint("s")
    undone = Rest(8)
    transaction.add_rest("create", undone)
    transaction.rollback_to("s")
    assert undone.told == [journal.SAVEPOINT_ROLLED_BACK]
    journal.finalise(info, journal.COMMITTED)
    assert (outer.told, inner.told, other.told) == (
        [journal.COMMITTED],
        [],
        [journal.COMMITTED],
    )
    assert outer.count == 3


# ----------------------------------------------------------------------------------- the outcome

OUTCOMES = (
    journal.COMMITTED,
    journal.ROLLED_BACK,
    journal.SAVEPOINT_ROLLED_BACK,
    journal.COMMIT_FAILED,
    journal.UNKNOWN,
    journal.FAILED,
)


def outcome_of(*outcomes: str, error: bool = False, doubtful: bool = False) -> str:
    """Return the outcome of an operation that received these."""
    operation = Operation("update", "person.update", "Person", lambda _: None)
    for outcome in outcomes:
        operation.settle(outcome)
    if error:
        operation.fail(ValueError("no"))
    operation.doubtful = doubtful
    return operation.outcome


@pytest.mark.parametrize(
    ("outcomes", "error", "doubtful", "expected"),
    [
        ((), False, False, "completed"),
        ((), True, False, "failed"),
        *(((one,), False, False, one) for one in OUTCOMES),
        (("committed",), True, False, "committed"),  # the call failed after it was done
        (("rolled_back",), True, False, "failed"),
        (("savepoint_rolled_back",), True, False, "failed"),
        (("failed",), True, False, "failed"),
        (("unknown",), True, False, "unknown"),
        (("commit_failed",), True, False, "commit_failed"),
        (("committed", "committed"), False, False, "committed"),
        (("committed", "rolled_back"), False, False, "rolled_back"),
        (("rolled_back", "committed"), False, False, "rolled_back"),
        (("committed", "savepoint_rolled_back"), False, False, "committed"),
        (("rolled_back", "savepoint_rolled_back"), False, False, "rolled_back"),
        (("savepoint_rolled_back",) * 2, False, False, "savepoint_rolled_back"),
        (("committed", "rolled_back"), True, False, "failed"),
        (("committed", "committed"), True, False, "committed"),
        (("committed", "unknown"), False, False, "unknown"),
        (("commit_failed", "committed"), False, False, "commit_failed"),
        (("commit_failed", "unknown"), False, False, "unknown"),
        (("unknown", "commit_failed"), True, False, "unknown"),
        (("committed",), True, True, "unknown"),  # some of its rows, it is unknown which
        (("rolled_back",), True, True, "failed"),
        (("committed", "savepoint_rolled_back"), False, True, "unknown"),
        (("unknown",), True, True, "unknown"),
    ],
)
def test_every_path_of_the_outcome(
    outcomes: tuple[str, ...], error: bool, doubtful: bool, expected: str
) -> None:
    """The outcome is the strongest claim consistent with all decisive ones, in any order."""
    for order in itertools.permutations(outcomes):
        assert outcome_of(*order, error=error, doubtful=doubtful) == expected


def test_a_call_is_told_when_all_of_its_writes_are() -> None:
    """On two connections; its record is written once, with the last outcome."""
    emitted: list[str] = []
    operation = Operation(
        "update", "person.update", "Person", lambda done: emitted.append(done.outcome)
    )
    (first_info, first), (second_info, second) = begin(), begin()
    one, two = object(), object()
    operation.wrote(first, one)
    operation.wrote(first, one)
    operation.wrote(second, two)
    assert operation.wrote_last(two)
    assert not operation.wrote_last(one)
    operation.close()
    journal.finalise(first_info, journal.COMMITTED)
    assert emitted == []
    assert operation.transaction_id == first.transaction_id
    journal.finalise(second_info, journal.ROLLED_BACK)
    assert emitted == ["rolled_back"]
    assert operation.transaction_id == second.transaction_id
    assert not operation.wrote_last(two)


def test_a_call_that_ends_after_its_transaction_is_told_at_its_end() -> None:
    """Writes undone by a retry do not count."""
    emitted: list[str] = []
    operation = Operation(
        "update", "person.update", "Person", lambda done: emitted.append(done.outcome)
    )
    info, transaction = begin()
    operation.wrote(transaction, info)
    operation.changed("update", {"score": {"new": 1}})
    journal.finalise(info, journal.ROLLED_BACK)
    operation.start_over()
    assert operation.fields_changed is None
    assert operation.change is None
    info, transaction = begin()
    operation.wrote(transaction, info)
    journal.finalise(info, journal.COMMITTED)
    assert emitted == []
    operation.close()
    assert emitted == ["committed"]

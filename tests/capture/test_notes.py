"""The journal notes a transaction's records for recovery, and clears the note when it may."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leadlog.recording.capture import journal


class Notes:
    """Stand-in for the sink's notes; `standing` has the frames of those not cleared, by number."""

    def __init__(self) -> None:
        self.standing: dict[int, list[Any]] = {}
        self.briefs: dict[int, list[Any]] = {}
        self.made = 0
        self.full = False

    def intend(self, frames: list[Any], brief: Callable[[], list[Any]]) -> int | None:
        """Note frames and return the note's number; None if there is no room."""
        if self.full:
            return None
        self.made += 1
        self.standing[self.made] = frames
        self.briefs[self.made] = brief()
        return self.made

    def settle(self, token: int) -> None:
        """Clear a note; clearing it twice is an error."""
        del self.standing[token]


class Write:
    """A pending write whose record is written when its call ends."""

    def __init__(self, name: str, *, follows: bool = False) -> None:
        self.name = name
        self.follows = follows
        self.recorded = False
        self.intents: tuple[Any, ...] = ()
        self.order: list[str] = []

    def intended(self, *, brief: bool = False) -> str:
        """Return the frame to note."""
        return f"{self.name} in brief" if brief else self.name

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Take the outcome; the record is written by `close`."""
        assert transaction_id
        self.order.append(f"{self.name} {outcome}")

    def close(self) -> None:
        """Write the record, and clear its notes."""
        self.recorded = True
        for intent in self.intents:
            intent.strike_out()


class Read:
    """A read that waits for the records of the writes before it."""

    follows = True

    def __init__(self, order: list[str]) -> None:
        self.order = order

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Take the outcome, in the read's place among the writes."""
        self.order.append(f"read {outcome}")


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notes]:
    """Replace the sink, whose own notes can only be read for dead processes."""
    found = Notes()
    monkeypatch.setattr(journal, "_log", found)
    yield found
    assert found.standing == {}


class Dialect:
    """Stand-in for an engine's dialect, to which the journal only has a weak reference."""


DIALECT = Dialect()


def begin() -> tuple[dict[Any, Any], journal.Transaction]:
    """Return a connection's `info` and its journal."""
    info: dict[Any, Any] = {}
    return info, journal.transaction_of(info, DIALECT)


def write(transaction: journal.Transaction, name: str, order: list[str] | None = None) -> Write:
    """Add a write to the innermost frame, and return it."""
    found = Write(name)
    if order is not None:
        found.order = order
    assert transaction.add(found)
    return found


def test_a_commit_is_noted_until_every_record_is_written(notes: Notes) -> None:
    """The writes of all frames are in one note, which the last record clears."""
    info, transaction = begin()
    first = write(transaction, "first")
    transaction.savepoint("s")
    second = write(transaction, "second")
    assert notes.made == 0
    journal.commits(info)
    assert list(notes.standing.values()) == [["first", "second"]]
    assert list(notes.briefs.values()) == [["first in brief", "second in brief"]]
    journal.finalise(info, journal.COMMITTED)
    assert len(notes.standing) == 1
    first.close()
    assert len(notes.standing) == 1
    second.close()
    assert notes.standing == {}
    assert notes.made == 1


def test_records_that_are_written_before_the_answer_leave_no_note(notes: Notes) -> None:
    """If all records are written, the answer clears the note; otherwise the last record does."""
    info, transaction = begin()
    done, late = write(transaction, "done"), write(transaction, "late")
    done.recorded = True
    journal.commits(info)
    journal.finalise(info, journal.COMMITTED)
    assert len(notes.standing) == 1
    assert done.intents == ()
    late.close()
    assert notes.standing == {}
    info, transaction = begin()
    write(transaction, "done").recorded = True
    journal.commits(info)
    journal.finalise(info, journal.COMMITTED)
    assert notes.standing == {}


@pytest.mark.parametrize("writes", [0, 1])
def test_a_commit_without_writes_notes_nothing(notes: Notes, writes: int) -> None:
    """A COMMIT without writes, or one that the database turns into a rollback, has no note."""
    info, transaction = begin()
    transaction.poisoned = bool(writes)
    for _ in range(writes):
        write(transaction, "write")
    journal.commits(info)
    assert notes.made == 0
    assert transaction.committing
    journal.finalise(info, journal.COMMITTED)


def test_a_read_intends_nothing(notes: Notes) -> None:
    """A read is not noted, since it changed no row whose record could be missing."""
    info, transaction = begin()
    transaction.follow(Read([]))
    journal.commits(info)
    assert notes.made == 0
    journal.finalise(info, journal.COMMITTED)


def test_a_read_keeps_no_note(notes: Notes) -> None:
    """The note goes with the last record of a write; a read has none in it."""
    info, transaction = begin()
    write(transaction, "write").recorded = True
    transaction.follow(Read([]))
    journal.commits(info)
    journal.finalise(info, journal.COMMITTED)
    assert notes.standing == {}


@pytest.mark.parametrize("end", ["still open", "forget", "commit failed", "rolled back"])
def test_a_commit_that_was_refused_leaves_no_note(notes: Notes, end: str) -> None:
    """A refused COMMIT clears its note, also if the transaction goes on; the next notes again."""
    info, transaction = begin()
    found = write(transaction, "write")
    journal.commits(info)
    assert len(notes.standing) == 1
    if end == "still open":
        journal.commit_failed(info, still_open=True)
        assert not transaction.committing
        assert transaction.commit_failed
    elif end == "forget":
        journal.forget(info)
        assert transaction.committing
    elif end == "commit failed":
        journal.commit_failed(info, still_open=False)
        assert found.order == ["write commit_failed"]
        found.close()
    else:
        journal.finalise(info, journal.ROLLED_BACK)
        assert found.order == ["write unknown"]
        found.close()
    assert notes.standing == {}
    if journal.find(info) is not None:
        journal.commits(info)
        assert (notes.made, len(notes.standing)) == (2, 1)
        journal.finalise(info, journal.COMMITTED)
        found.close()


def test_two_commits_in_a_row_have_one_note(notes: Notes) -> None:
    """The note of a second COMMIT replaces that of the first."""
    info, transaction = begin()
    found = write(transaction, "write")
    journal.intend(info)
    journal.commits(info)
    assert (notes.made, len(notes.standing)) == (2, 1)
    journal.finalise(info, journal.COMMITTED)
    found.close()


def test_a_transaction_that_ended_elsewhere_keeps_its_note_until_its_records_are_written(
    notes: Notes,
) -> None:
    """The note stays until the records are written; both have the outcome `unknown`."""
    info, transaction = begin()
    found = write(transaction, "write")
    journal.commits(info)
    journal.ended_elsewhere(info)
    assert found.order == ["write unknown"]
    assert len(notes.standing) == 1
    found.close()


def test_a_write_that_no_commit_follows_is_noted_before_it(notes: Notes) -> None:
    """All such writes are in one note; if they are noted again, only the newer note counts."""
    one: Any
    two: Any
    one, two = Write("one"), Write("two")
    journal.note(iter([one, two]))
    assert list(notes.standing.values()) == [["one", "two"]]
    journal.note(iter([one]))
    assert list(notes.standing) == [1, 2]
    two.close()
    assert list(notes.standing) == [2]
    one.close()
    assert notes.standing == {}


def test_no_write_and_no_room_make_no_note(notes: Notes) -> None:
    """Without writes, or without room, there is no note, and the writes continue."""
    journal.note([])
    assert notes.made == 0
    notes.full = True
    one: Any = Write("one")
    journal.note([one])
    assert one.intents == ()
    info, transaction = begin()
    found = write(transaction, "write")
    journal.commits(info)
    journal.finalise(info, journal.COMMITTED)
    assert found.order == ["write committed"]
    assert found.intents == ()


def test_a_record_that_cannot_be_made_does_not_fail_the_commit(notes: Notes) -> None:
    """If a frame cannot be made, nothing is noted, and the outcome is still recorded."""
    info, transaction = begin()
    found = write(transaction, "write")

    def fails(*, brief: bool = False) -> str:
        raise ValueError(f"no frame, brief or not: {brief}")

    found.intended = fails  # type: ignore[method-assign]
    journal.commits(info)
    assert notes.made == 0
    journal.finalise(info, journal.COMMITTED)
    assert found.order == ["write committed"]


@pytest.mark.parametrize(
    ("outcome", "order"),
    [
        (
            journal.COMMITTED,
            ["first committed", "second committed", "read committed", "third committed"],
        ),
        (
            journal.ROLLED_BACK,
            ["read rolled_back", "first rolled_back", "second rolled_back", "third rolled_back"],
        ),
        (
            journal.COMMIT_FAILED,
            [
                "read commit_failed",
                "first commit_failed",
                "second commit_failed",
                "third commit_failed",
            ],
        ),
        (journal.UNKNOWN, ["read unknown", "first unknown", "second unknown", "third unknown"]),
    ],
)
def test_reads_keep_their_place_or_come_first(notes: Notes, outcome: str, order: list[str]) -> None:
    """Reads keep their place at COMMIT; otherwise they are recorded before the undone writes."""
    assert notes.made == 0
    found: list[str] = []
    info, transaction = begin()
    write(transaction, "first", found)
    transaction.savepoint("s")
    write(transaction, "second", found)
    transaction.follow(Read(found))
    assert transaction.followers == 1
    write(transaction, "third", found)
    transaction.release("s")
    journal.finalise(info, outcome)
    assert found == order


@pytest.mark.parametrize("name", ["s", "".join(("sa", "_1"))])
def test_a_savepoint_begins_a_transaction_where_nothing_was_written_before(name: str) -> None:
    """A savepoint begins the transaction if nothing was written before; names compare as text."""
    _, transaction = begin()
    same = "".join(name)
    assert not transaction.begins_with(same)
    transaction.savepoint(name)
    assert transaction.begins_with(same)
    assert not transaction.begins_with("other")
    assert not transaction.begins_with("zz")
    transaction.savepoint("inner")
    assert transaction.begins_with(same)
    assert not transaction.begins_with("inner")
    write(transaction, "inside")
    assert transaction.begins_with(same)
    _, transaction = begin()
    write(transaction, "before")
    transaction.savepoint(name)
    assert not transaction.begins_with(same)


@pytest.mark.parametrize("end", ["release", "rollback_to"])
@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_savepoints_are_known_by_the_text_of_their_names(end: str, first: str, second: str) -> None:
    """The named savepoint ends, with those inside it, in whatever order their names sort."""
    info, transaction = begin()
    names = [f"{name}_savepoint" for name in (first, second)]
    transaction.savepoint(names[0])
    outer = write(transaction, "outer")
    transaction.savepoint(names[1])
    inner = write(transaction, "inner")
    getattr(transaction, end)(f"{first}_savepoint")
    if end == "release":
        assert outer.order == inner.order == []
        transaction.rollback_to(f"{first}_savepoint")  # it is gone
        assert outer.order == inner.order == []
    else:
        assert outer.order == ["outer savepoint_rolled_back"]
        assert inner.order == ["inner savepoint_rolled_back"]
        again = write(transaction, "again")
        transaction.rollback_to(f"{first}_savepoint")  # it stayed open
        assert again.order == ["again savepoint_rolled_back"]
        transaction.release(f"{second}_savepoint")  # it is gone
        assert transaction.begins_with(f"{first}_savepoint")
    journal.finalise(info, journal.COMMITTED)

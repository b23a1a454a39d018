"""The outcome journal: learns from the connection what became of each write.

A write is pending until its transaction ends. The journal lies in the connection's `info`,
with a frame per savepoint, and is finalised by what the dialect's `do_commit` and
`do_rollback` really did, not by the engine's events, which fire before COMMIT is sent.
PostgreSQL rolls a transaction back at COMMIT once a statement in it has failed; such a
transaction is marked as poisoned.
"""

import weakref
from collections.abc import Hashable, Iterable, MutableMapping, Sequence
from typing import Any, Protocol

from leadlog.core.clock import new_id
from leadlog.recording.pipeline import get_logger, report_failure
from leadlog_processors import forks

_log = get_logger()
_KEY = "leadlog_transaction"

COMMITTED = "committed"
ROLLED_BACK = "rolled_back"
SAVEPOINT_ROLLED_BACK = "savepoint_rolled_back"
COMMIT_FAILED = "commit_failed"
FAILED = "failed"
UNKNOWN = "unknown"

Info = MutableMapping[Any, Any]
"""A pooled connection's `info`."""


class Pending(Protocol):
    """A write that waits for the end of its transaction.

    Attributes:
        follows: whether it is a read instead, which only keeps its place among the writes.
    """

    @property
    def follows(self) -> bool:
        """As above."""
        ...

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Told once per frame that it was added to; never raises."""
        ...


class Intent:
    """What was noted of a transaction before COMMIT, until all of its records are written.

    Args:
        token: of the note.
        waiting: records that are still to be written.
    """

    __slots__ = ("_token", "_waiting")

    def __init__(self, token: object, waiting: int) -> None:
        self._token = token
        self._waiting = waiting

    def strike_out(self) -> None:
        """Told of each record that is written; with the last one the note goes."""
        self._waiting -= 1
        if self._waiting <= 0:
            _log.settle(self._token)


class Noted(Protocol):
    """An operation as far as notes are concerned.

    Attributes:
        intents: what is struck out when its record is written.
    """

    intents: Sequence[Intent]

    def intended(self, *, brief: bool = False) -> tuple[str, bytes]:
        """Category and frame of the record that it gets if this process dies now."""
        ...


def note(operations: Iterable[Noted]) -> None:
    """Note the records of writes that no COMMIT will follow, before they are done.

    Args:
        operations: what writes; noted anew, if they were before.
    """
    found = list(operations)
    if not found:
        return
    token = _log.intend(
        [one.intended() for one in found], lambda: [one.intended(brief=True) for one in found]
    )
    if token is None:
        return
    intent = Intent(token, len(found))
    for one in found:
        before, one.intents = one.intents, (intent,)
        for other in before:
            other.strike_out()


class JournalOverflow(Pending, Protocol):
    """What stands for the writes of one kind that came after a transaction's journal was full."""

    def absorb(self, other: Any) -> None:
        """Takes over what another one of the same kind stands for."""
        ...


class _Frame:
    """What was written since a savepoint, or since the transaction began."""

    __slots__ = ("name", "pendings", "rests")

    def __init__(self, name: str) -> None:
        self.name = name
        self.pendings: list[Pending] = []
        self.rests: dict[Hashable, JournalOverflow] = {}


class Transaction:
    """The pending writes of one database transaction.

    Attributes:
        transaction_id: identifier that its records share.
        poisoned: whether COMMIT would roll it back.
        committing: whether COMMIT was sent and its answer is not known yet.
        commit_failed: whether a COMMIT failed and left the transaction open.
        prepared: whether it waits for the second phase, and the driver has no transaction any more.
        count: writes noted so far.
        followers: reads that wait for the records of the writes before them.
    """

    __slots__ = (
        *("__weakref__", "_frames", "_note", "commit_failed", "committing", "count", "dialect"),
        "followers",
        "poisoned",
        "prepared",
        "transaction_id",
    )

    def __init__(self, dialect: object) -> None:
        self.dialect = weakref.ref(dialect)
        self.transaction_id = new_id()
        self.poisoned = False
        self.committing = False
        self.commit_failed = False
        self.prepared = False
        self.count = 0
        self.followers = 0
        self._frames = [_Frame("")]
        self._note: object = None

    def add(self, pending: Pending) -> bool:
        """Notes a write in the innermost frame.

        Returns:
            Whether it was not there yet.
        """
        pendings = self._frames[-1].pendings
        if pendings and pendings[-1] is pending:
            return False
        pendings.append(pending)
        self.count += 1
        return True

    def follow(self, pending: Pending) -> None:
        """Note a read, which keeps its place among the writes."""
        self._frames[-1].pendings.append(pending)
        self.followers += 1

    def last(self) -> Pending | None:
        """The last write of the innermost frame."""
        pendings = self._frames[-1].pendings
        return pendings[-1] if pendings else None

    @property
    def is_waiting(self) -> bool:
        """Whether there are writes without an outcome."""
        return any(frame.pendings for frame in self._frames)

    def rest(self, kind: Hashable) -> JournalOverflow | None:
        """What stands for the writes of that kind that the innermost frame does not list."""
        return self._frames[-1].rests.get(kind)

    def add_rest(self, kind: Hashable, rest: JournalOverflow) -> None:
        """Notes what will stand for the further writes of that kind in the innermost frame."""
        self._frames[-1].pendings.append(rest)
        self._frames[-1].rests[kind] = rest

    def savepoint(self, name: str) -> None:
        """Opens a frame."""
        self._frames.append(_Frame(name))

    def _has(self, name: str) -> bool:
        return any(frame.name == name for frame in self._frames[1:])

    def release(self, name: str) -> None:
        """Merges the frames down to savepoint `name` into the one around them."""
        while self._has(name):
            frame = self._frames.pop()
            self._merge(frame)
            if frame.name == name:
                return

    def _merge(self, inner: _Frame) -> None:
        outer = self._frames[-1]
        known = {id(pending) for pending in outer.pendings} if inner.pendings else ()
        for kind, rest in inner.rests.items():
            if kind in outer.rests:
                outer.rests[kind].absorb(rest)
                inner.pendings.remove(rest)
            else:
                outer.rests[kind] = rest
        for pending in inner.pendings:
            if id(pending) in known:
                pending.resolve(COMMITTED, self.transaction_id)
            else:
                outer.pendings.append(pending)

    def begins_with(self, name: str) -> bool:
        """Whether nothing was written before savepoint `name`, nor is another one around it."""
        frames = self._frames
        return len(frames) > 1 and frames[1].name == name and not frames[0].pendings

    def rollback_to(self, name: str) -> None:
        """Finalises what came after savepoint `name`, which stays open."""
        while self._has(name):
            frame = self._frames.pop()
            self._tell([frame], SAVEPOINT_ROLLED_BACK)
            if frame.name == name:
                self._frames.append(_Frame(name))
                break
        self.poisoned = False

    def intend(self) -> None:
        """Note the records of its writes, so that no kill during COMMIT leaves them out."""
        try:
            self.forget()
            found = [pending for frame in self._frames for pending in frame.pendings]
            # A read that waits for the writes before it intends nothing.
            makers = [make for one in found if (make := getattr(one, "intended", None))]
            if makers:
                self._note = _log.intend(
                    [make() for make in makers], lambda: [make(brief=True) for make in makers]
                )
        except Exception as error:  # noqa: BLE001 - a hook that raises would fail the COMMIT
            report_failure(error)

    def forget(self) -> None:
        """Strike out what was noted for a COMMIT that did not end the transaction."""
        note, self._note = self._note, None
        if note is not None:
            _log.settle(note)

    def finalise(self, outcome: str) -> None:
        """Tells every pending write what became of it."""
        frames, self._frames = self._frames, [_Frame("")]
        pendings = self._tell(frames, outcome)
        if self._note is None:
            return
        open_calls = [pending for pending in pendings if not getattr(pending, "recorded", True)]
        if not open_calls:
            self.forget()
            return
        intent, self._note = Intent(self._note, len(open_calls)), None
        for pending in open_calls:
            pending.intents = (*pending.intents, intent)  # type: ignore[attr-defined]

    def _tell(self, frames: list[_Frame], outcome: str) -> list[Pending]:
        pendings = [pending for frame in frames for pending in frame.pendings]
        if outcome != COMMITTED and self.followers:
            # What was read is told while the log still takes the writes for done.
            pendings.sort(key=lambda pending: not pending.follows)
        for pending in pendings:
            pending.resolve(outcome, self.transaction_id)
        return pendings


_open: weakref.WeakSet[Transaction] = weakref.WeakSet()


def settle_open() -> None:
    """Settle the transactions that are open when the process ends.

    The database rolls them back, unless an exit function that comes later commits them.
    """
    for transaction in list(_open):
        transaction.finalise(UNKNOWN)


forks.in_child(_open.clear)  # they are the parent's


def any_open() -> bool:
    """Whether any connection of the process has a journal."""
    return len(_open) > 0


def is_waiting_on(dialect: object) -> bool:
    """Whether a transaction of that engine has writes without an outcome."""
    return any(one.is_waiting for one in list(_open) if one.dialect() is dialect)


def find(info: Info) -> Transaction | None:
    """The journal of a connection, by its `info`; None where it has none."""
    return info.get(_KEY)


def transaction_of(info: Info, dialect: object) -> Transaction:
    """The journal of a connection, by its `info`; a new one where there is none.

    Args:
        info: the connection's `info`.
        dialect: the engine's; not kept alive.
    """
    found: Transaction | None = info.get(_KEY)
    if found is None:
        found = info[_KEY] = Transaction(dialect)
        _open.add(found)
    return found


def intend(info: Info) -> None:
    """Notes what a COMMIT that is about to be sent makes true."""
    transaction: Transaction | None = info.get(_KEY)
    if transaction is not None and not transaction.poisoned:
        transaction.intend()


def forget(info: Info) -> None:
    """Strikes out what was noted, where the transaction goes on."""
    transaction: Transaction | None = info.get(_KEY)
    if transaction is not None:
        transaction.forget()


def commits(info: Info) -> None:
    """Notes that COMMIT is being sent."""
    transaction: Transaction | None = info.get(_KEY)
    if transaction is not None:
        intend(info)
        transaction.committing = True


def ended_elsewhere(info: Info) -> None:
    """Notes that the driver has no transaction, before SQLAlchemy has ended it.

    The driver's own `commit` or `rollback` did; nobody knows which.
    """
    transaction: Transaction | None = info.get(_KEY)
    if transaction is not None and not transaction.prepared:
        transaction.poisoned = transaction.committing = False
        finalise(info, UNKNOWN)


def commit_failed(info: Info, *, still_open: bool) -> None:
    """Notes that the database refused a COMMIT.

    Args:
        info: the connection's `info`.
        still_open: whether the transaction lives on, as SQLite's does while somebody reads.
    """
    transaction: Transaction | None = info.get(_KEY)
    if transaction is None:
        return
    if still_open:
        transaction.committing = False
        transaction.commit_failed = True
        transaction.forget()
    else:
        finalise(info, COMMIT_FAILED)


def finalise(info: Info, outcome: str) -> None:
    """Ends the journal of a connection; does nothing where there is none.

    Args:
        info: the connection's `info`.
        outcome: what the database did; COMMIT of a poisoned transaction is a rollback.
    """
    transaction: Transaction | None = info.pop(_KEY, None)
    if transaction is None:
        return
    if outcome == COMMITTED and transaction.poisoned:
        outcome = ROLLED_BACK
    elif outcome == ROLLED_BACK and transaction.committing:
        outcome = UNKNOWN  # interrupted between COMMIT and its answer
    elif outcome == ROLLED_BACK and transaction.commit_failed:
        outcome = COMMIT_FAILED
    transaction.finalise(outcome)

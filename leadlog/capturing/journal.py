"""The outcome journal: learns from the connection what became of each write.

A write is pending until its transaction ends. The journal lies in the connection's `info`,
with a frame per savepoint, and is finalised by what the dialect's `do_commit` and
`do_rollback` really did, not by the engine's events, which fire before COMMIT is sent.
PostgreSQL rolls a transaction back at COMMIT once a statement in it has failed; such a
transaction is marked as poisoned.
"""

from collections.abc import MutableMapping
from typing import Any, Protocol

from leadlog.clock import new_id

_KEY = "leadlog_transaction"

COMMITTED = "committed"
ROLLED_BACK = "rolled_back"
SAVEPOINT_ROLLED_BACK = "savepoint_rolled_back"
COMMIT_FAILED = "commit_failed"
UNKNOWN = "unknown"


class Pending(Protocol):
    """A write that waits for the end of its transaction."""

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Told once per frame that it was added to; never raises."""
        ...


class Transaction:
    """The pending writes of one database transaction.

    Attributes:
        committing: whether COMMIT was sent and its answer is not known yet.
        transaction_id: identifier that its records share.
        poisoned: whether COMMIT would roll it back.
    """

    __slots__ = ("_frames", "committing", "poisoned", "transaction_id")

    def __init__(self) -> None:
        self.transaction_id = new_id()
        self.poisoned = False
        self.committing = False
        self._frames: list[tuple[str, list[Pending]]] = [("", [])]

    def add(self, pending: Pending) -> bool:
        """Notes a write in the innermost frame.

        Returns:
            Whether it was not there yet.
        """
        if self.last() is pending:
            return False
        self._frames[-1][1].append(pending)
        return True

    def last(self) -> Pending | None:
        """The last write of the innermost frame."""
        frame = self._frames[-1][1]
        return frame[-1] if frame else None

    def savepoint(self, name: str) -> None:
        """Opens a frame."""
        self._frames.append((name, []))

    def release(self, name: str) -> None:
        """Merges the frames down to savepoint `name` into the one around them."""
        while len(self._frames) > 1:
            inner, pendings = self._frames.pop()
            outer = self._frames[-1][1]
            for pending in pendings:
                if any(known is pending for known in outer):
                    pending.resolve(COMMITTED, self.transaction_id)
                else:
                    outer.append(pending)
            if inner == name:
                return

    def rollback_to(self, name: str) -> None:
        """Finalises the frames down to savepoint `name`, which stays open."""
        while len(self._frames) > 1:
            inner, pendings = self._frames.pop()
            for pending in pendings:
                pending.resolve(SAVEPOINT_ROLLED_BACK, self.transaction_id)
            if inner == name:
                break
        self.poisoned = False

    def finalise(self, outcome: str) -> None:
        """Tells every pending write what became of it."""
        frames, self._frames = self._frames, [("", [])]
        for _, pendings in frames:
            for pending in pendings:
                pending.resolve(outcome, self.transaction_id)


def transaction_of(info: MutableMapping[Any, Any]) -> Transaction:
    """The journal of a connection, by its `info`; a new one where there is none."""
    found: Transaction | None = info.get(_KEY)
    if found is None:
        found = info[_KEY] = Transaction()
    return found


def has(info: MutableMapping[Any, Any], pending: Pending) -> bool:
    """Whether the last write that a connection's journal noted is this one's."""
    transaction: Transaction | None = info.get(_KEY)
    return transaction is not None and transaction.last() is pending


def commits(info: MutableMapping[Any, Any]) -> None:
    """Notes that COMMIT is being sent."""
    transaction: Transaction | None = info.get(_KEY)
    if transaction is not None:
        transaction.committing = True


def finalise(info: MutableMapping[Any, Any], outcome: str) -> None:
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
    transaction.finalise(outcome)

"""The outcome journal: the outcome of each write, and the drivers' view of their transactions.

A write is pending until its transaction ends. The journal is kept in the connection's `info`,
with a frame per savepoint. It is finalised by the results of the dialect's `do_commit` and
`do_rollback`, not by the engine's events, which fire before COMMIT is sent.

Drivers are asked for the transaction's state, because it cannot be inferred: with AUTOCOMMIT, and
on SQLite after RELEASE of an outermost savepoint, writes are committed although no COMMIT was sent.
PostgreSQL rolls a transaction back at COMMIT once a statement in it has failed; such a transaction
is marked as poisoned.
"""

import re
import weakref
from collections.abc import Callable, Hashable, Iterable, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import PoolProxiedConnection

from leadlog.core.clock import new_id
from leadlog.recording.pipeline import get_logger, report_failure
from leadlog_processors import forks

if TYPE_CHECKING:
    from leadlog.recording.capture.operation import Operation


class TransactionState(Enum):
    """State of a connection's transaction, as reported by its driver."""

    NONE = "none"
    OPEN = "open"
    FAILED = "failed"
    UNKNOWN = "unknown"


_LIBPQ = dict(enumerate(map(TransactionState, ("none", "open", "open", "failed", "unknown"))))
"""libpq's PGTransactionStatusType: idle, active, in a transaction, in a failed one, unknown."""


def _sqlite(driver: Any) -> TransactionState:
    return TransactionState.OPEN if driver.in_transaction else TransactionState.NONE


def _psycopg(driver: Any) -> TransactionState:
    return _LIBPQ[driver.pgconn.transaction_status]


def _psycopg2(driver: Any) -> TransactionState:
    return _LIBPQ[driver.get_transaction_status()]


def _asyncpg(driver: Any) -> TransactionState:
    return TransactionState.OPEN if driver.is_in_transaction() else TransactionState.NONE


def _pymysql(driver: Any) -> TransactionState:
    in_transaction = driver.server_status & 1  # SERVER_STATUS_IN_TRANS
    return TransactionState.OPEN if in_transaction else TransactionState.NONE


def _unknown(_driver: Any) -> TransactionState:
    return TransactionState.UNKNOWN


_ASK: dict[str, Callable[[Any], TransactionState]] = {
    "pysqlite": _sqlite,
    "aiosqlite": _sqlite,
    "psycopg": _psycopg,
    "psycopg_async": _psycopg,
    "psycopg2": _psycopg2,
    "asyncpg": _asyncpg,
    "pymysql": _pymysql,
}


def asker(dialect: Dialect) -> Callable[[PoolProxiedConnection], TransactionState]:
    """Return a function that returns the state of a connection's transaction and never raises.

    Args:
        dialect: the engine's dialect; for an unknown driver the state is unknown, unless SQLAlchemy
            detects that the connection is in autocommit mode.
    """
    ask = _ASK.get(getattr(dialect, "driver", ""), _unknown)  # a custom dialect may have none
    detect = getattr(dialect, "detect_autocommit_setting", None) if ask is _unknown else None

    def state(connection: PoolProxiedConnection) -> TransactionState:
        try:
            if detect is not None:
                alone = detect(connection.dbapi_connection)
                return TransactionState.NONE if alone else TransactionState.UNKNOWN
            return ask(connection.driver_connection)
        except Exception:  # noqa: BLE001 - a closed connection may fail in any way
            return TransactionState.UNKNOWN

    return state


_BEGUN = re.compile(
    r"(?:\s|--[^\n]*|/\*.*?\*/)*(?:insert|update|delete|replace)\b", re.IGNORECASE | re.DOTALL
)
"""Statements before which SQLite's driver begins a transaction itself."""


def _sqlite_commits(driver: Any, statement: str) -> bool:
    if driver.in_transaction:
        return False
    if getattr(driver, "autocommit", -1) is True:  # Python 3.12's own setting
        return True
    return driver.isolation_level is None or _BEGUN.match(statement) is None


def _postgres_commits(driver: Any, _statement: str) -> bool:
    ask = _psycopg if hasattr(driver, "pgconn") else _psycopg2
    return driver.autocommit and ask(driver) is TransactionState.NONE


_COMMITS: dict[str, Callable[[Any, str], bool]] = {
    "pysqlite": _sqlite_commits,
    "aiosqlite": _sqlite_commits,
    "psycopg": _postgres_commits,
    "psycopg_async": _postgres_commits,
    "psycopg2": _postgres_commits,
}


def committer(dialect: Dialect) -> Callable[[PoolProxiedConnection, str], bool]:
    """Return a function that returns whether a write commits at once and never raises.

    Args:
        dialect: the engine's dialect; for an unknown driver, SQLAlchemy's detection is used.
    """
    ask = _COMMITS.get(getattr(dialect, "driver", ""))
    detect = getattr(dialect, "detect_autocommit_setting", None)
    state = asker(dialect)

    def commits(connection: PoolProxiedConnection, statement: str) -> bool:
        try:
            if ask is not None:
                return bool(ask(connection.driver_connection, statement))
            if detect is None or not detect(connection.dbapi_connection):
                return False
            return state(connection) is TransactionState.NONE
        except Exception:  # noqa: BLE001 - a closed connection may fail in any way
            return False

    return commits


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
        follows: whether it is a read instead, kept only for its place among the writes.
    """

    follows: bool

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Note an outcome; called once per frame that it was added to. Never raises."""
        ...


@attrs.define(eq=False)
class Intent:
    """The note of a transaction's records made before COMMIT, kept until all are written.

    Args:
        token: identifies the note.
        waiting: number of records not yet written.
    """

    _token: object
    _waiting: int

    def strike_out(self) -> None:
        """Note that a record is written; remove the note with the last one."""
        self._waiting -= 1
        if self._waiting <= 0:
            _log.settle(self._token)


def note(operations: "Iterable[Operation]") -> None:
    """Note the records of writes that no COMMIT will follow, before they are executed.

    Args:
        operations: the writing operations; an earlier note of one is replaced.
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
    """Summary of the writes of one kind made after a transaction's journal was full."""

    def absorb(self, other: Any) -> None:
        """Merge another summary of the same kind into this one."""
        ...


@attrs.define(eq=False)
class _Frame:
    """The writes since a savepoint, or since the beginning of the transaction."""

    name: str
    pendings: list[Pending] = attrs.field(init=False, factory=list)
    rests: dict[Hashable, JournalOverflow] = attrs.field(init=False, factory=dict)


class Transaction:
    """The pending writes of one database transaction.

    Attributes:
        transaction_id: identifier shared by its records.
        poisoned: whether COMMIT would roll it back.
        committing: whether COMMIT was sent and its result is not known yet.
        commit_failed: whether a COMMIT failed and the transaction stayed open.
        prepared: whether it waits for the second phase and the driver no longer has it.
        count: writes noted so far.
        followers: reads that wait for the records of the writes before them.
    """

    __slots__ = (
        *("__weakref__", "_frames", "_note", "commit_failed", "committing", "count", "dialect"),
        *("followers", "poisoned", "prepared", "transaction_id"),
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
        """Add a write to the innermost frame.

        Returns:
            Whether the write was new there.
        """
        pendings = self._frames[-1].pendings
        if pendings and pendings[-1] is pending:
            return False
        pendings.append(pending)
        self.count += 1
        return True

    def follow(self, pending: Pending) -> None:
        """Add a read, which keeps its place among the writes."""
        self._frames[-1].pendings.append(pending)
        self.followers += 1

    def last(self) -> Pending | None:
        """Return the last write of the innermost frame."""
        pendings = self._frames[-1].pendings
        return pendings[-1] if pendings else None

    @property
    def is_waiting(self) -> bool:
        """Whether there are writes without an outcome."""
        return any(frame.pendings for frame in self._frames)

    def rest(self, kind: Hashable) -> JournalOverflow | None:
        """Return the innermost frame's summary of excess writes of that kind, if any."""
        return self._frames[-1].rests.get(kind)

    def add_rest(self, kind: Hashable, rest: JournalOverflow) -> None:
        """Add a summary of the further writes of that kind to the innermost frame."""
        self._frames[-1].pendings.append(rest)
        self._frames[-1].rests[kind] = rest

    def savepoint(self, name: str) -> None:
        """Open a frame for a savepoint."""
        self._frames.append(_Frame(name))

    def _has(self, name: str) -> bool:
        return any(frame.name == name for frame in self._frames[1:])

    def release(self, name: str) -> None:
        """Merge the frames from savepoint `name` inwards into the frame around it."""
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
        """Return whether savepoint `name` is outermost and nothing was written before it."""
        frames = self._frames
        return len(frames) > 1 and frames[1].name == name and not frames[0].pendings

    def rollback_to(self, name: str) -> None:
        """Finalise the writes after savepoint `name`, which stays open."""
        while self._has(name):
            frame = self._frames.pop()
            self._tell([frame], SAVEPOINT_ROLLED_BACK)
            if frame.name == name:
                self._frames.append(_Frame(name))
                break
        self.poisoned = False

    def intend(self) -> None:
        """Note the records of its writes, so that a kill during COMMIT does not lose them."""
        try:
            self.forget()
            found = [pending for frame in self._frames for pending in frame.pendings]
            # A read that waits for the writes before it has nothing to note.
            makers = [make for one in found if (make := getattr(one, "intended", None))]
            if makers:
                self._note = _log.intend(
                    [make() for make in makers], lambda: [make(brief=True) for make in makers]
                )
        except Exception as error:  # noqa: BLE001 - a hook that raises would fail the COMMIT
            report_failure(error)

    def forget(self) -> None:
        """Withdraw the note made for a COMMIT that did not end the transaction."""
        note, self._note = self._note, None
        if note is not None:
            _log.settle(note)

    def finalise(self, outcome: str) -> None:
        """Give every pending write its outcome."""
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
            # Record reads first, while readers of the log still assume the writes took place.
            pendings.sort(key=lambda pending: not pending.follows)
        for pending in pendings:
            pending.resolve(outcome, self.transaction_id)
        return pendings


_open: weakref.WeakSet[Transaction] = weakref.WeakSet()


def settle_open() -> None:
    """Settle the transactions that are still open when the process ends.

    The database rolls them back, unless a later exit function commits them.
    """
    for transaction in list(_open):
        transaction.finalise(UNKNOWN)


forks.in_child(_open.clear)  # these belong to the parent


def any_open() -> bool:
    """Return whether any connection of the process has a journal."""
    return len(_open) > 0


def is_waiting_on(dialect: object) -> bool:
    """Return whether a transaction of an engine has writes without an outcome."""
    return any(one.is_waiting for one in list(_open) if one.dialect() is dialect)


def find(info: Info) -> Transaction | None:
    """Return the journal in a connection's `info`; None if there is none."""
    return info.get(_KEY)


def transaction_of(info: Info, dialect: object) -> Transaction:
    """Return the journal in a connection's `info`, creating it if there is none.

    Args:
        info: the connection's `info`.
        dialect: the engine's dialect, weakly referenced.
    """
    found: Transaction | None = info.get(_KEY)
    if found is None:
        found = info[_KEY] = Transaction(dialect)
        _open.add(found)
    return found


def intend(info: Info) -> None:
    """Note the records of the writes that a COMMIT is about to make durable."""
    if (transaction := find(info)) is not None and not transaction.poisoned:
        transaction.intend()


def forget(info: Info) -> None:
    """Withdraw the note of a transaction that continues."""
    if (transaction := find(info)) is not None:
        transaction.forget()


def commits(info: Info) -> None:
    """Note that COMMIT is being sent."""
    if (transaction := find(info)) is not None:
        intend(info)
        transaction.committing = True


def set_aside(info: Info) -> Transaction | None:
    """Remove the journal from a connection's `info` while other transactions end there."""
    found: Transaction | None = info.pop(_KEY, None)
    return found


def put_back(info: Info, transaction: Transaction | None) -> None:
    """Undo `set_aside`."""
    if transaction is not None:
        info[_KEY] = transaction


def ended_elsewhere(info: Info) -> None:
    """Note that the driver has no transaction although SQLAlchemy has not ended it.

    The application called the driver's `commit` or `rollback`; which one is unknown.
    """
    if (transaction := find(info)) is not None and not transaction.prepared:
        finalise(info, UNKNOWN)


def commit_failed(info: Info, *, still_open: bool) -> None:
    """Note that the database refused a COMMIT.

    Args:
        info: the connection's `info`.
        still_open: whether the transaction stays open, as SQLite's does while others read.
    """
    if (transaction := find(info)) is None:
        return
    if still_open:
        transaction.committing = False
        transaction.commit_failed = True
        transaction.forget()
    else:
        finalise(info, COMMIT_FAILED)


def finalise(info: Info, outcome: str) -> None:
    """End the journal of a connection; do nothing if there is none.

    Args:
        info: the connection's `info`.
        outcome: outcome in the database; COMMIT of a poisoned transaction is a rollback.
    """
    transaction: Transaction | None = info.pop(_KEY, None)
    if transaction is None:
        return
    if outcome == COMMITTED and transaction.poisoned:
        outcome = ROLLED_BACK
    elif outcome == ROLLED_BACK and (transaction.committing or transaction.prepared):
        outcome = UNKNOWN  # interrupted before its result, or any client may commit it later
    elif outcome == ROLLED_BACK and transaction.commit_failed:
        outcome = COMMIT_FAILED
    transaction.finalise(outcome)

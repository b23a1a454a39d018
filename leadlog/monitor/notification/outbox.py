"""Messages to deliver: stored in SQLite until accepted, with one thread per channel.

A message is written in the transaction of the state that causes it, so a kill neither loses nor
duplicates it. Between the moment at which a server accepts it and the record of that there is a gap
that no client can close: a message that was being sent when the monitor died is sent again, and
says that it may have been delivered before.

If the database cannot be written (such as on a full disk, which must be reported), messages are
sent nevertheless; after a kill in that state they may be sent again.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from leadlog.core.clock import now_us
from leadlog.monitor.notification.channels import DeliveryError, NotificationChannel

__all__ = ["Message", "Outbox", "create"]

_FIRST_RETRY: Final = 5.0
_LONGEST_RETRY: Final = 900.0
_GIVE_UP_US: Final = 24 * 3600 * 1_000_000
_KEPT: Final = 1000
_AGAIN: Final = (
    "(leadlog was stopped while it sent this message; it may have reached you before.)\n\n"
)

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, target TEXT NOT NULL, "
    "title TEXT NOT NULL, body TEXT NOT NULL, severity TEXT NOT NULL, "
    "created_us INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, "
    "error TEXT NOT NULL)"
)
_WRITE: Final = "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


@attrs.define
class Message:
    """One message to one channel.

    Attributes:
        id: number of the message.
        target: hash of the channel's URL.
        title: first line.
        body: the rest.
        severity: info, warning or critical.
        created_us: time of creation, microseconds since 1970.
        state: `waiting`, `sending`, `sent` or `given_up`.
        attempts: number of attempts.
        error: why the last attempt failed, or "".
    """

    id: int
    target: str
    title: str
    body: str
    severity: str
    created_us: int
    state: str = "waiting"
    attempts: int = 0
    error: str = ""


def create(connection: sqlite3.Connection) -> None:
    """Create the table if it is missing."""
    connection.execute(_SCHEMA)


class Outbox:
    """Accepts messages from the monitor and delivers them.

    Each channel gets its messages in order; a message that is not accepted is retried after 5 s,
    then at growing intervals, and given up after a day. Each channel has a queue and a thread, so
    none waits for another.

    Args:
        path: path of the database.
        channels: by hash of their URLs.
        clock: returns microseconds since 1970.
        monotonic: returns seconds, for the time between attempts.
        notice: called with one line of text for the operator.
    """

    def __init__(
        self,
        path: Path,
        channels: Mapping[str, NotificationChannel],
        *,
        clock: Callable[[], int] = now_us,
        monotonic: Callable[[], float],
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = path
        self.channels = channels
        self._clock = clock
        self._monotonic = monotonic
        self._notice = notice
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._next_id = 1
        self._staged: list[Message] = []
        self._queues: dict[str, list[Message]] = {target: [] for target in channels}
        self._due: dict[str, float] = dict.fromkeys(channels, 0.0)
        self._unsaved: dict[int, Message] = {}
        self._written: list[tuple[Any, ...]] = []
        self._stopped = False
        self._threads: list[threading.Thread] = []

    # ------------------------------------------------------------------------- the monitor's side

    def load(self, connection: sqlite3.Connection) -> None:
        """Load the messages of an earlier monitor; give up those whose channel no longer exists."""
        (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()
        self._next_id = newest + 1
        rows = connection.execute(
            "SELECT * FROM outbox WHERE state IN ('waiting', 'sending') ORDER BY id"
        )
        for row in rows:
            message = Message(*row)
            if message.target not in self.channels:
                message.state, message.error = "given_up", "its URL is no longer set"
                self._unsaved[message.id] = message
                continue
            if message.state == "sending":
                message.state, message.body = "waiting", _AGAIN + message.body
            self._queues[message.target].append(message)

    def stage(self, title: str, body: str, severity: str) -> None:
        """Create a message for every channel; it is delivered after `release`."""
        for target in self.channels:
            self._staged.append(
                Message(self._next_id, target, title, body, severity, self._clock())
            )
            self._next_id += 1

    def save(self, connection: sqlite3.Connection) -> None:
        """Write new messages into the open transaction; call `release` after the commit."""
        with self._lock:
            self._written = [attrs.astuple(one) for one in self._unsaved.values()]
        connection.executemany(
            _WRITE, [*self._written, *(attrs.astuple(one) for one in self._staged)]
        )
        if self._staged:
            connection.execute(
                "DELETE FROM outbox WHERE state IN ('sent', 'given_up') AND id < ?",
                (self._next_id - _KEPT,),
            )

    def release(self, *, saved: bool) -> None:
        """Hand new messages to the threads.

        Args:
            saved: whether the transaction was committed; if not, the next `save` writes them again.
        """
        with self._news:
            if saved:
                for row in self._written:
                    if attrs.astuple(self._unsaved[row[0]]) == row:
                        del self._unsaved[row[0]]
            else:
                self._unsaved.update({one.id: one for one in self._staged})
            for one in self._staged:
                self._queues[one.target].append(one)
            self._staged = []
            self._news.notify_all()

    # --------------------------------------------------------------------------- the threads' side

    def start(self) -> None:
        """Start a thread for each channel."""
        if self._threads:
            return
        self._threads = [
            threading.Thread(
                target=self._run, args=(target,), name=f"leadlog-notify-{number}", daemon=True
            )
            for number, target in enumerate(self.channels, 1)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop the threads; each completes its current delivery.

        Args:
            timeout: seconds to wait for all of them together.
        """
        with self._news:
            self._stopped = True
            self._news.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))

    def waiting(self) -> int:
        """Return the number of undelivered messages."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def _run(self, target: str) -> None:
        while True:
            with self._news:
                if self._stopped:
                    return
                message, pause = self._next(target)
                if message is None:
                    self._news.wait(pause)
                    continue
            self._deliver(message)

    def deliver_due(self) -> int:
        """Deliver due messages and wait for that; return the number of attempts."""
        with self._lock:
            due = [target for target in self.channels if self._next(target)[0] is not None]
        if len(due) < 2:
            return sum(map(self._deliver_all, due))
        with ThreadPoolExecutor(len(due), "leadlog-notify") as threads:
            return sum(threads.map(self._deliver_all, due))

    def _deliver_all(self, target: str) -> int:
        attempts = 0
        while True:
            with self._lock:
                message, _ = self._next(target)
            if message is None:
                return attempts
            self._deliver(message)
            attempts += 1

    def _next(self, target: str) -> tuple[Message | None, float | None]:
        """Return the due message, or the seconds until one is due; None if the queue is empty."""
        queue = self._queues[target]
        if not queue:
            return None, None
        pause = self._due[target] - self._monotonic()
        return (queue[0], None) if pause <= 0 else (None, pause)

    def _deliver(self, message: Message) -> None:
        channel = self.channels[message.target]
        self._set(message, "sending", message.attempts + 1, message.error)
        try:
            channel.send(message.title, message.body, message.severity)
        except DeliveryError as error:
            self._failed(message, channel.name, str(error))
        except Exception as error:  # noqa: BLE001 - a foreign channel must not end the thread
            self._failed(message, channel.name, type(error).__name__)
        else:
            with self._lock:
                self._queues[message.target].remove(message)
                self._due[message.target] = 0.0
            self._set(message, "sent", message.attempts, "")

    def _failed(self, message: Message, name: str, error: str) -> None:
        pause = min(_FIRST_RETRY * 2 ** (message.attempts - 1), _LONGEST_RETRY)
        over = self._clock() - message.created_us > _GIVE_UP_US
        with self._lock:
            self._due[message.target] = 0.0 if over else self._monotonic() + pause
            if over:
                self._queues[message.target].remove(message)
        self._set(message, "given_up" if over else "waiting", message.attempts, error)
        what = "given up" if over else f"trying again in {pause:.0f} s"
        self._notice(f"{name} did not accept {message.title!r}: {error}; {what}")

    def _set(self, message: Message, state: str, attempts: int, error: str) -> None:
        """Change a message and write it; if that fails, the monitor writes it later."""
        with self._lock:
            message.state, message.attempts, message.error = state, attempts, error
            row = attrs.astuple(message)
        try:
            with closing(sqlite3.connect(self._path, timeout=5.0)) as connection, connection:
                connection.execute(_WRITE, row)
        except sqlite3.Error:
            with self._lock:
                self._unsaved[message.id] = message

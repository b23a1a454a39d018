"""Errors by fingerprint: first and last occurrence, recent frequency, and origin."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from sqlite3 import Connection
from typing import Any, Final

import attrs
import orjson

__all__ = ["MOST_SESSIONS", "Fingerprint", "Fingerprints", "frames_of"]

_MOST: Final = 10_000
_HOURS_KEPT: Final = 7 * 24
_MINUTES_KEPT: Final = 60
MOST_SESSIONS: Final = 100
"""Largest number of sessions kept per error."""
_MOST_FRAMES: Final = 3
_FRAME: Final = re.compile(r'File "([^"\n]{1,500})", line (\d+), in (\S+)')
_LIBRARIES: Final = re.compile(r"site-packages|dist-packages|[/\\]lib[/\\]python|[/\\]leadlog[/\\]")

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS fingerprints "
    "(fingerprint TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID"
)


def frames_of(stack_trace: str) -> list[str]:
    """Return the innermost frames of the application, or of any code if it has none."""
    found = _FRAME.findall(stack_trace)
    own = [frame for frame in found if not _LIBRARIES.search(frame[0])] or found
    return [
        f"{PurePath(path).name}:{line} in {function}"
        for path, line, function in reversed(own[-_MOST_FRAMES:])
    ]


@attrs.define
class Fingerprint:
    """One kind of error.

    Attributes:
        fingerprint: identifies the kind of error.
        error_type: as in the record.
        message: message of the newest occurrence; masked, as in the record.
        first: minute since 1970 of the first known occurrence.
        before: minute of the last occurrence before the current spell; 0 for none.
        last: minute of the newest occurrence.
        spell: minute at which the current spell began, after a day without an occurrence.
        critical: whether an occurrence of the last hour was critical.
        operation: `Class.operation` of the newest occurrence, or "".
        frames: origin of the newest occurrence, innermost first, as `file.py:31 in function`.
        sessions: minute of the newest occurrence by session; at most 100 sessions.
        minutes: weight by minute during the last hour.
        hours: weight by hour during the last week.
    """

    fingerprint: str
    error_type: str = ""
    message: str = ""
    first: int = 0
    before: int = 0
    last: int = 0
    spell: int = 0
    critical: int = 0
    operation: str = ""
    frames: list[str] = attrs.field(factory=list)
    sessions: dict[str, int] = attrs.field(factory=dict)
    minutes: dict[int, float] = attrs.field(factory=dict)
    hours: dict[int, float] = attrs.field(factory=dict)

    def lately(self, now_minute: int) -> float:
        """Return the number of occurrences in the last hour."""
        return sum(
            weight
            for minute, weight in self.minutes.items()
            if now_minute - _MINUTES_KEPT < minute <= now_minute
        )

    def sessions_lately(self, now_minute: int) -> int:
        """Return the number of sessions affected in the last hour; 100 means 100 or more."""
        return sum(now_minute - _MINUTES_KEPT < at <= now_minute for at in self.sessions.values())

    def hourly(self, now_minute: int, known_since: int) -> float | None:
        """Return the hourly mean of the week before the last hour; None with less than a day."""
        this = now_minute // 60
        hours = min(_HOURS_KEPT, this - 1 - known_since // 60)
        if hours < 24:
            return None
        counted = (weight for hour, weight in self.hours.items() if this - hours <= hour < this - 1)
        return sum(counted) / hours

    def take(self, minute: int, weight: float) -> None:
        """Count an occurrence."""
        if not self.first:
            self.first = self.last = self.spell = minute
        elif minute - self.last > 1440:
            self.before, self.spell = self.last, minute
        self.first = min(self.first, minute)
        self.last = max(self.last, minute)
        if minute > self.last - _MINUTES_KEPT:
            self.minutes[minute] = self.minutes.get(minute, 0.0) + weight
        hour = minute // 60
        self.hours[hour] = self.hours.get(hour, 0.0) + weight
        if len(self.minutes) > _MINUTES_KEPT:
            old = self.last - _MINUTES_KEPT
            self.minutes = {at: one for at, one in self.minutes.items() if at > old}
        if len(self.hours) > _HOURS_KEPT:
            old = self.last // 60 - _HOURS_KEPT
            self.hours = {at: one for at, one in self.hours.items() if at > old}


class Fingerprints:
    """All kinds of error; beyond 10,000 the least recently seen are forgotten."""

    def __init__(self) -> None:
        self.known: dict[str, Fingerprint] = {}
        self._dirty: set[str] = set()
        self._forgotten: set[str] = set()

    def take(self, event: Mapping[str, Any], minute: int, weight: float, operation: str) -> None:
        """Count the error of an error_log record.

        Args:
            event: the record.
            minute: minute of its timestamp.
            weight: number of errors that it represents.
            operation: the `Class.operation` that failed; "" to use the one in the record.
        """
        details = event["error_details"]
        name = details.get("fingerprint")
        if type(name) is not str:
            return
        one = self.known.get(name)
        if one is None:
            if len(self.known) >= _MOST:
                self._forget()
            one = self.known[name] = Fingerprint(name)
            self._forgotten.discard(name)
        one.take(minute, weight)
        if minute == one.last:
            one.error_type = str(details.get("error_type") or "")
            one.message = str(details.get("error_message") or "")[:300]
            one.operation = operation or str(event["context"].get("operation_in_progress") or "")
            one.frames = frames_of(str(details.get("stack_trace") or ""))
        session = event.get("session_id")
        if type(session) is str and session:
            one.sessions.pop(session, None)
            one.sessions[session] = minute
            if len(one.sessions) > MOST_SESSIONS:
                del one.sessions[next(iter(one.sessions))]
        if details.get("severity") == "critical":
            one.critical = max(one.critical, minute)
        self._dirty.add(name)

    def _forget(self) -> None:
        """Evict a tenth of all entries, so that not every new one needs an eviction."""
        for name in sorted(self.known, key=lambda key: self.known[key].last)[: _MOST // 10]:
            del self.known[name]
            self._dirty.discard(name)
            self._forgotten.add(name)

    def load(self, connection: Connection) -> None:
        """Create the table if it is missing, and read it."""
        connection.execute(_SCHEMA)
        for name, data in connection.execute("SELECT fingerprint, data FROM fingerprints"):
            values = orjson.loads(data)
            for key in ("minutes", "hours"):
                values[key] = {int(at): weight for at, weight in values[key].items()}
            self.known[name] = Fingerprint(**values)

    def save(self, connection: Connection) -> None:
        """Write pending changes; call `saved` once they are committed."""
        connection.executemany(
            "DELETE FROM fingerprints WHERE fingerprint = ?", [(name,) for name in self._forgotten]
        )
        connection.executemany(
            "INSERT OR REPLACE INTO fingerprints VALUES (?, ?)",
            [
                (
                    name,
                    orjson.dumps(attrs.asdict(self.known[name]), option=orjson.OPT_NON_STR_KEYS),
                )
                for name in self._dirty
            ],
        )

    def saved(self) -> None:
        """Discard the pending changes after the commit."""
        self._dirty.clear()
        self._forgotten.clear()

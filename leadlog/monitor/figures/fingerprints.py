"""Errors by fingerprint: when each was first and last seen, how often lately, and where."""

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
"""Sessions that are kept of one error."""
_MOST_FRAMES: Final = 3
_FRAME: Final = re.compile(r'File "([^"\n]{1,500})", line (\d+), in (\S+)')
_LIBRARIES: Final = re.compile(r"site-packages|dist-packages|[/\\]lib[/\\]python|[/\\]leadlog[/\\]")

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS fingerprints "
    "(fingerprint TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID"
)


def frames_of(stack_trace: str) -> list[str]:
    """Return the innermost frames of the application, or of whatever else where it has none."""
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
        fingerprint: its name.
        error_type: as in the record.
        message: of the newest occurrence; masked, as in the record.
        first: minute since 1970 of the first occurrence that was seen.
        before: minute of the last occurrence before the present spell, 0 for none.
        last: minute of the newest one.
        spell: minute at which the present spell began: after a day without any.
        critical: whether one of the last hour was critical.
        operation: `Class.operation` of the newest occurrence, or "".
        frames: where the newest one came from, innermost first, as `file.py:31 in function`.
        sessions: session to the minute of its newest occurrence, at most 100 of them.
        minutes: minute to weight, of the last hour.
        hours: hour to weight, of the last week.
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
        """Return how many in the last hour."""
        return sum(
            weight
            for minute, weight in self.minutes.items()
            if now_minute - _MINUTES_KEPT < minute <= now_minute
        )

    def sessions_lately(self, now_minute: int) -> int:
        """Return how many sessions met it in the last hour; 100 means that many or more."""
        return sum(now_minute - _MINUTES_KEPT < at <= now_minute for at in self.sessions.values())

    def hourly(self, now_minute: int, known_since: int) -> float | None:
        """Mean number in an hour of the week before the last hour; None with less than a day."""
        this = now_minute // 60
        hours = min(_HOURS_KEPT, this - 1 - known_since // 60)
        if hours < 24:
            return None
        counted = (weight for hour, weight in self.hours.items() if this - hours <= hour < this - 1)
        return sum(counted) / hours

    def take(self, minute: int, weight: float) -> None:
        """Count one more."""
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
    """All kinds of error; of too many, those that were not seen for longest are forgotten."""

    def __init__(self) -> None:
        self.known: dict[str, Fingerprint] = {}
        self._dirty: set[str] = set()
        self._forgotten: set[str] = set()

    def take(self, event: Mapping[str, Any], minute: int, weight: float, operation: str) -> None:
        """Count the error of an error_log.

        Args:
            event: the record.
            minute: of its timestamp.
            weight: how many it stands for.
            operation: the `Class.operation` that failed; "" takes what the record says.
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
        """Make room for a tenth, so that this is not needed for each new one."""
        for name in sorted(self.known, key=lambda key: self.known[key].last)[: _MOST // 10]:
            del self.known[name]
            self._dirty.discard(name)
            self._forgotten.add(name)

    def load(self, connection: Connection) -> None:
        """Make the table where it is missing, and reads it."""
        connection.execute(_SCHEMA)
        for name, data in connection.execute("SELECT fingerprint, data FROM fingerprints"):
            values = orjson.loads(data)
            for key in ("minutes", "hours"):
                values[key] = {int(at): weight for at, weight in values[key].items()}
            self.known[name] = Fingerprint(**values)

    def save(self, connection: Connection) -> None:
        """Write what changed; `saved` says that it was committed."""
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
        """Forget what was to be written."""
        self._dirty.clear()
        self._forgotten.clear()

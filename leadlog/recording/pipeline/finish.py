"""The finisher: from frames of facts to lines, behind the ring or, where need be, in front of it.

The chain is structlog's: plain callables over the event dict, called in order. A processor that
raises, or returns something that is not an event, costs its own contribution and nothing else: the
facts are decoded again and go through the others. What comes last, masking and rendering, cannot be
left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from structlog import DropEvent
from structlog.typing import EventDict, Processor

from leadlog.recording.pipeline.events import event_of
from leadlog.recording.pipeline.facts import PREFIX, Facts, event_id_of
from leadlog_processors.clock import now_us
from leadlog_processors.privacy import Privacy, may_contain_secret
from leadlog_processors.rendering import JSONLine, to_plain

__all__ = ["FinishCounts", "Finisher"]


@dataclass(slots=True)
class FinishCounts:
    """Counts of the events.

    Attributes:
        errors: how often a processor raised.
        sampled_out: events that a processor dropped on purpose.
    """

    errors: int = 0
    sampled_out: int = 0


class Finisher:
    """Makes lines of frames of facts; never raises. Safe to call from several threads.

    Args:
        processors: called in order, the user's own last.
        privacy: masks what they leave.
        line: renders what that leaves; ends the line with a newline.
        foreign: whether some of the processors are the user's, which may put any object in.
        recovered: whether the frames are of another process, which is dead.

    Attributes:
        counts: counts of the events.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        privacy: Privacy,
        line: JSONLine,
        *,
        foreign: bool = False,
        recovered: bool = False,
    ) -> None:
        self._processors = tuple(enumerate(processors))
        self._privacy = privacy
        self._line = line
        self._foreign = foreign
        self._walks = foreign or privacy.policy != "plain"
        self._recovered = recovered
        self.counts = FinishCounts()

    def __call__(self, category: str, frames: list[bytes]) -> list[bytes]:  # noqa: ARG002 - the contract of the sinks
        """Return the line of each frame; empty for an event that a processor dropped.

        Called in the drain's thread, which no processor may end, by `sys.exit` for one.
        """
        finish = self._finish
        return [
            finish(frame, BaseException) if frame.startswith(PREFIX) else frame for frame in frames
        ]

    def finish(self, frame: bytes) -> bytes:
        """Return the line of one frame; empty where a processor dropped the event."""
        return self._finish(frame, Exception)

    def finish_live(self, facts: Facts, frame: bytes) -> bytes:
        """As `finish`, with the objects that the application logged for the user's processors.

        Where there are none, the line is made of the frame, in which every object is a text that
        can be masked.

        Args:
            facts: made by `open_facts`.
            frame: the same facts, for a second attempt.
        """
        return self._finish(frame, Exception, facts if self._foreign else None)

    def _finish(
        self, frame: bytes, caught: type[BaseException], live: Facts | None = None
    ) -> bytes:
        try:
            method, event = self._processed(frame, caught, live)
        except DropEvent:
            self.counts.sampled_out += 1
            return b""
        except Exception as error:  # noqa: BLE001 - no facts of this version; nothing may be lost
            method, event = "error", _unreadable(frame, error)
        if self._recovered:
            event["recovered"] = True
        if self._foreign:
            event = to_plain(event)
        # What facts become has no text but theirs and leadlog's own words, so one look at the
        # frame tells that nothing is to be masked; not where the user's processors add others.
        if self._walks or may_contain_secret(frame):
            event = self._privacy(None, method, event)
        return self._line(None, method, event)

    def _processed(
        self, frame: bytes, caught: type[BaseException], live: Facts | None
    ) -> tuple[str, EventDict]:
        left_out: dict[int, str] = {}
        while True:
            facts: Facts = orjson.loads(frame[len(PREFIX) :]) if live is None else live
            live = None
            method = facts["method"]
            event = event_of(facts)
            for at, process in self._processors:
                if left_out and at in left_out:
                    continue
                try:
                    found: Any = process(None, method, event)
                    event = found if type(found) is dict else _checked(found)
                except DropEvent:
                    raise
                except caught as error:
                    self.counts.errors += 1
                    left_out[at] = f"{_name_of(process)}: {type(error).__name__}: {error}"
                    break
            else:
                if left_out:
                    event["processor_errors"] = list(left_out.values())
                return method, event


def _unreadable(frame: bytes, error: Exception) -> EventDict:
    """Return the event that stands for facts of which none can be made."""
    facts = {
        "kind": "free",
        "id": event_id_of(frame),
        "at": now_us(),
        "name": "facts.unreadable",
        "session": "",
        "pid": 0,
        "thread": "",
        "method": "info",
        "values": {
            "facts": frame.decode("utf-8", "backslashreplace"),
            "error": f"{type(error).__name__}: {error}",
        },
    }
    return {**event_of(facts), "level": "error"}


def _checked(event: Any) -> EventDict:
    if not isinstance(event, Mapping):
        raise TypeError(f"returned {type(event).__name__}, not an event")
    return dict(event)


def _name_of(process: Any) -> str:
    return getattr(process, "__qualname__", type(process).__name__)

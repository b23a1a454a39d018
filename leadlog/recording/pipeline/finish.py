"""The finisher: turns frames of facts into lines, in the drain or, if needed, in the caller.

The chain is structlog's: plain callables over the event dict, called in order. If a processor
raises, or returns something that is not an event, only its own contribution is lost: the facts are
decoded again and passed through the other processors. Masking and rendering, the last steps,
cannot be skipped.
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
    """Counts of the events finished.

    Attributes:
        errors: number of times a processor raised.
        sampled_out: events that a processor dropped deliberately.
    """

    errors: int = 0
    sampled_out: int = 0


class Finisher:
    """Converter of frames of facts to lines; never raises. Safe to call from several threads.

    Args:
        processors: called in order, the user's last.
        privacy: masks the event that the processors return.
        line: renders the masked event; ends the line with a newline.
        foreign: whether some of the processors are the user's, which may add any object.
        recovered: whether the frames are of a dead process.

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

        Called in the drain's thread, which no processor may end, for example by `sys.exit`.
        """
        finish = self._finish
        return [
            finish(frame, BaseException) if frame.startswith(PREFIX) else frame for frame in frames
        ]

    def finish(self, frame: bytes) -> bytes:
        """Return the line of one frame; empty if a processor dropped the event."""
        return self._finish(frame, Exception)

    def finish_live(self, facts: Facts, frame: bytes) -> bytes:
        """Finish a frame, giving the user's processors the objects that the application logged.

        Without such processors the line is made from the frame, in which every object is a text
        that can be masked.

        Args:
            facts: facts made by `open_facts`.
            frame: the frame of these facts, for a second attempt.
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
        except Exception as error:  # noqa: BLE001 - facts of another version; nothing may be lost
            method, event = "error", _unreadable(frame, error)
        if self._recovered:
            event["recovered"] = True
        if self._foreign:
            event = to_plain(event)
        # Events contain only text from the frame and leadlog's own words, so one scan of the frame
        # shows if there is nothing to mask; not if the user's processors add text.
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
    """Return the event that replaces facts that cannot be converted."""
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

"""The chain: runs an event through the processors; one that raises costs only itself."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from structlog import DropEvent
from structlog.typing import EventDict, Processor, WrappedLogger

from leadlog_processors.direct import direct


@dataclass(slots=True)
class ChainCounts:
    """What became of events that did not go straight through a chain.

    Attributes:
        errors: how often a processor raised.
        sampled_out: events that a processor dropped on purpose.
    """

    errors: int = 0
    sampled_out: int = 0


class Chain:
    """A structlog processor made of processors.

    A processor that raises, or gives something that is no event, is left out: the event
    goes on as it was before it, marked in `processor_errors`.

    Args:
        processors: called in order.
        last: the renderer and router; never raises.
        counts: shared with another chain; its own by default.

    Attributes:
        counts: what became of the events that did not go straight through.
    """

    def __init__(
        self, processors: Sequence[Processor], last: Processor, counts: ChainCounts | None = None
    ) -> None:
        self._processors = tuple(processors)
        self._calls = tuple(map(direct, processors))
        self._last = last
        self._end = direct(last)
        self.counts = counts or ChainCounts()

    def without(self, kind: type) -> Self:
        """The same chain without the processors of a kind; counts into the same counts."""
        kept = [process for process in self._processors if not isinstance(process, kind)]
        return type(self)(kept, self._last, self.counts)

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> Any:
        """Gives what the last processor gives."""
        event: Any = event_dict
        before: Any = event_dict
        process: Any = None
        try:
            for process in self._calls:
                before = event
                event = process(logger, method_name, event)
            if type(event) is not dict:
                event = dict(event)
        except DropEvent:
            self.counts.sampled_out += 1
            raise
        except Exception as error:  # noqa: BLE001 - any processor, also one of the user's
            at = self._calls.index(process)
            if not isinstance(event, MutableMapping):
                # Not the processor that raised is to blame, but the one that gave this.
                blamed = TypeError(f"gave {type(event).__name__}")
                event = self._carefully(logger, method_name, before, at - 1, blamed)
            else:
                event = self._carefully(logger, method_name, event, at, error)
        return self._end(logger, method_name, event)

    def _carefully(
        self, logger: WrappedLogger, method_name: str, event: EventDict, at: int, error: Exception
    ) -> EventDict:
        """Goes on behind the processor at position `at`, which raised `error`."""
        kept = dict(event)
        self._mark(kept, self._processors[at], error)
        for process in self._processors[at + 1 :]:
            try:
                result = process(logger, method_name, kept)
                if not isinstance(result, MutableMapping):
                    raise TypeError(f"gave {type(result).__name__}")
                kept = dict(result)
            except DropEvent:
                self.counts.sampled_out += 1
                raise
            except Exception as another:  # noqa: BLE001 - as above
                self._mark(kept, process, another)
        return kept

    def _mark(self, event: EventDict, process: Any, error: Exception) -> None:
        self.counts.errors += 1
        name = getattr(process, "__qualname__", type(process).__name__)
        event.setdefault("processor_errors", []).append(f"{name}: {type(error).__name__}: {error}")

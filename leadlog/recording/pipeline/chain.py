"""The chain: runs an event through the processors; one that raises costs only itself."""

from collections.abc import Callable, MutableMapping, Sequence
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


def _unrolled(
    processors: Sequence[Processor], end: Processor, failed: Callable[..., Any]
) -> Processor:
    """The loop over the processors, unrolled: one function that calls them in order, then `end`.

    Each is called from a place of its own in the code, so that Python remembers there what it
    calls. In a loop, where that is another one each time, a call costs nearly twice as much.

    Args:
        processors: called in order.
        end: called with the event that the last of them gave.
        failed: gives the result in place of `end` where something raises, see `Chain._failed`.
    """
    count = len(processors)
    lines = [
        f"def make({''.join(f'process_{at}, ' for at in range(count))}end, failed):",
        " def run(logger, method_name, event):",
        "  before, at = event, 0",
        "  try:",
        *(
            f"   at = {at}; before, event = event, process_{at}(logger, method_name, event)"
            for at in range(count)
        ),
        f"   at = {count}",
        "   if type(event) is not dict:",
        "    event = dict(event)",
        "  except (Exception, DropEvent) as error:",
        "   return failed(logger, method_name, (before, event), at, error)",
        "  return end(logger, method_name, event)",
        " return run",
    ]
    made: dict[str, Any] = {"DropEvent": DropEvent}
    exec("\n".join(lines), made)  # noqa: S102 - a text of this function alone
    run: Processor = made["make"](*map(direct, processors), end, failed)
    return run


class Chain:
    """Processors, one behind the other.

    A processor that raises, or gives something that is no event, is left out: the event
    goes on as it was before it, marked in `processor_errors`.

    Args:
        processors: called in order.
        last: the renderer and router; never raises.
        counts: shared with another chain; its own by default.

    Attributes:
        counts: what became of the events that did not go straight through.
        run: a structlog processor; gives what the last one gives.
    """

    def __init__(
        self, processors: Sequence[Processor], last: Processor, counts: ChainCounts | None = None
    ) -> None:
        self._processors = tuple(processors)
        self._last = last
        self.counts = counts or ChainCounts()
        self.run = _unrolled(self._processors, direct(last), self._failed)

    def without(self, kind: type) -> Self:
        """The same chain without the processors of a kind; counts into the same counts."""
        kept = [process for process in self._processors if not isinstance(process, kind)]
        return type(self)(kept, self._last, self.counts)

    def _failed(
        self,
        logger: WrappedLogger,
        method_name: str,
        events: tuple[Any, Any],
        at: int,
        error: Exception | DropEvent,
    ) -> Any:
        """Goes on with an event at which something raised.

        Args:
            logger: as a processor gets it.
            method_name: as well.
            events: what the processor before the one at position `at` got, and what it gave.
            at: position of the processor that raised; their number if it was none of them.
            error: what was raised.
        """
        before, event = events
        if isinstance(error, DropEvent):
            self.counts.sampled_out += 1
            raise error
        if not isinstance(event, MutableMapping):
            # Not the processor that raised is to blame, but the one that gave this.
            at, event, error = at - 1, before, TypeError(f"gave {type(event).__name__}")
        event = self._carefully(logger, method_name, event, at, error)
        return self._last(logger, method_name, event)

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

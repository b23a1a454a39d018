"""Measure, in a separate process, the cost that capture adds to each ORM call; print JSON.

    python -m tests.bench.capture_rounds (leadlog|otel-simple|otel-batch) FOLDER

`leadlog` needs the main environment, `otel-…` the one of `peers.py`. Both run the same calls on
the same machine, each in turns with an uncaptured engine of its own.
"""

import gc
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import orm_calls
from tests.bench.compare import Comparison, compare

# The shorter the turns, the likelier one in which the machine did nothing else.
CALLS = 10
ROUNDS = 150


def _by_leadlog(application: orm_calls.Application, folder: Path) -> Callable[[], object]:
    import leadlog

    leadlog.configure(directory=folder / "logs")
    leadlog.capture(application.engine, application.contact)
    return leadlog.flush


def _by_otel(application: orm_calls.Application, *, batch: bool) -> Callable[[], object]:
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SimpleSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Nowhere(SpanExporter):
        """Exporter that discards its spans."""

        def export(self, spans):
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor((BatchSpanProcessor if batch else SimpleSpanProcessor)(Nowhere()))
    SQLAlchemyInstrumentor().instrument(engine=application.engine, tracer_provider=provider)
    return provider.force_flush


def measure(
    plain: orm_calls.Application,
    captured: orm_calls.Application,
    settle: Callable[[], object],
    *,
    calls: int = CALLS,
    rounds: int = ROUNDS,
    names: tuple[str, ...] = (*orm_calls.SINGLE_CALLS, orm_calls.FLUSH),
) -> dict[str, Comparison]:
    """Compare two applications call by call.

    Args:
        plain: the uncaptured application.
        captured: the captured application.
        settle: waits until the background work of the captured calls is done, so that it does not
            slow down the other application's turn.
        calls: calls per turn; one for the large flush.
        rounds: number of turns.
        names: names of the calls to measure.
    """
    left, right = plain.calls(), captured.calls()

    def between():
        settle()
        gc.collect()  # sessions are cycles; the memory of a process must not grow by its turns

    gc.collect()
    gc.freeze()
    try:
        return {
            name: compare(
                {"not captured": left[name], "captured": right[name]},
                calls=1 if name == orm_calls.FLUSH else calls,
                rounds=rounds,
                between=between,
            )
            for name in names
        }
    finally:
        gc.unfreeze()


def added(cost: Mapping[str, float]) -> float:
    """Return the cost that capture adds."""
    return cost["captured"] - cost["not captured"]


def main() -> None:
    """Print the microseconds of each call: not captured, added wall time, added CPU time."""
    way, folder = sys.argv[1], Path(sys.argv[2])
    spare = CALLS * (ROUNDS + 1)
    plain, captured = (orm_calls.Application(orm_calls.memory(), spare) for _ in range(2))
    if way == "leadlog":
        settle = _by_leadlog(captured, folder)
    else:
        settle = _by_otel(captured, batch=way == "otel-batch")
    found = measure(plain, captured, settle)
    costs = {
        name: [one.best_us["not captured"], added(one.best_us), added(one.cpu_us)]
        for name, one in found.items()
    }
    json.dump(costs, sys.stdout)


if __name__ == "__main__":
    main()

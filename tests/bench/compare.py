"""Compare the cost of callables in turns, so that the machine's load affects all equally."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """Costs of several callables, measured in turns.

    Attributes:
        best_us: least cost of one call, microseconds, by name.
        cpu_us: least CPU time that the calling thread spent on one call, microseconds, by name;
            hardly depends on the load of the machine.
        ratios: median over the rounds of a callable's cost by the first one's, by name.
    """

    best_us: Mapping[str, float]
    cpu_us: Mapping[str, float]
    ratios: Mapping[str, float]

    def table(self) -> str:
        """Return the costs as a markdown table."""
        rows = ["| | µs per call | ratio |", "|---|---|---|"]
        rows += [f"| {n} | {self.best_us[n]:.2f} | {self.ratios[n]:.2f} |" for n in self.best_us]
        return "\n".join(rows)


def compare(
    works: Mapping[str, Work], *, calls: int, rounds: int = 15, between: Work = lambda: None
) -> Comparison:
    """Run every callable `calls` times per round, in turns.

    Args:
        works: callables by name; the others are compared with the first.
        calls: calls per round and callable.
        rounds: number of rounds after a warm-up round.
        between: called after each turn, and not measured.
    """
    costs: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    gc.collect()
    gc.disable()
    try:
        for round_ in range(rounds + 1):
            for name, work in works.items():
                cpu_started = time.thread_time_ns()
                started = time.perf_counter_ns()
                for _ in range(calls):
                    work()
                elapsed = time.perf_counter_ns() - started
                cpu_elapsed = time.thread_time_ns() - cpu_started
                if round_:
                    costs[name].append(elapsed / calls / 1e3)
                    cpu[name].append(cpu_elapsed / calls / 1e3)
                between()
    finally:
        gc.enable()
    first = costs[next(iter(works))]
    return Comparison(
        best_us={name: min(values) for name, values in costs.items()},
        cpu_us={name: min(values) for name, values in cpu.items()},
        ratios={
            name: statistics.median(a / b for a, b in zip(values, first, strict=True))
            for name, values in costs.items()
        },
    )

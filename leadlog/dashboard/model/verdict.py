"""A one-sentence verdict on the store, computed from the totals of its operations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["OperationFigures", "Verdict", "verdict"]

Word = Literal["ok", "warning", "critical", "unknown"]

_WARNING_SHARE: Final = 0.02
_CRITICAL_SHARE: Final = 0.10
_LEAST_CALLS: Final = 5
_SLOWER: Final = 2.0
_SLOW_MS: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of the store in one sentence.

    Attributes:
        word: severity of the state.
        sentence: the state as readable text.
        operation: operation that the sentence is about, if it is about one.
    """

    word: Word
    sentence: str
    operation: str | None = None


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """One operation in the period.

    Attributes:
        name: `Class.operation`.
        category: category of the records counted.
        n: number of calls.
        approx: whether `n` is an estimate from sampled calls.
        failed: number of failed calls.
        failed_share: share of failed calls, 0 to 1.
        p50: median duration in milliseconds.
        p95: 95th percentile of the durations in milliseconds.
        p95_before: `p95` a week earlier.
        total_ms: total duration of all calls in milliseconds.
        spark: number of calls in each of thirty parts of the period.
    """

    name: str
    category: str
    n: float
    approx: bool
    failed: float
    failed_share: float | None
    p50: float | None
    p95: float | None
    p95_before: float | None
    total_ms: float
    spark: tuple[float, ...]


def verdict(
    values: Sequence[float | None],
    operations: Sequence[OperationFigures],
    firing: Collection[str],
) -> Verdict:
    """Return the verdict on a period.

    Args:
        values: number of calls, share of failed calls, p95 in milliseconds, number of errors.
        operations: the operations, most troubled first.
        firing: names of the firing alerts.
    """
    calls, failed, p95, errors = values
    if not calls and not errors:
        return Verdict("unknown", "No operations and no errors in this period.")
    worst = next(
        (
            one
            for one in operations
            if one.failed >= 2
            and (one.failed_share or 0) >= _WARNING_SHARE
            and one.n >= _LEAST_CALLS
            and one.category == "database_operations"
        ),
        None,
    )
    alarm = f" {_count(len(firing), 'alert')} firing." if firing else ""
    word: Word = "warning" if firing else "ok"
    if failed is not None and failed >= _CRITICAL_SHARE:
        word = "critical"
        text = f"{_percent(failed)} of all operations fail"
        if worst is not None:
            text += f", above all {worst.name}"
        return Verdict(word, f"{text}.{alarm}", worst.name if worst else None)
    if worst is not None and worst.failed_share is not None:
        word = "critical" if worst.failed_share >= 0.5 else "warning"
        text = f"{worst.name} fails in {_percent(worst.failed_share)} of its calls"
        others = [one for one in operations if one is not worst and one.failed]
        if not others:
            text += "; no other operation failed"
        elif _more(operations, worst):
            text += ", and others fail, too"
        return Verdict(word, f"{text}.{alarm}", worst.name)
    slower = next((one for one in operations if _is_slower(one)), None)
    if slower is not None and slower.p95 is not None and slower.p95_before:
        text = (
            f"{slower.name} takes {slower.p95 / slower.p95_before:.1f} times as long as a week "
            "ago (p95)"
        )
        return Verdict("warning", f"{text}.{alarm}", slower.name)
    return Verdict(
        word,
        f"{'All is well' if not firing else 'Operations are well'}: "
        f"{_count(round(calls or 0), 'operation')}, "
        f"{_percent(failed) if failed else 'none'} failed"
        f"{'' if p95 is None else f', p95 {_ms(p95)}'}.{alarm}",
    )


def _more(operations: Sequence[OperationFigures], worst: OperationFigures) -> bool:
    return any(
        one is not worst and one.failed >= 2 and (one.failed_share or 0) >= _WARNING_SHARE
        for one in operations
    )


def _is_slower(one: OperationFigures) -> bool:
    return (
        one.n >= 20
        and one.p95 is not None
        and one.p95_before is not None
        and one.p95 > _SLOWER * one.p95_before
        and one.p95 > _SLOW_MS
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _percent(part: float) -> str:
    return f"{part * 100:.2g} %" if part < 0.1 else f"{part * 100:.0f} %"


def _ms(ms: float) -> str:
    return f"{ms / 1000:.3g} s" if ms >= 1000 else f"{ms:.3g} ms"

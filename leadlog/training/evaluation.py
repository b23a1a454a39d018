"""Evaluation metrics with confidence intervals: PR-AUC, Brier score, calibration, cost.

All metrics are weighted. Intervals are computed by block bootstrap: it draws blocks of consecutive
runs, because neighbouring runs are correlated and single draws would make intervals too narrow.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Interval",
    "brier",
    "calibration_error",
    "cost_curve",
    "differences",
    "log_error",
    "pr_auc",
    "reliability",
]

Metric = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]

BLOCKS: Final = 50
DRAWS: Final = 300
_BINS: Final = 10


class Interval(NamedTuple):
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def pr_auc(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return the average precision; a constant score yields the base rate."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum((label * weight)[order])
    total = np.cumsum(weight[order])
    if not len(hits) or hits[-1] <= 0:
        return 0.0
    ordered = score[order]
    ends = np.append(np.nonzero(np.diff(ordered))[0], len(ordered) - 1)
    ends = ends[total[ends] > 0]
    found = hits[ends] / hits[-1]
    return float(np.sum(np.diff(found, prepend=0.0) * hits[ends] / total[ends]))


def brier(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return the Brier score: the mean squared error of probabilities."""
    return float(np.average((score - label) ** 2, weights=weight))


def log_error(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return the mean absolute error of the logarithm; 0.1 is about 10 %."""
    return float(np.average(np.abs(np.log(np.maximum(score, 1e-3) / label)), weights=weight))


def reliability(
    label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any]
) -> list[dict[str, float]]:
    """Return the reliability curve: `score`, `rate` and `weight` of ten bins of equal weight."""
    order = np.argsort(score, kind="stable")
    place = np.cumsum(weight[order]) / weight.sum()
    bins = np.minimum((place * _BINS).astype(int), _BINS - 1)
    found = []
    for number in range(_BINS):
        own = order[bins == number]
        if len(own):
            own_weight = weight[own]
            found.append(
                {
                    "score": float(np.average(score[own], weights=own_weight)),
                    "rate": float(np.average(label[own], weights=own_weight)),
                    "weight": float(own_weight.sum()),
                }
            )
    return found


def calibration_error(points: list[dict[str, float]]) -> float:
    """Return the weighted mean distance of scores from rates (expected calibration error)."""
    total = sum(one["weight"] for one in points)
    return sum(one["weight"] * abs(one["score"] - one["rate"]) for one in points) / total


def cost_curve(
    label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any]
) -> list[dict[str, float]]:
    """Return the cost per run of acting on the score; a miss costs 1, an alarm `alarm`.

    `without` is the cost without a model: never or always acting, whichever costs less.
    """
    rate = float(np.average(label, weights=weight))
    found = []
    for alarm in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9):
        acted = score >= alarm
        missed = np.average(label * ~acted, weights=weight)
        cost = float(missed + alarm * np.average(acted, weights=weight))
        found.append({"alarm": alarm, "model": cost, "without": min(rate, alarm)})
    return found


def differences(
    metric: Metric,
    label: NDArray[Any],
    scores: dict[str, NDArray[Any]],
    weight: NDArray[Any],
    *,
    seed: int = 1,
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Return the metric of each score, and the difference of `model` to each of the others.

    Args:
        metric: The metric.
        label: Outcomes of the runs, in order of time.
        scores: Scores of the runs, by name; one name is `model`.
        weight: Weights of the runs.
        seed: Seed of the bootstrap.
    """
    chance = np.random.default_rng(seed)
    count = min(BLOCKS, len(label))
    block = np.minimum(np.arange(len(label)) * count // len(label), count - 1)
    drawn: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(DRAWS):
        times = np.bincount(chance.integers(0, count, count), minlength=count)
        own = weight * times[block]
        if not own.any():
            continue
        for name, score in scores.items():
            drawn[name].append(metric(label, score, own))
    values = {name: metric(label, score, weight) for name, score in scores.items()}
    model = np.array(drawn["model"])
    return (
        {name: _interval(values[name], np.array(found)) for name, found in drawn.items()},
        {
            name: _interval(values["model"] - values[name], model - np.array(found))
            for name, found in drawn.items()
            if name != "model"
        },
    )


def _interval(value: float, draws: NDArray[Any]) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))

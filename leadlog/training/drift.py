"""Drift checks of models: predictions against outcomes, and the shift of feature distributions.

For each UTC day after a model's data they compute the realised Brier score (or the share of
durations within their intervals), and the population stability index of each feature against the
training data.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from leadlog.core.clock import now_us, parse, utc_date
from leadlog.core.errors import LeadlogError
from leadlog.monitor.health.checks import Check, judge
from leadlog.training.examples import label_runs, make_features
from leadlog.training.model import FILE, Model, load_model
from leadlog.training.predicting import MODELS, stale_since
from leadlog.training.runs import load_runs, runs_engine
from leadlog.training.scoring import feature_rows

__all__ = ["days_of", "has_models", "model_checks", "stability"]

_DAYS: Final = 7
_LEAST_RUNS: Final = 100
_MOVED: Final = 0.25
"""Population stability index from which a change counts as large."""
_LEAST_COVERAGE: Final = 0.8
_SLOW: Final = ("hour", "weekday", "_200")
"""Prefixes and suffixes of features whose values over a few days always differ from a month's."""
_REMEDY: Final = "make the data set and the model again with `leadlog dataset` and `leadlog learn`"


def has_models(directory: str | os.PathLike[str]) -> bool:
    """Return whether the folder `models` of a log directory contains a model."""
    return any(True for _ in _folders(Path(directory)))


def _folders(directory: Path) -> Iterator[Path]:
    try:
        names = sorted(one.name for one in (directory / MODELS).iterdir())
    except OSError:
        return
    for name in names:
        if (directory / MODELS / name / FILE).is_file():
            yield directory / MODELS / name


def model_checks(directory: str | os.PathLike[str], *, now: int | None = None) -> list[Check]:
    """Return a check `model_NAME` for each model of a log directory.

    Args:
        directory: The log directory.
        now: Current time in microseconds since 1970; by default the clock's.
    """
    root = Path(directory)
    at = now_us() if now is None else now
    return [_check(root, folder, at) for folder in _folders(root)]


def _check(root: Path, folder: Path, now: int) -> Check:
    name = f"model_{folder.name}"
    try:
        model = load_model(folder)
        if stale_since(model, folder):
            return Check(
                name,
                "warning",
                message="persons were erased from the log since it was learned; it is not used",
                remedy=_REMEDY,
            )
        days = days_of(root, model, now=now)
    except LeadlogError as error:
        return Check(name, "warning", message=str(error), remedy=_REMEDY)
    return _judged(name, model, days)


def _moved(days: Sequence[Mapping[str, Any]]) -> tuple[str, float]:
    """Return the feature with the largest shift that lasted on all days, and its index."""
    names = set.intersection(*(set(day["stability"]) for day in days))
    indices = {name: min(day["stability"][name] for day in days) for name in sorted(names)}
    return max(indices.items(), key=lambda item: item[1], default=("-", 0.0))


def _judged(name: str, model: Model, days: Sequence[Mapping[str, Any]]) -> Check:
    if not days:
        return Check(
            name, "unknown", message=f"no day since its data has {_LEAST_RUNS} runs to compare"
        )
    last = days[-1]
    if model.target.kind == "binary":
        known = model.body["test"]["metrics"]["brier"]
        # The score of a constant shows whether the day is hard to predict or the model is bad.
        limit = max(known["model"]["high"], last["brier_constant"])
        check = judge(
            name,
            last["brier"],
            warning=limit,
            unit="Brier score",
            message=f"Brier score {last['brier']:.4f} on {last['date']}; up to {limit:.4f} is "
            "expected",
            remedy=_REMEDY,
        )
    else:
        check = judge(
            name,
            last["coverage"],
            warning=_LEAST_COVERAGE,
            below=True,
            unit="share within the interval",
            message=f"{last['coverage']:.0%} of durations within their interval on {last['date']}",
            remedy=_REMEDY,
        )
    feature, index = _moved(days[-2:])
    if check.state == "ok" and index >= _MOVED:
        return judge(
            name,
            index,
            warning=_MOVED,
            unit="PSI",
            message=f"{feature} moved on {last['date']}: its stability index is {index:.2f}",
            remedy=_REMEDY,
        )
    return check


def days_of(directory: Path, model: Model, *, now: int, days: int = _DAYS) -> list[dict[str, Any]]:
    """Return one dictionary per recent day with enough runs, oldest first.

    Keys are `date`, `runs`, `stability` (index by feature), and for a binary target `brier` and
    `brier_constant`, for a duration `coverage`.

    Args:
        directory: The log directory.
        model: The model.
        now: Current time in microseconds since 1970.
        days: Maximum number of days.

    Raises:
        ReadError: A log file cannot be read.
        TrainingError: The features need more ended runs than can be held in memory.
    """
    since = max(now - days * 86_400_000_000, parse(model.body["bounds"]["last"]))
    with runs_engine(directory) as engine:
        load_runs(engine)
        connection = engine.connection
        label_runs(connection, model.target, model.body["target"]["objective_ms"])
        make_features(
            connection,
            model.target,
            f"SELECT * FROM labelled WHERE {model.target.population} AND label IS NOT NULL "
            f"AND started_us >= {since}",
        )
        rows = feature_rows(
            connection, model, "JOIN labelled l USING (event_id) ORDER BY l.started_us, l.event_id"
        )
        outcomes = connection.execute(
            "SELECT l.started_us, l.label, l.w FROM features f JOIN labelled l USING (event_id) "
            "ORDER BY l.started_us, l.event_id"
        ).fetchall()
    by_day: dict[str, list[tuple[dict[str, Any], float, float]]] = {}
    for row, (started, label, weight) in zip(rows, outcomes, strict=True):
        by_day.setdefault(utc_date(started), []).append((row, float(label), weight / 1000))
    return [
        _day(date, model, runs) for date, runs in sorted(by_day.items()) if len(runs) >= _LEAST_RUNS
    ]


def _day(
    date: str, model: Model, runs: Sequence[tuple[dict[str, Any], float, float]]
) -> dict[str, Any]:
    said = [model.score(model.row(row["operation"], row)) for row, _, _ in runs]
    total = math.fsum(weight for _, _, weight in runs)
    found: dict[str, Any] = {"date": date, "runs": len(runs)}
    if model.target.kind == "binary":
        rate = math.fsum(label * weight for _, label, weight in runs) / total
        found["brier"] = (
            math.fsum(
                weight * (one.value - label) ** 2
                for one, (_, label, weight) in zip(said, runs, strict=True)
            )
            / total
        )
        found["brier_constant"] = rate * (1 - rate)
    else:
        found["coverage"] = (
            math.fsum(
                weight
                for one, (_, label, weight) in zip(said, runs, strict=True)
                if one.low is not None and one.high is not None and one.low <= label <= one.high
            )
            / total
        )
    found["stability"] = {
        name: stability(reference, [row[name] for row, _, _ in runs if row[name] is not None])
        for name, reference in model.body["test"]["reference"].items()
        if not (name.startswith(_SLOW) or name.endswith(_SLOW))
    }
    return found


def stability(reference: Mapping[str, Sequence[float]], values: Sequence[float]) -> float:
    """Return the population stability index of values; 0 is no change, 0.25 a large change.

    Args:
        reference: `edges` between deciles and the `shares` of values in them.
        values: The current values; with too few of them, the index is 0.
    """
    from bisect import bisect_left

    if len(values) < _LEAST_RUNS:
        return 0.0
    counts = [0] * len(reference["shares"])
    for value in values:
        counts[bisect_left(reference["edges"], value)] += 1
    index = 0.0
    for expected, count in zip(reference["shares"], counts, strict=True):
        before, now = max(expected, 1e-3), max(count / len(values), 1e-3)
        index += (now - before) * math.log(now / before)
    return index

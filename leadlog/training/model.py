"""Models as JSON trees, and their scorer in plain Python: no pickle, no ML library.

The trees are LightGBM's. They are compiled to one Python function of nested comparisons, which
takes about 20 µs per row; its source consists only of numbers and of the package's own names.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from leadlog.core.errors import TrainingError
from leadlog.training.features import SQL_VERSION
from leadlog.training.targets import Target, target_named

__all__ = ["FILE", "Model", "Prediction", "compile_trees", "encode", "load_model"]

FILE: Final = "model.json"
FORMAT: Final = "leadlog-model"
FORMAT_VERSION: Final = 1
COVERAGE: Final = 0.9
"""Target share of durations within their interval."""

_NAN: Final = math.nan
_MOST_DEPTH: Final = 60

Scorer = Callable[[Sequence[float]], float]


class Prediction(NamedTuple):
    """A model's prediction for a run before it begins.

    Attributes:
        target: `slow`, `failed`, `duration` or `throttled`.
        value: The probability; for `duration`, the predicted median in milliseconds.
        low: For `duration`, the lower end of the 90 % prediction interval in milliseconds; else
            None.
        high: The upper end of that interval; else None.
        model: Version of the model.
    """

    target: str
    value: float
    low: float | None
    high: float | None
    model: str


def compile_trees(trees: Sequence[Mapping[str, Any]]) -> Scorer:
    """Return a function that sums the leaf values of trees for a row of numbers.

    Args:
        trees: The trees as nested mappings: `{"value": …}` for a leaf, else `feature` (its index),
            `left`, `right`, and either `threshold` and `nan_left`, or `categories` (the codes of
            the left branch).

    Raises:
        TrainingError: The trees are malformed.
    """
    lines = ["def score(row):", " total = 0.0"]
    try:
        for tree in trees:
            _tree_lines(tree, lines, 1)
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"the trees of the model are damaged ({type(error).__name__}: {error}); learn it again "
            "with `leadlog learn`"
        ) from error
    lines.append(" return total")
    names: dict[str, Any] = {}
    exec(compile("\n".join(lines), "<trees>", "exec"), names)  # noqa: S102 - numbers only
    scorer: Scorer = names["score"]
    return scorer


def _tree_lines(node: Mapping[str, Any], lines: list[str], depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise ValueError("a tree is too deep")
    indent = " " * depth
    if "value" in node:
        lines.append(f"{indent}total += {float(node['value'])!r}")
        return
    value = f"row[{int(node['feature'])}]"
    if "categories" in node:
        chosen = ", ".join(str(int(one)) for one in node["categories"])
        condition = f"{value} in {{{chosen}}}" if chosen else "False"
    else:
        threshold = float(node["threshold"])
        if math.isinf(threshold) or math.isnan(threshold):
            raise ValueError(f"the threshold {threshold!r} is not a finite number")
        # A NaN makes every comparison false.
        sign = f"not {value} > {threshold!r}" if node["nan_left"] else f"{value} <= {threshold!r}"
        condition = sign
    lines.append(f"{indent}if {condition}:")
    _tree_lines(node["left"], lines, depth + 1)
    lines.append(f"{indent}else:")
    _tree_lines(node["right"], lines, depth + 1)


class Model:
    """A loaded model.

    Args:
        body: The content of the model, as passed to `encode`.
        version: SHA-256 of the body.

    Attributes:
        target: The target that it predicts.
        version: SHA-256 of the body.
        body: The content of the model: `dataset`, `erasures`, `operations`, `test`, `trees` ….
    """

    def __init__(self, body: Mapping[str, Any], version: str) -> None:
        self.body = body
        self.version = version
        self.target: Target = target_named(body["target"]["name"])
        self._names = [one.name for one in self.target.features]
        self._codes = {name: float(code) for code, name in enumerate(body["operations"])}
        self._other = self._codes.get("other", _NAN)
        self._scorers = {name: compile_trees(trees) for name, trees in body["trees"].items()}
        self._widening = widening(body["scores"], COVERAGE) if body.get("scores") else 0.0

    def row(self, operation: str, known: Mapping[str, float | None]) -> list[float]:
        """Return the input row of the trees for a run.

        Args:
            operation: Name of the operation.
            known: Values of the other features by name; missing ones count as unknown.
        """
        found = [_NAN if (value := known.get(name)) is None else value for name in self._names]
        found[0] = self._codes.get(operation, self._other)
        return found

    def score(self, row: Sequence[float]) -> Prediction:
        """Return the prediction for an input row, as returned by `row`."""
        if self.target.kind == "binary":
            raw = self._scorers["label"](row)
            value = 1 / (1 + math.exp(-raw)) if raw > -700 else 0.0
            return Prediction(self.target.name, value, None, None, self.version)
        low, middle, high = (self._scorers[name](row) for name in ("low", "middle", "high"))
        low, high = min(low, middle) - self._widening, max(high, middle) + self._widening
        return Prediction(
            self.target.name, _ms(middle), _ms(min(low, high)), _ms(max(low, high)), self.version
        )


def _ms(logarithm: float) -> float:
    return math.exp(min(logarithm, 30.0))


def widening(scores: Sequence[float], coverage: float) -> float:
    """Return the widening of intervals that yields the coverage (conformal prediction).

    Args:
        scores: Sorted conformity scores of the calibration part: the distance of each duration
            outside its interval, negative inside.
        coverage: Share of durations that should lie within their interval, 0 to 1.
    """
    place = math.ceil((len(scores) + 1) * coverage) - 1
    return scores[min(max(place, 0), len(scores) - 1)]


def adapted(
    scores: Sequence[float], outcomes: Sequence[float], *, coverage: float, rate: float = 0.02
) -> tuple[float, float]:
    """Return the realised coverage of a sequence of outcomes, and the next coverage to aim at.

    Adaptive conformal inference: the interval widens after a miss and narrows after a hit, so that
    the coverage is kept even if the durations drift.

    Args:
        scores: Scores of the calibration part, as for `widening`.
        outcomes: Scores of later runs, in order of time.
        coverage: Target coverage, 0 to 1.
        rate: Step size of the adaptation.
    """
    aim, held = coverage, 0
    for score in outcomes:
        hit = score <= widening(scores, min(max(aim, 0.0), 1.0))
        held += hit
        aim += rate * ((1 - hit) - (1 - coverage))
    return (held / len(outcomes) if outcomes else math.nan), aim


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a model as the content of a file for `load_model`."""
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sha256": hashlib.sha256(text).hexdigest(),
        "model": body,
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Load a model.

    Args:
        path: Its file, or the folder written by `leadlog learn`.

    Raises:
        TrainingError: There is no model, it was modified since it was trained, or it belongs to
            another version of the label or the features.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        document = orjson.loads(file.read_bytes())
        known = document["format"] == FORMAT and document["format_version"] == FORMAT_VERSION
        body = document["model"]
        said = document["sha256"]
    except FileNotFoundError as error:
        raise TrainingError(
            f"there is no model {str(file)!r}; `leadlog learn` writes one if it beats the baselines"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"cannot read the model {str(file)!r}: {error}; learn it again with `leadlog learn`"
        ) from error
    if not known:
        raise TrainingError(
            f"{str(file)!r} is not a model of this version of leadlog; learn it again with "
            "`leadlog learn`"
        )
    version = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if version != said:
        raise TrainingError(
            f"the model {str(file)!r} was changed since it was learned: its SHA-256 is {version}, "
            f"not {said}; learn it again with `leadlog learn`"
        )
    return _checked(body, version, file)


def _checked(body: Mapping[str, Any], version: str, file: Path) -> Model:
    try:
        model = Model(body, version)
        current = (
            body["target"]["version"] == model.target.version and body["sql_version"] == SQL_VERSION
        )
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise TrainingError(
            f"the model {str(file)!r} lacks what it needs ({error}); learn it again with "
            "`leadlog learn`"
        ) from error
    if not current:
        raise TrainingError(
            f"the model {str(file)!r} was learned from an older version of the label or the "
            "features; make the data set and the model again with `leadlog dataset` and "
            "`leadlog learn`"
        )
    return model

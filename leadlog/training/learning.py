"""Trains a model, and publishes it only if it clearly beats the baselines.

LightGBM is trained on `train` with early stopping on `calibration`; `test` is used once. The model
is compared with a constant, with the rate (or median) of each operation, and with the operation's
last run. It is published only if the confidence interval of every gain lies above zero.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from leadlog.core.errors import MissingExtraError, TrainingError
from leadlog.core.files import replace
from leadlog.training.check import check_dataset, read_manifest, read_part
from leadlog.training.model import COVERAGE, FILE, adapted, compile_trees, encode, widening
from leadlog.training.report import page
from leadlog.training.targets import Target, target_named

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Learned", "learn", "train"]

_ROUNDS: Final = 100
_PATIENCE: Final = 10
_LEAST_POSITIVE: Final = 10
_SETTINGS: Final[dict[str, Any]] = {
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "max_bin": 63,
    "bin_construct_sample_cnt": 50_000,
    # Gradients as small whole numbers make histograms cheaper; the leaves' values, which decide how
    # well a rare outcome is calibrated, are computed from the gradients as they are.
    "use_quantized_grad": True,
    "num_grad_quant_bins": 32,
    "quant_train_renew_leaf": True,
    "verbosity": -1,
}
_QUANTILES: Final = {"low": (1 - COVERAGE) / 2, "middle": 0.5, "high": (1 + COVERAGE) / 2}
_KEPT_SCORES: Final = 1000


class Learned(NamedTuple):
    """The result of training.

    Attributes:
        published: Whether a model was published.
        reasons: The reasons why not; empty if it was published.
        report: The content of `report.json`.
    """

    published: bool
    reasons: tuple[str, ...]
    report: dict[str, Any]


class _Part(NamedTuple):
    """One part of a data set as arrays for LightGBM."""

    table: NDArray[Any]
    label: NDArray[Any]
    weight: NDArray[Any]
    operation: list[str]
    last: NDArray[Any]


def learn(dataset: str | os.PathLike[str], output: str | os.PathLike[str]) -> Learned:
    """Train a model on a data set, and publish it if it clearly beats the baselines.

    Args:
        dataset: A folder written by `leadlog dataset`.
        output: Folder for `report.html` and `report.json`, and for `model.json` if a model is
            published. An existing model in it is removed.

    Raises:
        TrainingError: The data set is damaged, or the folder cannot be written.
        MissingExtraError: `leadlog[learn]` is not installed.
    """
    root, folder = Path(dataset), Path(output)
    problems = check_dataset(root)["problems"]
    if problems:
        raise TrainingError(
            f"the data set {str(root)!r} contradicts its manifest: {problems[0]}; make it again "
            "with `leadlog dataset`"
        )
    manifest, version = read_manifest(root)
    tables = {one["part"]: read_part(root, one["part"]) for one in manifest["files"]}
    body, report = train(manifest, tables, version)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).unlink(missing_ok=True)
        content = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        replace(folder / "report.json", content, mode=0o644)
        replace(folder / "report.html", page(report), mode=0o644)
        if body is not None:
            replace(folder / FILE, encode(body), mode=0o644)
    except OSError as error:
        raise TrainingError(
            f"cannot write to {str(folder)!r}: {error.strerror}; name another folder with -o"
        ) from error
    return Learned(body is not None, tuple(report["reasons"]), report)


def train(
    manifest: Mapping[str, Any], tables: Mapping[str, pa.Table], version: str
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the body of the model, None if it is not published, and the report.

    Args:
        manifest: Manifest of a data set.
        tables: Tables of the data set, by part.
        version: Version of the data set.

    Raises:
        MissingExtraError: `leadlog[learn]` is not installed.
    """
    try:
        import lightgbm  # noqa: F401 - asked for before any work
    except ImportError as error:
        raise MissingExtraError(
            "this needs LightGBM, which is not installed; install leadlog[learn]"
        ) from error
    except OSError as error:  # its wheel needs the system's OpenMP
        raise MissingExtraError(
            f"LightGBM cannot be loaded ({error}); install OpenMP: libgomp1 on Debian, libomp on "
            "macOS"
        ) from error
    target = target_named(manifest["target"]["name"])
    operations = [*manifest["operations"], "other"]
    parts = {name: _part(table, target, operations) for name, table in tables.items()}
    trainer = _Binary if target.kind == "binary" else _Duration
    learned = trainer(target, parts).run()
    report = {
        "target": {"text": target.text, **manifest["target"]},
        "dataset": version,
        "rows": {name: len(one.label) for name, one in parts.items()},
        "bounds": manifest["bounds"],
        "features": list(manifest["features"]),
        "published": not learned["reasons"],
        **{key: learned[key] for key in learned if key not in {"trees", "scores"}},
    }
    if learned["reasons"]:
        return None, report
    body = {
        "target": dict(manifest["target"]),
        "sql_version": manifest["sql_version"],
        "dataset": version,
        "erasures": list(manifest["erasures"]),
        "bounds": dict(manifest["bounds"]),
        "operations": operations,
        "features": list(manifest["features"]),
        "trees": learned["trees"],
        "scores": learned.get("scores"),
        "test": {key: learned[key] for key in ("metrics", "reference")},
    }
    return body, report


def _part(table: pa.Table, target: Target, operations: Sequence[str]) -> _Part:
    import numpy as np

    codes = {name: code for code, name in enumerate(operations)}
    operation = table.column("operation").to_pylist()
    columns = [np.array([codes[name] for name in operation], dtype=float)]
    columns += [
        table.column(one.name).to_numpy(zero_copy_only=False).astype(float)
        for one in target.features[1:]
    ]
    last = "operation_last_label" if target.kind == "binary" else "operation_last_ms"
    return _Part(
        np.column_stack(columns),
        table.column("label").to_numpy().astype(float),
        table.column("weight").to_numpy(),
        operation,
        table.column(last).to_numpy(zero_copy_only=False).astype(float),
    )


class _Trainer:
    """The common part of the trainers for both kinds of target."""

    def __init__(self, target: Target, parts: Mapping[str, _Part]) -> None:
        self.target = target
        self.train, self.calibration, self.test = (
            parts[name] for name in ("train", "calibration", "test")
        )

    def fit(self, settings: Mapping[str, Any], label: Any) -> Any:
        """Return a trained LightGBM booster; `label` transforms the labels."""
        import lightgbm as lgb

        names = [one.name for one in self.target.features]
        fitted = lgb.Dataset(
            self.train.table,
            label(self.train.label),
            weight=_unequal_weights(self.train.weight),
            feature_name=names,
            categorical_feature=["operation"],
            free_raw_data=False,
        )
        watched = lgb.Dataset(
            self.calibration.table,
            label(self.calibration.label),
            weight=_unequal_weights(self.calibration.weight),
            reference=fitted,
        )
        return lgb.train(
            {**_SETTINGS, **settings},
            fitted,
            num_boost_round=_ROUNDS,
            valid_sets=[watched],
            callbacks=[lgb.early_stopping(_PATIENCE, verbose=False)],
        )

    def scored(self, trees: Sequence[Mapping[str, Any]], part: _Part) -> NDArray[Any]:
        """Return the raw scores of a part, computed by the scorer that applications use."""
        import numpy as np

        score = compile_trees(trees)
        return np.array([score(row) for row in part.table.tolist()])

    def importance(self, boosters: Sequence[Any]) -> dict[str, float]:
        """Return each feature's share of the total gain, largest first."""
        import numpy as np

        gain = np.sum([one.feature_importance("gain") for one in boosters], axis=0)
        total = float(gain.sum())
        shares = {
            one.name: round(float(value) / total, 4) if total else 0.0
            for one, value in zip(self.target.features, gain, strict=True)
        }
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def reference(self) -> dict[str, Any]:
        """Return the deciles of the features in `train`, as a baseline for drift."""
        import numpy as np

        found: dict[str, Any] = {}
        for number, one in enumerate(self.target.features[1:], 1):
            values = self.train.table[:, number]
            known = values[~np.isnan(values)]
            if len(known) >= _KEPT_SCORES // 10:
                edges = np.unique(np.quantile(known, np.arange(1, 10) / 10))
                counts = np.bincount(
                    np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1
                )
                found[one.name] = {
                    "edges": [float(edge) for edge in edges],
                    "shares": [float(share) for share in counts / len(known)],
                }
        return found


class _Binary(_Trainer):
    def run(self) -> dict[str, Any]:
        import numpy as np

        from leadlog.training import evaluation as ev

        reasons = [
            f"{name} has {int(part.label.sum())} rows with label 1, and {_LEAST_POSITIVE} are "
            "needed at least"
            for name, part in (
                ("train", self.train),
                ("calibration", self.calibration),
                ("test", self.test),
            )
            if part.label.sum() < _LEAST_POSITIVE
        ]
        base = self._baselines()
        if reasons:
            return {"reasons": reasons, "metrics": {}, "reference": {}, "trees": {}}
        booster = self.fit({"objective": "binary"}, lambda label: label)
        trees = _trees(booster)
        probability = 1 / (1 + np.exp(-self.scored(trees, self.test)))
        scores = {"model": probability, **base}
        label, weight = self.test.label, self.test.weight
        metrics: dict[str, Any] = {}
        reasons = []
        for name, metric, better in (("pr_auc", ev.pr_auc, 1), ("brier", ev.brier, -1)):
            values, gaps = ev.differences(metric, label, scores, weight)
            metrics[name] = {key: one._asdict() for key, one in values.items()}
            metrics[f"{name}_gain"] = gains = {
                key: one._asdict()
                if better > 0
                else {"value": -one.value, "low": -one.high, "high": -one.low}
                for key, one in gaps.items()
            }
            reasons += [
                f"its {_TITLES[name]} is {values['model'].value:.4f}, that of {_TITLES[key]} "
                f"{values[key].value:.4f}; the gain is between {one['low']:.4f} and "
                f"{one['high']:.4f}, and not clearly above 0"
                for key, one in gains.items()
                if one["low"] <= 0
            ]
        points = ev.reliability(label, probability, weight)
        metrics["calibration_error"] = ev.calibration_error(points)
        return {
            "reasons": reasons,
            "metrics": metrics,
            "reliability": points,
            "cost": ev.cost_curve(label, probability, weight),
            "importance": self.importance([booster]),
            "trees_grown": len(trees),
            "reference": self.reference(),
            "trees": {"label": trees},
        }

    def _baselines(self) -> dict[str, NDArray[Any]]:
        import numpy as np

        train, test = self.train, self.test
        rate = float(np.average(train.label, weights=train.weight))
        sums: dict[str, list[float]] = {}
        for name, label, weight in zip(train.operation, train.label, train.weight, strict=True):
            own = sums.setdefault(name, [0.0, 0.0])
            own[0] += label * weight
            own[1] += weight
        rates = {name: hits / total for name, (hits, total) in sums.items()}
        return {
            "constant": np.full(len(test.label), rate),
            "operation": np.array([rates.get(name, rate) for name in test.operation]),
            "last": np.where(np.isnan(test.last), rate, test.last),
        }


class _Duration(_Trainer):
    def run(self) -> dict[str, Any]:
        import numpy as np

        from leadlog.training import evaluation as ev

        def logarithm(label: NDArray[Any]) -> NDArray[Any]:
            found: NDArray[Any] = np.log(np.maximum(label, 1e-3))
            return found

        boosters = {
            name: self.fit({"objective": "quantile", "alpha": alpha}, logarithm)
            for name, alpha in _QUANTILES.items()
        }
        trees = {name: _trees(one) for name, one in boosters.items()}

        def outside(part: _Part) -> list[float]:
            low, middle, high = (self.scored(trees[name], part) for name in _QUANTILES)
            low, high = np.minimum(low, middle), np.maximum(high, middle)
            label = logarithm(part.label)
            found: list[float] = np.maximum(low - label, label - high).tolist()
            return found

        every = sorted(outside(self.calibration))
        step = max(1, len(every) // _KEPT_SCORES)
        scores = every[::-step][::-1]
        later = outside(self.test)
        fixed = widening(scores, COVERAGE)
        held, aim = adapted(scores, later, coverage=COVERAGE)
        middle = np.exp(self.scored(trees["middle"], self.test))
        values, gaps = ev.differences(
            ev.log_error,
            np.maximum(self.test.label, 1e-3),
            {"model": middle, **self._baselines()},
            self.test.weight,
        )
        gains = {
            key: {"value": -one.value, "low": -one.high, "high": -one.low}
            for key, one in gaps.items()
        }
        coverage = sum(one <= fixed for one in later) / len(later)
        reasons = [
            f"its error is {values['model'].value:.4f}, that of {_TITLES[key]} "
            f"{values[key].value:.4f}; the gain is between {one['low']:.4f} and {one['high']:.4f}, "
            "and not clearly above 0"
            for key, one in gains.items()
            if one["low"] <= 0
        ]
        if coverage < COVERAGE - 0.1:
            reasons.append(
                f"its intervals must cover {COVERAGE:.0%} of the durations and cover {coverage:.1%}"
            )
        return {
            "reasons": reasons,
            "metrics": {
                "log_error": {key: one._asdict() for key, one in values.items()},
                "log_error_gain": gains,
                "coverage": coverage,
                "coverage_adaptive": held,
                "coverage_aim": aim,
            },
            "importance": self.importance(list(boosters.values())),
            "trees_grown": sum(map(len, trees.values())),
            "reference": self.reference(),
            "trees": trees,
            "scores": scores,
        }

    def _baselines(self) -> dict[str, NDArray[Any]]:
        import numpy as np

        train, test = self.train, self.test
        median = float(np.median(train.label))
        own = {
            name: float(
                np.median(
                    [x for x, o in zip(train.label, train.operation, strict=True) if o == name]
                )
            )
            for name in sorted(set(train.operation))
        }
        return {
            "constant": np.full(len(test.label), median),
            "operation": np.array([own.get(name, median) for name in test.operation]),
            "last": np.where(np.isnan(test.last), median, test.last),
        }


_TITLES: Final = {
    "pr_auc": "PR-AUC",
    "brier": "Brier score",
    "constant": "a constant",
    "operation": "each operation's own rate",
    "last": "the operation's last run",
}


def _unequal_weights(weight: NDArray[Any]) -> NDArray[Any] | None:
    """Return weights where they differ; None, which costs nothing, where all are the same."""
    return weight if weight.size and (weight != weight[0]).any() else None


def _trees(booster: Any) -> list[dict[str, Any]]:
    """Return the trees of LightGBM's dump in the form of `compile_trees`."""
    dump = booster.dump_model(num_iteration=booster.best_iteration or None)
    return [_node(tree["tree_structure"]) for tree in dump["tree_info"]]


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    if "leaf_value" in node and "split_feature" not in node:
        return {"value": float(node["leaf_value"])}
    found: dict[str, Any] = {
        "feature": int(node["split_feature"]),
        "left": _node(node["left_child"]),
        "right": _node(node["right_child"]),
    }
    if node["decision_type"] == "==":
        found["categories"] = [int(one) for one in str(node["threshold"]).split("||")]
        return found
    threshold = float(node["threshold"])
    found["threshold"] = threshold
    # If no value was missing in training, LightGBM treats a missing one as 0.
    missing = node["missing_type"]
    found["nan_left"] = bool(node["default_left"]) if missing == "NaN" else threshold >= 0
    return found

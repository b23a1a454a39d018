"""`leadlog.predict`: the prediction for a call before it is made; None without a usable model."""

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from leadlog.core.clock import now_us, parse
from leadlog.core.errors import LeadlogError, TrainingError
from leadlog.training.features import FEATURES, SIZE_FEATURES
from leadlog.training.history import RunHistory
from leadlog.training.model import FILE, Model, Prediction, load_model

__all__ = ["MODELS", "predict", "stale_since", "usable_model"]

MODELS: Final = "models"
"""The folder of a log directory that holds the models, each in its own folder."""

_NAMES: Final = frozenset(one.name for one in (*FEATURES, *SIZE_FEATURES)) - {"operation"}
_DAY_US: Final = 86_400_000_000


class _Loaded(NamedTuple):
    seen: tuple[int, int, int]
    model: Model | None


_loaded: dict[str, _Loaded] = {}
"""Cached models by the given path; reloaded when the file or the list of erasures changes."""


def predict(
    operation: str,
    *,
    model: str | os.PathLike[str] | Model = "database_logs/models/slow",
    history: RunHistory | None = None,
    session_id: str | None = None,
    at: str | None = None,
    **known: float | None,
) -> Prediction | None:
    """Return a model's prediction for a call that is about to be made.

    A problem with the model never raises: the result is None if there is no model, or it was
    modified since it was trained, or it is stale. Nothing is written.

        prediction = leadlog.predict("add_leads", model="database_logs/models/duration", items=500)
        if prediction is not None:
            print(f"about {prediction.value / 1000:.0f} s")

    Args:
        operation: Name of the operation as in `leadlog slow`, such as `add_lead` or `Deal.update`.
        model: A folder written by `leadlog learn`, or a loaded model.
        history: The history of ended runs; without it, only the operation, the time and `known`
            are used.
        session_id: Id of the call's session, for the features of the session.
        at: Start of the call, in the format of `timestamp` in the records; by default now.
        known: Further features by name, such as `items`.

    Raises:
        TrainingError: There is no feature of a given name, or the history has another target.
        ValueError: `at` is not a valid time.
    """
    found = model if isinstance(model, Model) else usable_model(model)
    if not known.keys() <= _NAMES:
        wrong = min(known.keys() - _NAMES)
        raise TrainingError(f"no feature {wrong!r}; there are {', '.join(sorted(_NAMES))}")
    if found is None:
        return None
    at_us = now_us() if at is None else parse(at)
    if history is None:
        features: dict[str, float | None] = {
            "hour": at_us // 1_000_000 % 86_400 / 3600.0,
            "weekday": float((at_us // _DAY_US + 3) % 7 + 1),
        }
    else:
        if history.target is not found.target:
            raise TrainingError(
                f"the history is of {history.target.name!r} and the model of "
                f"{found.target.name!r}; make it with History({found.target.name!r})"
            )
        features = history.features(operation, at_us, session_id)
    if known:
        features.update(known)
    return found.score(found.row(operation, features))


def usable_model(path: str | os.PathLike[str]) -> Model | None:
    """Return a model; None if it is missing, damaged or stale.

    Args:
        path: Its file or folder. A model in the folder `models` of a log directory is stale if
            persons were erased from that log since.
    """
    key = os.fspath(path)
    seen = _state(key)
    known = _loaded.get(key)
    if known is not None and known.seen == seen:
        return known.model
    try:
        found: Model | None = load_model(key)
        if found is not None and stale_since(found, Path(key)):
            found = None
    except LeadlogError:
        found = None
    _loaded[key] = _Loaded(seen, found)
    return found


def _state(path: str) -> tuple[int, int, int]:
    """Return a value that changes when the file or the list of erasures does."""
    file = path if path.endswith(".json") else f"{path}/{FILE}"
    log = os.path.dirname(os.path.dirname(os.path.dirname(file)))  # noqa: PTH120 - 20 times faster
    try:
        state = os.stat(file)  # noqa: PTH116 - called for each prediction
    except OSError:
        return 0, 0, 0
    try:
        erasures = os.stat(f"{log or '.'}/.erasures.jsonl").st_size  # noqa: PTH116
    except OSError:
        erasures = 0
    return state.st_mtime_ns, state.st_size, erasures


def stale_since(model: Model, path: Path) -> list[str]:
    """Return the ids of the erasures from the model's log since it was trained.

    Args:
        model: The model.
        path: Its file or folder; empty unless it is in the folder `models` of a log directory.

    Raises:
        ReadError: The list of erasures cannot be read.
    """
    from leadlog.reading.erasure.ledger import erasure_ids

    folder = path.absolute()
    folder = folder.parent if folder.suffix == ".json" else folder
    if folder.parent.name != MODELS:
        return []
    known: list[Any] = model.body["erasures"]
    return [one for one in erasure_ids(folder.parent.parent) if one not in known]

"""`leadlog.predict`: what a model says of a call before it is made; null where none may be used."""

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
"""The folder in a log directory where models are looked for, each in a folder of its own."""

_NAMES: Final = frozenset(one.name for one in (*FEATURES, *SIZE_FEATURES)) - {"operation"}
_DAY_US: Final = 86_400_000_000


class _Loaded(NamedTuple):
    seen: tuple[int, int, int]
    model: Model | None


_loaded: dict[str, _Loaded] = {}
"""Models by the path that was given, read again when the file or the list of erasures changed."""


def predict(
    operation: str,
    *,
    model: str | os.PathLike[str] | Model = "database_logs/models/slow",
    history: RunHistory | None = None,
    session_id: str | None = None,
    at: str | None = None,
    **known: float | None,
) -> Prediction | None:
    """Return what a model says of a call that is about to be made.

    It never raises because of the model: where there is none, or it was
    changed since it was learned, or is stale, the answer is None. It writes nothing.

        foretold = leadlog.predict("add_leads", model="database_logs/models/duration", items=500)
        if foretold is not None:
            print(f"about {foretold.value / 1000:.0f} s")

    Args:
        operation: What `leadlog slow` calls it, such as `add_lead` or `Deal.update`.
        model: The folder of `leadlog learn`, or a model that was loaded.
        history: What is known of runs that have ended; without it only the operation, the time and
            `known` count.
        session_id: The session of the call, for what is known of it.
        at: When the call begins, as `timestamp` in the records; now by default.
        known: Further features by name, such as `items`.

    Raises:
        TrainingError: A feature has no such name, or the history is of another target.
        ValueError: `at` is not a time.
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
    """Return a model, or None where there is none that may be used.

    Args:
        path: Its file or folder; in the folder `models` of a log directory, persons that were
            erased from that log make it stale.
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
    """Return a state that changes when the file or the list of erasures does."""
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
    """Return the ids of the erasures from the model's log since it was learned.

    Args:
        model: Which.
        path: Its file or folder; only in the folder `models` of a log directory is that known.

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

"""Expected duration of a sync or a migration, if there is a model of durations."""

from pathlib import Path

from leadlog.cli.terminal import message

__all__ = ["say_expected"]

_MINUTE_MS = 60_000.0


def say_expected(
    directory: Path, operation: str, *, items: float | None = None, megabytes: float | None = None
) -> None:
    """Print the expected duration on standard error, or nothing without a usable model.

    Args:
        directory: The log directory with the model `models/duration`.
        operation: Operation about to run, such as `sync.to_airtable`.
        items: Number of leads to process.
        megabytes: Size of the files to read.
    """
    from leadlog.training.predicting import MODELS, predict

    said = predict(
        operation, model=directory / MODELS / "duration", items=items, megabytes=megabytes
    )
    if said is None or said.low is None or said.high is None:
        return
    message(
        f"expected to take {_time(said.value)}, with 90 % between {_time(said.low)} and "
        f"{_time(said.high)}"
    )


def _time(ms: float) -> str:
    if ms < 1_000:
        return f"{ms:.0f} ms"
    return f"{ms / 1_000:.1f} s" if ms < _MINUTE_MS else f"{ms / _MINUTE_MS:.1f} min"

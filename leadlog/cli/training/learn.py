"""`leadlog learn` and `leadlog predict`: train a model, and predict with it."""

from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import directory_option, existing_log, json_option, moment_option
from leadlog.cli.terminal import message, print_json, safe, table

__all__ = ["learn", "predict"]

_NAMES = {"operation": "by operation", "last": "last run"}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="MODEL",
    help="Folder for model.json, report.html and report.json; "
    "other commands use database_logs/models/TARGET.",
)
@json_option
@click.pass_context
def learn(ctx: click.Context, *, folder: Path, output: Path, as_json: bool) -> None:
    """Train a model on the data set in DIR, and publish it only if it beats the baselines.

    Uses LightGBM on one thread, so the same data gives the same model. The model is compared with a
    constant, with each operation's own rate and with its last run, on the last part of the data.
    Only if it is clearly better than all three (95 % block-bootstrap intervals above zero, for
    PR-AUC and Brier score; for durations, for the error of the logarithm) is model.json written:
    trees that plain Python evaluates. Needs leadlog[learn].

    \b
    Examples:
      leadlog dataset -o slow-data
      leadlog learn slow-data -o database_logs/models/slow
      leadlog learn slow-data -o /tmp/try --json | jq .reasons

    Exits with 0 when a model was published, and with 1 when not.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.training.learning import learn as learn_from

    learned = learn_from(folder, output)
    if as_json:
        print_json(learned.report)
    else:
        _show(learned.report)
        for reason in learned.reasons:
            click.echo(f"no model: {safe(reason)}")
        message(f"the report is in {output / 'report.html'}")
    ctx.exit(0 if learned.published else 1)


def _show(report: dict[str, Any]) -> None:
    rows = []
    for name, title in (
        ("pr_auc", "PR-AUC"),
        ("brier", "Brier score"),
        ("log_error", "error of log"),
    ):
        for key, one in report["metrics"].get(name, {}).items():
            gain = report["metrics"][f"{name}_gain"].get(key)
            said = None if gain is None else f"{gain['low']:.4f} to {gain['high']:.4f}"
            rows.append((title, _NAMES.get(key, key), f"{one['value']:.4f}", said))
    for line in table(rows, ("", "", "test", "gain of the model, 95 %"), right=(2,)):
        click.echo(line)


@click.command()
@click.argument("operation")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Folder that `leadlog learn` wrote.  [default: models/slow in the log directory]",
)
@click.option("--session", "session_id", metavar="ID", help="The session of the call.")
@moment_option("--at", "When the call begins.  [default: now]")
@click.option("--items", type=click.FloatRange(min=0), help="For duration: how many leads.")
@click.option(
    "--megabytes", type=click.FloatRange(min=0), help="For duration: size of the files to read."
)
@directory_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context,
    *,
    operation: str,
    model: Path | None,
    session_id: str | None,
    at: str | None,
    items: float | None,
    megabytes: float | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Predict the outcome of a call of OPERATION that begins now.

    Features are computed from the runs in the log that had ended by then. Applications can call
    `leadlog.predict` instead.

    \b
    Examples:
      leadlog predict add_lead
      leadlog predict sync.to_airtable --model database_logs/models/duration --items 500
      leadlog predict Deal.update --json | jq .value

    Exits with 0 and prints a number, or with 1 and prints null when there is no usable model.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.errors import TrainingError
    from leadlog.training.model import load_model
    from leadlog.training.predicting import MODELS, stale_since
    from leadlog.training.scoring import foretell

    log = existing_log(directory)
    path = log / MODELS / "slow" if model is None else model
    try:
        found = load_model(path)
    except TrainingError as error:
        _none(as_json, str(error))
        ctx.exit(1)
    if stale_since(found, path):
        _none(
            as_json,
            "persons were erased from the log since the model was learned; make it again with "
            "`leadlog dataset` and `leadlog learn`",
        )
        ctx.exit(1)
    said = foretell(
        log, found, operation, session_id=session_id, at=at, items=items, megabytes=megabytes
    )
    if as_json:
        print_json(said._asdict())
    elif said.low is None or said.high is None:
        click.echo(f"{safe(operation)} is {said.target} with a probability of {said.value:.4f}")
    else:
        click.echo(
            f"{safe(operation)} takes {said.value:.1f} ms, and with 90 % between {said.low:.1f} "
            f"and {said.high:.1f}"
        )


def _none(as_json: bool, why: str) -> None:
    if as_json:
        print_json(None)
    message(why)

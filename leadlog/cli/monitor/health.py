"""`leadlog health`: health checks for people, readiness probes and cron."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from leadlog.cli.options import database_option, directory_option, json_option, log_directory
from leadlog.cli.terminal import print_json, safe, table
from leadlog.monitor.health.checks import Health

__all__ = ["health"]

_COLOURS = {"ok": "green", "warning": "yellow", "critical": "red", "unknown": None}


@click.command()
@directory_option
@database_option
@click.option(
    "--only",
    "names",
    multiple=True,
    metavar="CHECK",
    help="Run only this check; may be given several times.  [default: all]",
)
@click.option("--deep", is_flag=True, help="Also check the whole store for damage.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of the checks.",
)
@click.option("--prometheus", is_flag=True, help="Print Prometheus' text format instead.")
@json_option
@click.pass_context
def health(
    ctx: click.Context,
    *,
    directory: Path | None,
    database: str | None,
    names: tuple[str, ...],
    deep: bool,
    timeout: float,
    prometheus: bool,
    as_json: bool,
) -> None:
    """Check the store, Airtable, the sync's backlog, the log, errors, latency and data quality.

    Exits with 0 when nothing is wrong, and with 1 when a check is warning or critical. A check
    that could not be measured is `unknown`, which is not a finding.

    \b
    Examples:
      leadlog health
      leadlog health --json | jq '.checks[] | select(.state != "ok")'
      leadlog health --only log --only database --timeout 2
      leadlog health --deep --only database
      leadlog health --prometheus

    CHECK is database, airtable, sync, log, shipping, migrations, operations or, if the log
    directory has a model, models: whether its predictions still hold, and its features drifted.
    """  # noqa: D301 - click wants real backspaces
    root = log_directory(directory)
    with _models_too(root):
        found = _found(root, names, database=database, deep=deep, timeout=timeout)
    if prometheus:
        from leadlog.monitor.health.metrics import FigureSource, text

        click.echo(text(FigureSource(root, health=lambda: found)), nl=False)
    elif as_json:
        print_json(found.as_dict())
    else:
        _show(found)
    ctx.exit(0 if found.ok else 1)


@contextmanager
def _models_too(root: Path) -> Iterator[None]:
    """Register the check `models` during the block, if the log directory has a model."""
    from leadlog.monitor.health.health import register, unregister

    if not (root / "models").is_dir():
        yield
        return
    from leadlog.training.drift import has_models, model_checks

    if has_models(root):
        register("models", lambda: model_checks(root), late="unknown")
    try:
        yield
    finally:
        unregister("models")


def _found(
    root: Path, names: tuple[str, ...], *, database: str | None, deep: bool, timeout: float
) -> Health:
    from leadlog.monitor.health.health import check, registered

    known = [one.name for one in registered()]
    for name in names:
        if name not in known:
            raise click.BadParameter(
                f"no check {name!r}; there are {', '.join(known)}", param_hint="--only"
            )
    return check(
        names or None,
        directory=root,
        database=database,
        deep=deep,
        timeout_seconds=timeout,
    )


def _show(found: Health) -> None:
    rows = [(check.name, check.state, check.message) for check in found.checks]
    for check, line in zip(found.checks, table(rows), strict=True):
        click.secho(line, fg=_COLOURS[check.state])
        if check.remedy:
            click.echo(f"  Remedy: {safe(check.remedy)}")
    click.secho(f"\n{found.state}", fg=_COLOURS[found.state], bold=True)

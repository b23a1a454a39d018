"""`leadlog dataset`: write training data from the log, and check it."""

from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import (
    directory_option,
    existing_log,
    json_option,
    log_directory,
    moment_option,
)
from leadlog.cli.terminal import count, message, print_json, safe, table

__all__ = ["check", "dataset"]

_TARGETS = ("slow", "failed", "duration", "throttled")
_GROUPS = ("transaction", "session", "lead", "none")


@click.group(invoke_without_command=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write to: new, empty, or an earlier data set.",
)
@click.option(
    "--target",
    type=click.Choice(_TARGETS),
    default="slow",
    show_default=True,
    help="The outcome to predict.",
)
@moment_option("--from", "Only runs that began at TIME or later; features also use earlier runs.")
@moment_option("--to", "Only runs that ended before TIME.")
@click.option(
    "--group",
    "groups",
    type=click.Choice(_GROUPS),
    multiple=True,
    help="What two parts may not share; may be given several times.  [default: the first three]",
)
@click.option(
    "--embargo",
    "embargo_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time left out between the parts; at least the longest run.",
)
@click.option(
    "--objective-ms",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MS",
    help="For slow: one limit for all operations, instead of each one's 95th percentile.",
)
@directory_option
@json_option
@click.pass_context
def dataset(
    ctx: click.Context,
    /,
    *,
    output: Path | None,
    target: str,
    groups: tuple[str, ...],
    embargo_s: float | None,
    objective_ms: float | None,
    directory: Path | None,
    as_json: bool,
    **moments: str | None,
) -> None:
    """Write training data from the log: the state known when each run began, and its outcome.

    Writes three Parquet files (train, calibration, test) that follow each other in time and share
    no session, transaction or lead; croissant.json; README.md, a Hugging Face card; DATASHEET.md;
    manifest.json with every hash. The same log always gives the same bytes. The files contain no
    name, address, phone number or id of a record.

    \b
    slow        takes longer than 95 % of its operation's last 1,000 runs
    failed      fails because of the database or the program
    duration    how long a bulk call, a monitored function, a sync or a migration takes
    throttled   Airtable throttles the sync, or it fails

    \b
    Examples:
      leadlog dataset -o slow-data
      leadlog dataset -o sync-data --target throttled --from 2026-09-01 --to 2026-11-01
      leadlog dataset check slow-data

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.
    """  # noqa: D301 - click wants real backspaces
    if ctx.invoked_subcommand is not None:
        return
    if output is None:
        raise click.UsageError("name the folder to write to with -o DIR")
    if "none" in groups and len(groups) > 1:
        raise click.UsageError("--group none cannot be combined with another --group")
    from leadlog.training.dataset import write_dataset

    chosen: Any = {} if not groups else {"groups": [one for one in groups if one != "none"]}
    made = write_dataset(
        existing_log(directory),
        output,
        target,
        since=moments["from"],
        until=moments["to"],
        embargo_s=embargo_s,
        objective_ms=objective_ms,
        **chosen,
    )
    if as_json:
        print_json({"directory": str(output), "version": made.version, **made.manifest})
        return
    rows = [
        (one["part"], one["rows"], f"{one['label_mean']:.4g}", one["first"], one["last"])
        for one in made.manifest["files"]
    ]
    for line in table(rows, ("part", "rows", "mean label", "first", "last"), right=(1, 2)):
        click.echo(line)
    dropped = made.manifest["dropped"]
    if dropped["shared_groups"] or dropped["embargo"]:
        message(
            f"left out {count(dropped['shared_groups'], 'run')} of sessions that are in a later "
            f"part, too, and {dropped['embargo']} within {made.manifest['embargo_s']:g} s of the "
            "next part"
        )
    click.echo(f"version {made.version}")


@dataset.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@directory_option
@json_option
@click.pass_context
def check(ctx: click.Context, *, folder: Path, directory: Path | None, as_json: bool) -> None:
    """Check that a data set matches its manifest, and is not stale.

    Compares every hash, and checks that no group is in two parts and that every column is on the
    allow-list. A data set is stale if a label or the features have a new version, or, when there is
    a log (--directory, or the one in the settings if it exists), if persons were erased or days
    changed since.

    \b
    Examples:
      leadlog dataset check slow-data
      leadlog dataset check slow-data --json | jq '.stale[]'

    Exits with 0 when there are no problems, and with 1 when there are or it is stale.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.training.check import check_dataset

    log = existing_log(directory) if directory is not None else log_directory(None)
    report = check_dataset(folder, log if log.is_dir() else None)
    if as_json:
        print_json(report)
    else:
        for text in report["problems"]:
            click.secho(f"problem: {safe(text)}", fg="red")
        for text in report["stale"]:
            click.secho(f"stale: {safe(text)}", fg="yellow")
        if not (report["problems"] or report["stale"]):
            click.echo(f"{folder} is as its manifest says (version {report['version'][:16]})")
        if not report["compared_with_log"]:
            message("there is no log to compare it with; name one with --directory")
    ctx.exit(1 if report["problems"] or report["stale"] else 0)

"""Options that several commands have, so that they mean the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from leadlog.analytics.engine import DuckDBEngine
    from leadlog.analytics.spark import SparkEngine

__all__ = [
    "database_option",
    "directory_option",
    "engine_options",
    "existing_log",
    "json_option",
    "log_directory",
    "moment_option",
    "opened_engine",
]

F = TypeVar("F", bound=Callable[..., Any])


def directory_option(function: F) -> F:
    """`--directory`, the log directory; None where it was not given."""
    return click.option(
        "--directory",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Log directory.  [default: the setting, e.g. LEADLOG_DIRECTORY, or database_logs]",
    )(function)


def database_option(function: F) -> F:
    """`--database`, the lead store's URL; None where it was not given."""
    return click.option(
        "--database",
        metavar="URL",
        help="Lead store.  [default: the setting, e.g. LEADLOG_DATABASE, or sqlite:///leads.db]",
    )(function)


def json_option(function: F) -> F:
    """`--json`: the result as JSON on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def moment_option(name: str, text: str) -> Callable[[F], F]:
    """An option that takes a point in time; its value is text as in the records, or None."""

    def read(ctx: click.Context, parameter: click.Parameter, said: str | None) -> str | None:
        if said is None:
            return None
        from leadlog.clock import format_us
        from leadlog.reading.moments import MomentError, moment

        try:
            return format_us(moment(said))
        except MomentError as error:
            raise click.BadParameter(str(error), ctx, parameter) from error

    return click.option(name, metavar="TIME", callback=read, help=text)


def engine_options(function: F) -> F:
    """`--engine`, `--remote` and `--source`: where a built-in query runs."""
    for option in (
        click.option(
            "--source",
            metavar="URL",
            help="For Spark: the archive, as its workers reach it, e.g. s3a://bucket/archive.  "
            "[default: the archive in the log directory]",
        ),
        click.option(
            "--remote",
            metavar="URL",
            help="For Spark: the server, e.g. sc://host:15002.  [default: SPARK_REMOTE]",
        ),
        click.option(
            "--engine",
            type=click.Choice(["duckdb", "spark"]),
            default="duckdb",
            show_default=True,
            help="DuckDB reads all files in this process; Spark the archive on a cluster.",
        ),
    ):
        function = option(function)
    return function


def opened_engine(
    root: Path, since: str | None, until: str | None, **where: str | None
) -> "DuckDBEngine | SparkEngine":
    """The engine that `engine_options` ask for, to be entered.

    Args:
        root: the log directory.
        since: only events of this moment or later.
        until: only events before this moment.
        where: the values of `engine_options`.

    Raises:
        MissingExtraError: its package is not installed.
    """
    if where["engine"] == "spark":
        from leadlog.analytics.spark import SparkEngine

        return SparkEngine(where["source"] or str(root / "archive"), where["remote"], since, until)
    if where["remote"] or where["source"]:
        raise click.UsageError("--remote and --source are for --engine spark")
    from leadlog.analytics.engine import DuckDBEngine

    return DuckDBEngine(root, since, until)


def existing_log(given: Path | None) -> Path:
    """The log directory to read.

    Raises:
        ReadError: it is not there.
        SettingsError: a setting is unknown or bad.
    """
    root = log_directory(given)
    if not root.is_dir():
        from leadlog.errors import ReadError

        # Not an empty result: a mistyped directory must not look like a quiet day.
        raise ReadError(
            f"there is no log directory {str(root)!r}; name it with --directory or "
            "LEADLOG_DIRECTORY, or run `leadlog demo` to make one"
        )
    return root


def log_directory(given: Path | None) -> Path:
    """The directory that was given, or the one in the settings.

    Raises:
        SettingsError: a setting is unknown or bad.
    """
    if given is not None:
        return given
    from leadlog.settings import load

    return load().settings.directory

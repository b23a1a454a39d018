"""Options shared by several commands, so that they mean the same everywhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from leadlog.reading.analytics.engine import DuckDBEngine
    from leadlog.reading.analytics.spark import SparkEngine

__all__ = [
    "database_option",
    "directory_option",
    "engine_options",
    "existing_log",
    "json_option",
    "log_directory",
    "moment_option",
    "note_export",
    "on_spark",
    "opened_engine",
    "source_directory",
    "spark_engine",
]

F = TypeVar("F", bound=Callable[..., Any])


def directory_option(function: F) -> F:
    """Add `--directory`, the log directory; its value is None when it is not given."""
    return click.option(
        "--directory",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Log directory.  [default: the setting, e.g. LEADLOG_DIRECTORY, or database_logs]",
    )(function)


def database_option(function: F) -> F:
    """Add `--database`, the lead store's URL; its value is None when it is not given."""
    return click.option(
        "--database",
        metavar="URL",
        help="Lead store.  [default: the setting, e.g. LEADLOG_DATABASE, or sqlite:///leads.db]",
    )(function)


def json_option(function: F) -> F:
    """Add `--json`, which prints the result as JSON on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def moment_option(name: str, text: str) -> Callable[[F], F]:
    """Return an option for a point in time; its value is a timestamp as in the records, or None."""

    def read(ctx: click.Context, parameter: click.Parameter, said: str | None) -> str | None:
        if said is None:
            return None
        from leadlog.core.clock import format_us
        from leadlog.reading.moments import MomentError, moment

        try:
            return format_us(moment(said))
        except MomentError as error:
            raise click.BadParameter(str(error), ctx, parameter) from error

    return click.option(name, metavar="TIME", callback=read, help=text)


def engine_options(function: F) -> F:
    """Add `--engine`, `--remote` and `--source`, which choose where a built-in query runs."""
    for option in (
        click.option(
            "--source",
            metavar="URL",
            help="An object store that `leadlog ship` wrote, s3://bucket/prefix, instead of the "
            "log directory. For Spark: the archive, as its workers reach it, e.g. "
            "s3a://bucket/archive.  [default: the archive in the log directory]",
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


@contextmanager
def opened_engine(
    directory: Path | None, since: str | None, until: str | None, **where: str | None
) -> "Iterator[DuckDBEngine | SparkEngine]":
    """Yield the query engine selected by `engine_options`.

    Args:
        directory: the log directory given on the command line, or None.
        since: only events at this time or later.
        until: only events before this time.
        **where: the values of `engine_options`.

    Raises:
        MissingExtraError: the package that this needs is not installed.
        ReadError: there is no log, or the Spark server or the object store cannot be reached.
    """
    if on_spark(**where):
        with spark_engine(directory, since, until, **where) as engine:
            yield engine
        return
    from leadlog.reading.analytics.engine import DuckDBEngine

    with (
        source_directory(directory, where["source"], since, until) as root,
        DuckDBEngine(root, since, until) as opened,
    ):
        yield opened


@contextmanager
def source_directory(
    directory: Path | None, source: str | None, since: str | None, until: str | None
) -> Iterator[Path]:
    """Yield the log directory to read, or a local copy of the requested days of an object store.

    Args:
        directory: the log directory given on the command line, or None.
        source: URL of an object store, or None for the log directory.
        since: only events at this time or later.
        until: only events before this time.

    Raises:
        MissingExtraError: the package that this needs is not installed.
        ReadError: there is no log, or the object store cannot be read.
    """
    if source is None:
        yield existing_log(directory)
        return
    from leadlog.reading.objects import local_copy

    with local_copy(source, since, until) as root:
        yield root


def spark_engine(
    directory: Path | None, since: str | None, until: str | None, **where: str | None
) -> "SparkEngine":
    """Return a Spark engine for the same arguments as `opened_engine`; raises the same errors."""
    from leadlog.reading.analytics.spark import SparkEngine

    return SparkEngine(_source(directory, where["source"]), where["remote"], since, until)


def on_spark(*, engine: str | None, remote: str | None, source: str | None) -> bool:
    """Return True if `engine_options` select Spark; reject options that only Spark takes."""
    if engine != "spark" and (remote or (source and not source.startswith("s3://"))):
        raise click.UsageError(
            "--remote is for --engine spark, and so is a --source that is not s3://bucket/prefix"
        )
    return engine == "spark"


def _source(directory: Path | None, given: str | None) -> str:
    """Return the given location of the archive, or the archive folder in the log directory."""
    if given:
        return given
    from leadlog.core.errors import ReadError
    from leadlog.core.layout import ARCHIVE

    # The Spark server has a different working directory, so the path must be absolute.
    folder = existing_log(directory).resolve() / ARCHIVE
    if not folder.is_dir():
        raise ReadError(
            f"there is no archive {str(folder)!r}, and Spark reads nothing else; seal past days "
            "with `leadlog archive --parquet-after-days 1`, or name an archive with --source"
        )
    return str(folder)


def existing_log(given: Path | None) -> Path:
    """Return the log directory to read, which must exist.

    Raises:
        ReadError: the directory does not exist.
        SettingsError: a setting is unknown or bad.
    """
    root = log_directory(given)
    if not root.is_dir():
        from leadlog.core.errors import ReadError

        # Not an empty result: a mistyped directory must not look like a quiet day.
        raise ReadError(
            f"there is no log directory {str(root)!r}; name it with --directory or "
            "LEADLOG_DIRECTORY, or run `leadlog demo` to make one"
        )
    return root


def note_export(directory: Path, file: Path) -> None:
    """Register a file with exported log data, so that an erasure can report it."""
    from leadlog.cli.terminal import message
    from leadlog.core import places

    if not file.is_file():
        return  # a device or a pipe
    try:
        places.note_export(directory, file)
    except OSError as error:
        message(f"`leadlog erase` will not know of {file}: {error}")


def log_directory(given: Path | None) -> Path:
    """Return the given log directory, or the one in the settings.

    Raises:
        SettingsError: a setting is unknown or bad.
    """
    if given is not None:
        return given
    from leadlog.core.settings import load

    return load().settings.directory

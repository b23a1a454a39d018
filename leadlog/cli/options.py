"""Options that several commands have, so that they mean the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "database_option",
    "directory_option",
    "existing_log",
    "json_option",
    "log_directory",
    "moment_option",
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

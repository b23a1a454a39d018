"""Options that several commands have, so that they mean the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["database_option", "directory_option", "json_option", "log_directory"]

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


def log_directory(given: Path | None) -> Path:
    """The directory that was given, or the one in the settings.

    Raises:
        SettingsError: a setting is unknown or bad.
    """
    if given is not None:
        return given
    from leadlog.settings import load

    return load().settings.directory

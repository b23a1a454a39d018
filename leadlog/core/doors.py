"""How leadlog was called, so that the remedy in an error names something its reader can change.

A function called from Python has parameters; the same function behind a command has options.
`parameter` returns the name that fits.
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["command_line", "parameter"]

_commands: list[None] = []
"""One entry for each command of `leadlog` that this process is running; empty in an application."""


@contextmanager
def command_line() -> Iterator[None]:
    """Make `parameter` name options instead of parameters while the block runs."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def parameter(python: str, option: str) -> str:
    """Return the name of a parameter or option as the caller of leadlog has to write it.

    Args:
        python: The parameter, such as `since`, or with its value if the remedy includes one, such
            as `force=True`.
        option: The option of the command, such as `--since`.
    """
    if _commands:
        return option
    return f"`{python}`" if "=" in python else f"`{python}=`"

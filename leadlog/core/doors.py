"""Which door leadlog was entered by, so that a remedy names what its reader can change.

A function that is called from Python has parameters; the same function behind a command has
options. `parameter` names the one that the reader used.
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["command_line", "parameter"]

_commands: list[None] = []
"""One entry for each command of `leadlog` that this process is running; empty in an application."""


@contextmanager
def command_line() -> Iterator[None]:
    """Name options in place of parameters while the block runs."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def parameter(python: str, option: str) -> str:
    """Return the name of a parameter as the caller of leadlog has to write it.

    Args:
        python: The parameter, with its value if the remedy is one, such as `since` or `force=True`.
        option: The option of the command, such as `--since`.
    """
    if _commands:
        return option
    return f"`{python}`" if "=" in python else f"`{python}=`"

"""Import of typed-settings, which needs a working directory, also where that was deleted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["somewhere", "typed_settings", "types"]


@contextmanager
def somewhere() -> Iterator[None]:
    """Change to the root directory for the block if the working directory was deleted."""
    try:
        os.getcwd()  # noqa: PTH109 - called only to see whether it raises
    except OSError:
        here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
        try:
            os.chdir(os.sep)
            yield
        finally:
            os.fchdir(here)
            os.close(here)
    else:
        yield


with somewhere():
    import typed_settings
    from typed_settings import types

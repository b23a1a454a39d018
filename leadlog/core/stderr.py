"""Messages about leadlog itself, written to standard error only."""

import contextlib
import sys

__all__ = ["tell"]


def tell(message: str) -> None:
    """Write a line to standard error; never raise, and never write anywhere else.

    Standard error may be closed, None, full, or a pipe that nobody reads.
    """
    stream = sys.stderr
    if stream is not None and not sys.is_finalizing():  # then even imports fail
        # A replaced stream may raise anything, and there is nowhere left to report it.
        with contextlib.suppress(Exception):
            stream.write(f"{message}\n")
            stream.flush()

"""Messages about leadlog itself, which go to standard error or nowhere."""

import contextlib
import sys

__all__ = ["tell"]


def tell(message: str) -> None:
    """Write a line to standard error; never raise, and never write anywhere else.

    Standard error may be closed, None, full, or a pipe that is no longer read.
    """
    stream = sys.stderr
    if stream is not None and not sys.is_finalizing():  # then not even an import works
        # Whatever a stream in its place raises; there is nowhere left to say so.
        with contextlib.suppress(Exception):
            stream.write(f"{message}\n")
            stream.flush()

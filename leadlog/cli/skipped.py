"""What is said about lines that could not be read."""

from leadlog.cli.terminal import message
from leadlog.reading.events import Skipped

__all__ = ["say_skipped"]


def say_skipped(skipped: Skipped) -> None:
    """One line on standard error, where there were damaged lines."""
    if skipped.lines:
        path, offset = skipped.places[0]
        message(f"skipped {skipped.lines} damaged lines, the first in {path} at byte {offset}")

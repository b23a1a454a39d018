"""Helpers of the commands that read a whole log."""

import gc

import click

from leadlog.cli.terminal import count, message
from leadlog.reading.events import Skipped

__all__ = ["collect_nothing", "say_skipped"]


def collect_nothing(ctx: click.Context) -> None:
    """Turn the garbage collector off until the command ends.

    Events form no cycles, and searching for some takes as long as reading the events.
    """
    if gc.isenabled():
        gc.disable()
        ctx.call_on_close(gc.enable)


def say_skipped(skipped: Skipped) -> None:
    """Print one line on standard error if there were damaged lines."""
    if skipped.lines:
        path, offset = skipped.places[0]
        message(
            f"skipped {count(skipped.lines, 'damaged line')}, the first in {path} at byte {offset}"
        )

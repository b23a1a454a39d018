"""Access to the index of the log, for commands that need few of many events."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from leadlog.cli.terminal import shows_progress
from leadlog.reading.index import Index, Progress, open_index

__all__ = ["indexing", "opened_index"]

_WORTH_A_BAR = 8 * 1024 * 1024


@contextmanager
def opened_index(root: Path) -> Iterator[Index | None]:
    """Yield the up-to-date index of a log; None if there is none, so the files must be read.

    Indexing a large log for the first time takes a while; a terminal shows a progress bar.

    Raises:
        ReadError: a log file cannot be read.
    """
    with indexing() as progress:
        index = open_index(root, progress)
    if index is None:
        yield None
    else:
        with index:
            yield index


@contextmanager
def indexing() -> Iterator[Progress | None]:
    """Yield a callback that draws the progress of indexing; None without a terminal."""
    with ExitStack() as stack:
        bar: Any = None
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal bar, shown
            if total < _WORTH_A_BAR:
                return
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=total, label="indexing the log", file=sys.stderr)
                )
            bar.update(done - shown)
            shown = done

        yield progress if shows_progress() else None

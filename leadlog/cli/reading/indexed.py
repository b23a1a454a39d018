"""The index of the log, for commands that look for few events in many."""

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
    """Open the index of a log, up to date; None where there is none and the log is read itself.

    The first time takes a while with a large log; a bar on a terminal shows how far it is.

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
    """Give what shows how far the indexing is; None where standard error is not a terminal."""
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

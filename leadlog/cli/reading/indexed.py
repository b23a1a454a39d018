"""The index of the log, for commands that look for few events in many."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from leadlog.cli.terminal import shows_progress
from leadlog.reading.index import Index, open_index

__all__ = ["opened_index"]


@contextmanager
def opened_index(root: Path) -> Iterator[Index | None]:
    """Open the index of a log, up to date; None where there is none and the log is read itself.

    The first time takes a while with a large log; a bar on a terminal shows how far it is.

    Raises:
        ReadError: a log file cannot be read.
    """
    with ExitStack() as stack:
        bar: Any = None
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal bar, shown
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=total, label="indexing the log", file=sys.stderr)
                )
            bar.update(done - shown)
            shown = done

        index = open_index(root, progress if shows_progress() else None)
    if index is None:
        yield None
    else:
        with index:
            yield index

"""A helper process that gathers pieces for the process that started it: see `helpers`."""

import gc
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from leadlog.core.errors import ReadError
from leadlog.reading.events import open_content
from leadlog.reading.index.gather import Gatherer, IndexSource
from leadlog.reading.index.helpers import receive, send

__all__ = ["main"]

_PIECE_BYTES: Final = 16 * 1024 * 1024


def main() -> None:
    """Answer each part on standard input with its pieces, until the input ends."""
    gc.disable()  # there are no cycles, and the process ends soon
    gatherer = Gatherer()
    with suppress(EOFError, OSError):
        while True:
            _answer(gatherer, receive(sys.stdin.buffer))


def _answer(gatherer: Gatherer, part: tuple[Any, ...]) -> None:
    answers = sys.stdout.buffer
    category, path, start, stop = part
    # The caller meets the same read error.
    with suppress(ReadError), open_content(Path(path)) as stream:
        source = IndexSource(category, Path(path), stream)
        while stop is None or start < stop:
            piece = gatherer.gather(source, start, _PIECE_BYTES, stop)
            if piece.end == start:
                break
            send(answers, (start, tuple(piece)))
            start = piece.end
        send(answers, (start, None))
    send(answers, None)


if __name__ == "__main__":
    main()

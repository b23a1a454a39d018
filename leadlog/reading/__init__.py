"""Readers of the log. They know the files (folders, names, lines) and nothing of the writers.

`events` reads one file, `merged` all of them, `tail` follows them, `where` is the little language
of `--where`. `change` understands what a record says about a table, `replay` (with `table` and
`rows`) makes the table of it, and `history` the story of one row. None of them needs the store or
the logging chain.

`scan` makes one SQL relation of a category, `tables` names them, `query` runs SQL of anybody's in
a process that can do nothing else (`sandbox`). For programs:

    from leadlog.reading import frame, iter_events, run_query
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.reading.frames import frame, iter_events
    from leadlog.reading.query import Limits, run_query

__all__ = ["Limits", "frame", "iter_events", "run_query"]

_HOMES = {"iter_events": "frames", "frame": "frames", "run_query": "query", "Limits": "query"}


def __getattr__(name: str) -> Any:
    """Import what is asked for; a command that only follows files loads none of it."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

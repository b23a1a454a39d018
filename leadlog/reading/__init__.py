"""Readers of the log. They depend on the files (folders, names, lines), not on the writers.

`events` reads one file, `merged` all of them, `tail` follows them, `where` parses `--where`.
`change` interprets what a record says about a table; from such changes `replay` (with `table` and
`rows`) rebuilds the table, and `history` the history of one row. None of them needs the store or
the logging chain.

`scan` returns a category as an SQL relation, `tables` names the relations, `query` runs SQL of
users in a restricted process (`sandbox`). For programs:

    from leadlog.reading import frame, iter_events, run_query
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.reading.frames import frame, iter_events
    from leadlog.reading.query import Limits, run_query

__all__ = ["Limits", "frame", "iter_events", "run_query"]

_HOMES = {"iter_events": "frames", "frame": "frames", "run_query": "query", "Limits": "query"}


def __getattr__(name: str) -> Any:
    """Import an attribute on first use; commands that only follow files need none."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

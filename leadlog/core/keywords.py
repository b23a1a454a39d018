"""Checks of keyword arguments declared by a TypedDict, for calls without a type checker.

>>> check_keywords("capture", {"exclud": ()}, frozenset({"exclude", "hits"}))
Traceback (most recent call last):
    ...
TypeError: leadlog.capture() has no option 'exclud'; did you mean 'exclude'? It has exclude, hits
"""

from collections.abc import Iterable
from difflib import get_close_matches


def check_keywords(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of keyword arguments.

    Args:
        function: the function that was called, by its public name.
        given: the names that the caller passed.
        known: the valid names.

    Raises:
        TypeError: a name is unknown; the message names it, the closest match and all valid names.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise TypeError(
                f"leadlog.{function}() has no option {name!r}{hint} It has {', '.join(names)}"
            )

"""Containers: changes to nested items that leave the original containers untouched.

Objects nested in an event may belong to the application, so a change copies the containers around
it, and only those.

>>> event = {"lead": {"name": "Ana", "tags": ["x"]}, "n": [1, 2]}
>>> shout = lambda key, item, above: (
...     item.upper() if isinstance(item, str) else rebuild(item, above, shout)
... )
>>> changed = rebuild(event, set(), shout)
>>> changed, changed["n"] is event["n"], event["lead"]["name"]
({'lead': {'name': 'ANA', 'tags': ['X']}, 'n': [1, 2]}, True, 'Ana')
"""

from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Any, Final

_SEQUENCES: Final = (list, tuple, set, frozenset)
CONTAINERS: Final = (dict, *_SEQUENCES, Mapping)
"""Types that masking searches; a tuple, because a union in a call is built anew each time."""


CYCLE: Final = "<cycle>"
UNREADABLE: Final = "<unreadable>"
_DEEPEST: Final = 64
"""Maximum nesting depth, the same as for rendering."""


Change = Callable[[object, Any, set[int]], Any]
Rename = Callable[[str], str]


def _same(key: str) -> str:
    return key


def rebuild(value: Any, above: set[int], change: Change, rename: Rename = _same) -> Any:
    """Return a container with each item replaced by `change(key, item, above)`.

    Args:
        value: a mapping, list, tuple or set. Anything else is returned unchanged.
        above: identities of the containers around this one.
        change: returns the new item; the key of a list's item is None. It is not called for None,
            True and False, which reveal nothing, whatever their key.
        rename: returns the replacement of a text key. Keys that become equal are numbered, so
            that no item is lost.

    Returns:
        The same object if nothing changed, otherwise a dict, tuple or list. A container inside
        itself becomes `<cycle>`, one that is nested too deeply or whose own code raises becomes
        `<unreadable>`: content that cannot be searched is not passed on.
    """
    if not isinstance(value, CONTAINERS):
        return value
    mark = id(value)
    if mark in above:
        return CYCLE
    if len(above) >= _DEEPEST:
        return UNREADABLE
    above.add(mark)
    try:
        if type(value) is dict or isinstance(value, Mapping):
            return _rebuild_mapping(value, above, change, rename)
        return _rebuild_sequence(value, above, change)
    finally:
        above.discard(mark)


def _rebuild_mapping(
    value: Mapping[Any, Any], above: set[int], change: Change, rename: Rename
) -> Any:
    try:
        items = tuple(value.items())  # a snapshot: the application may change its own mapping
    except Exception:  # noqa: BLE001 - a container's own code may raise anything
        return UNREADABLE
    copy: dict[Any, Any] = {}
    changed = False
    for key, item in items:
        new, new_key = item, key
        if not (item is None or item is True or item is False):
            new = change(key, item, above)
        if isinstance(key, str):
            new_key = rename(key)
            if new_key != key:
                changed = True
                new_key = _free(new_key, copy)
            elif key in copy:  # the result of an earlier rename gives way
                copy[_free(key, copy)] = copy[key]
        changed = changed or new is not item
        copy[new_key] = new
    return copy if changed else value


def _free(key: str, taken: Mapping[Any, Any]) -> str:
    """Return `key`, with a number if it is taken."""
    if key not in taken:
        return key
    return next(name for n in count(2) if (name := f"{key} ({n})") not in taken)


def _rebuild_sequence(value: Collection[Any], above: set[int], change: Change) -> Any:
    try:
        items = tuple(value)
    except Exception:  # noqa: BLE001 - any object of the application
        return UNREADABLE
    new_items = [
        item if item is None or item is True or item is False else change(None, item, above)
        for item in items
    ]
    if all(new is old for new, old in zip(new_items, items, strict=True)):
        return value
    return tuple(new_items) if isinstance(value, tuple) else new_items

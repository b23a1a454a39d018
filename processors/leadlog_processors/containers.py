"""Containers: changes what is in them without writing to them.

What is nested in an event may belong to the application, so a change makes a copy of the containers
around it, and of those only.

>>> event = {"lead": {"name": "Ana", "tags": ["x"]}, "n": [1, 2]}
>>> shout = lambda key, item, above: (
...     item.upper() if isinstance(item, str) else rebuild(item, above, shout)
... )
>>> changed = rebuild(event, set(), shout)
>>> changed, changed["n"] is event["n"], event["lead"]["name"]
({'lead': {'name': 'ANA', 'tags': ['X']}, 'n': [1, 2]}, True, 'Ana')
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

_SEQUENCES: Final = (list, tuple, set, frozenset)
CONTAINERS: Final = (dict, *_SEQUENCES, Mapping)
"""What masking looks into; a tuple, because a union in a call is built anew each time."""


CYCLE: Final = "<cycle>"
UNREADABLE: Final = "<unreadable>"
_DEEPEST: Final = 64
"""Levels, as many as rendering opens."""


Change = Callable[[object, Any, set[int]], Any]


def rebuild(value: Any, above: set[int], change: Change) -> Any:
    """A container with `change(key, item, above)` in the place of each item.

    Args:
        value: a mapping, list, tuple or set. Anything else is returned as it is.
        above: identities of the containers around this one.
        change: gives the new item; the key of a list's item is None. It is not asked about items
            that are None, True or False: they say nothing, whatever their key is.

    Returns:
        The same object if no item changed, else a dict, tuple or list. A container inside itself
        becomes `<cycle>`, one that is nested absurdly deep or whose own code raises
        `<unreadable>`: what was not looked into does not pass.
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
            return _rebuild_mapping(value, above, change)
        return _rebuild_sequence(value, above, change)
    finally:
        above.discard(mark)


def _rebuild_mapping(value: Mapping[Any, Any], above: set[int], change: Change) -> Any:
    try:
        items = tuple(value.items())  # at once: the application may write to what is its own
    except Exception:  # noqa: BLE001 - a container's own code may raise anything
        return UNREADABLE
    copy: dict[Any, Any] | None = None
    for key, item in items:
        if item is None or item is True or item is False:
            continue
        new = change(key, item, above)
        if new is not item:
            if copy is None:
                copy = dict(items)
            copy[key] = new
    return value if copy is None else copy


def _rebuild_sequence(value: Collection[Any], above: set[int], change: Change) -> Any:
    try:
        items = tuple(value)
    except Exception:  # noqa: BLE001 - as above
        return UNREADABLE
    new_items = [
        item if item is None or item is True or item is False else change(None, item, above)
        for item in items
    ]
    if all(new is old for new, old in zip(new_items, items, strict=True)):
        return value
    return tuple(new_items) if isinstance(value, tuple) else new_items

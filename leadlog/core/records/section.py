"""Conversion of the caller's values into the sections of a record, guided by its types."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from typing_extensions import is_typeddict

from leadlog.core.records import coerce
from leadlog.core.records.coerce import Extra
from leadlog.core.records.hints import bare, keys_of
from leadlog_processors.envelope import ENVELOPE

Event = dict[str, Any]
"""The event dict of the processor chain: `log_type` and the sections of a record."""

Fit = Callable[[Any, str, Extra], Any]

_PLAIN: dict[Any, Fit] = {
    float: coerce.number,
    int: coerce.integer,
    bool: coerce.boolean,
    str: coerce.text,
}


_BOUNDS: dict[Any, tuple[float, float]] = {
    float: (-coerce.MOST, coerce.MOST),
    int: (-coerce.MOST, coerce.MOST),
}
_DURATION = (0.0, coerce.MOST_MS)

Fitting = tuple[Any, tuple[float, float] | None, Fit]
"""The exact type that needs no conversion (None if every value is converted), the smallest and the
largest value of that type allowed without conversion, and the conversion."""


def _fit(key: str, hint: Any) -> Fitting:
    plain = bare(hint)
    if plain is float and key.endswith("_ms"):
        return float, _DURATION, coerce.duration
    if plain in _PLAIN:
        return plain, _BOUNDS.get(plain), _PLAIN[plain]
    origin, arguments = get_origin(plain), get_args(plain)
    if origin is Literal:
        return None, None, coerce.one_of(arguments)
    if origin is list:
        return None, None, coerce.texts
    of = bare(arguments[1])
    if of is float:
        return None, None, coerce.numbers
    return (None, None, coerce.counts) if of is int else (dict, None, coerce.mapping)


class Blank:
    """Factory of the empty event of a log type: every section, every key, all values unknown.

    Args:
        record: the TypedDict of the log type.
    """

    def __init__(self, record: Any) -> None:
        keys = keys_of(record)
        (log_type,) = get_args(keys["log_type"])
        self._envelope = {**ENVELOPE, "log_type": log_type}
        self._sections: list[tuple[str, Any]] = [
            (key, dict.fromkeys(keys_of(hint)) if is_typeddict(hint) else [])
            for key, hint in keys.items()
            if is_typeddict(hint) or get_origin(hint) is list
        ]

    def __call__(self) -> Event:
        """Return a new event."""
        event: Event = self._envelope.copy()
        for key, empty in self._sections:
            event[key] = empty.copy()
        return event


class SectionReader:
    """Reader that copies a mapping of the caller's into sections of an event.

    A value of the right type is stored as it is; another value is converted. Values that cannot be
    converted, and keys that no section has, are put into `extra`. The cost grows with the number of
    values passed, not with the size of the record.

    Args:
        path: the caller's name for the mapping, which begins the paths in `extra`.
        sections: mapping of section name to TypedDict.
        aliases: mapping of other names that callers may use to the record's own names; the record's
            own name wins if both are given.
        ignored: keys that other code reads.
    """

    def __init__(
        self,
        path: str,
        sections: Mapping[str, Any],
        aliases: Mapping[str, str] | None = None,
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        self._path = path
        self._ignored = ignored
        self._slots: dict[str, tuple[str, str, Fitting]] = {}
        for section, record in sections.items():
            for key, hint in keys_of(record).items():
                self._slots.setdefault(key, (section, key, _fit(key, hint)))
        for alias, key in (aliases or {}).items():
            self._slots[alias] = self._slots[key]

    def __call__(self, source: Any, event: Event, extra: Extra) -> None:
        """Store `source` in `event`; a `source` that is not a mapping is put into `extra`."""
        # Check the exact type first: an isinstance check of an abstract class costs as much as two
        # fields.
        if type(source) is not dict and not isinstance(source, Mapping):
            if source is not None:
                extra[self._path] = source
            return
        slots = self._slots
        for given, value in source.items():
            if value is None:
                continue
            slot = slots.get(given)
            if slot is None:
                if given not in self._ignored:
                    extra[f"{self._path}.{given}"] = value
                continue
            section, key, (kind, bounds, fit) = slot
            target = event[section]
            if given != key and target[key] is not None:
                continue
            if type(value) is kind and (bounds is None or bounds[0] <= value <= bounds[1]):
                target[key] = value
            else:
                fitted = fit(value, f"{self._path}.{given}", extra)
                if fitted is not None:
                    target[key] = fitted

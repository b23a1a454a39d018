"""Oddities of events that can be read, such as values that cannot have been measured.

No reader stops at such an event. The summary and the built-in queries exclude the values; `leadlog
doctor` reports the events.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from leadlog.core.records.coerce import MOST, MOST_MS
from leadlog_processors.fields import SCHEMA_VERSION

__all__ = ["oddities"]

_FIRST_YEAR: Final = "1970"


def oddities(data: Mapping[str, Any], date: str) -> Iterator[str]:
    """Yield the oddities of an event, as text.

    Args:
        data: the event.
        date: UTC day of its file, `2026-11-23`.
    """
    stamp = data["timestamp"]
    if stamp[:10] > date or stamp < _FIRST_YEAR:
        yield f"timestamp {stamp} in the file of {date}"
    version = data.get("schema_version", SCHEMA_VERSION)
    if type(version) is not int or version > SCHEMA_VERSION:
        yield f"schema_version {version!r}, of which this leadlog knows up to {SCHEMA_VERSION}"
    rate = data.get("sample_rate", 1.0)
    if type(rate) not in (int, float) or not 0 < rate <= 1:
        yield f"sample_rate {rate!r}"
    for section, values in data.items():
        if type(values) is not dict:
            continue
        if section == "extra":
            yield from _not_taken(data, values)
        elif section != "context":
            for key, value in values.items():
                if type(value) in (int, float) and not _plausible(key, value):
                    yield f"{section}.{key} {value!r}"


def _plausible(key: str, value: float) -> bool:
    return 0 <= value <= MOST_MS if key.endswith("_ms") else -MOST <= value <= MOST


def _not_taken(data: Mapping[str, Any], extra: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that a caller passed for keys of the record that cannot have them."""
    for path, value in extra.items():
        section, dot, _ = path.partition(".")
        if dot and type(data.get(section)) is dict:
            yield f"{path} {value!r} was passed, which it cannot be"

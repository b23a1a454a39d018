"""Converters and validators of settings, and the field that declares one."""

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import attrs

from leadlog.core.records.operation import OPERATION_TYPES
from leadlog_processors.fields import LOG_TYPES
from leadlog_processors.masking import MASK, mask_url

__all__ = [
    "ascend",
    "at_least",
    "bands",
    "file_mode_of",
    "json_object",
    "one_of",
    "rates",
    "ring_sizes",
    "setting",
    "share",
    "text_keys",
]


def json_object(value: Any) -> Any:
    """Return a mapping; a JSON text, as in the environment, is parsed."""
    return json.loads(value) if isinstance(value, str) else dict(value)


def one_of(*allowed: str) -> Callable[[Any, Any, Any], None]:
    """Return a validator that accepts only the given words."""

    def check(instance: object, attribute: Any, value: object) -> None:
        if value not in allowed:
            close = get_close_matches(str(value), allowed, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{attribute.name} = {value!r} is none of {', '.join(allowed)}{hint}")

    return check


def at_least(least: float) -> Callable[[Any, Any, Any], None]:
    """Return a validator that refuses numbers below `least`."""

    def check(instance: object, attribute: Any, value: float) -> None:
        if not value >= least:
            raise ValueError(f"{attribute.name} = {value!r} is below {least}")

    return check


def file_mode_of(value: Any) -> int:
    """Return a file mode, given as a number or as octal text such as `0640`."""
    mode = int(value, 8) if isinstance(value, str) else int(value)
    if not 0 <= mode <= 0o777:
        raise ValueError(f"{value!r} is not a file mode; write it like 0640")
    return mode


def ring_sizes(instance: object, attribute: Any, value: Mapping[str, int]) -> None:
    """Validate that no ring is smaller than 65,536 bytes."""
    for name, size in value.items():
        if size < 1 << 16:
            raise ValueError(f"{attribute.name}: {size} bytes for {name!r} is below {1 << 16}")


def rates(instance: object, attribute: Any, value: Mapping[str, Any]) -> None:
    """Validate a mapping of operations and log types to numbers from 0 to 1."""
    known = (*OPERATION_TYPES, *LOG_TYPES, "*")
    for name, rate in value.items():
        near = () if name in known else get_close_matches(str(name), known, 1, 0.8)
        if near:  # other names may be the application's own operations
            raise ValueError(
                f"{attribute.name}: there is no operation or log type {name!r}; did you mean "
                f"{near[0]!r}?"
            )
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(
                f"{attribute.name}: the rate {rate!r} of {name!r} is not a number from 0 to 1"
            )


def text_keys(instance: object, attribute: Any, value: Mapping[str, Any]) -> None:
    """Validate a table whose keys are text."""
    # `leadlog.monitor.configuration`, which knows the rules, checks the contents.
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{attribute.name}: the key {key!r} is not text")


def ascend(limits: Sequence[float]) -> bool:
    """Return whether limits are positive and strictly ascending."""
    return all(low < high for low, high in pairwise((0.0, *limits)))


def bands(instance: object, attribute: Any, value: Mapping[str, Any]) -> None:
    """Validate a mapping of names to four ascending limits."""
    for name, limits in value.items():
        if not isinstance(limits, list | tuple) or len(limits) != 4 or not ascend(limits):
            raise ValueError(
                f"{attribute.name}: {name!r} needs four ascending limits in ms, not {limits!r}"
            )


def share(instance: object, attribute: Any, value: float) -> None:
    """Validate a number from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} = {value!r} is not a share from 0 to 1")


def setting(
    default: Any,
    help: str,  # noqa: A002 - the word the documentation and the command line use
    *,
    unit: str = "",
    secret: bool = False,
    shown: Callable[[Any], str] = str,
    **options: Any,
) -> Any:
    """Return the attrs field of a setting.

    Args:
        default: its default value.
        help: description shown to users.
        unit: unit of the value, shown to users.
        secret: whether the value is masked wherever it is displayed.
        shown: function that converts the value to text.
        options: further arguments of `attrs.field`.
    """
    metadata = {"help": help, "unit": unit, "secret": secret, "shown": shown}
    if secret:
        options["repr"] = lambda value: repr(mask_url(value) if shown is mask_url else MASK)
    if isinstance(default, dict):
        return attrs.field(factory=default.copy, metadata=metadata, **options)
    return attrs.field(default=default, metadata=metadata, **options)

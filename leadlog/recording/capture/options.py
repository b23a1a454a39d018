"""What `capture` can be asked to leave out, or to take in."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypedDict

import attrs

from leadlog.core.keywords import check_keywords

OPERATIONS = ("create", "read", "update", "delete")
"""What may be done to a row."""


def _operations(value: Iterable[str]) -> frozenset[str]:
    chosen = (value,) if isinstance(value, str) else tuple(value)
    for name in chosen:
        if name not in OPERATIONS:
            near = get_close_matches(str(name), OPERATIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"operations: {name!r} is none of {', '.join(OPERATIONS)}{hint}")
    return frozenset(chosen)


def _names(value: Iterable[str]) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value)


def _share(_options: object, attribute: Any, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} = {value!r} is not a share from 0 to 1")


def _positive(_options: object, attribute: Any, value: float | None) -> None:
    if value is not None and value < 0:
        raise ValueError(f"{attribute.name} = {value!r} is below 0")


def _database(_options: object, _attribute: Any, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value or ":" in value):
        raise ValueError(f"database = {value!r} is not a name; give a text without a colon")


class CaptureKeywords(TypedDict, total=False):
    """The options of `leadlog.capture`, as a caller writes them; see `CaptureOptions`."""

    operations: str | Iterable[str]
    exclude: str | Iterable[str]
    read_sample: float
    slow_read_ms: float | None
    statement_ms: float | None
    internal: bool
    hits: bool
    transaction_records: int
    database: str | None


@attrs.frozen(kw_only=True)
class CaptureOptions:
    """What of a captured class is recorded.

    Attributes:
        operations: of create, read, update and delete, those that are recorded.
        exclude: columns whose values appear nowhere; their names do.
        read_sample: share of the reads that is recorded, 0 to 1; its records say so.
        slow_read_ms: reads from this duration on are recorded whatever `read_sample` says;
            None treats slow ones as others.
        internal: whether lazy loads, refreshes and the reads of `merge` are recorded.
        hits: whether `Session.get` is recorded where the object was there already.
        statement_ms: calls from this duration on have their SQL in the record, without values, as
            failed ones have; 0 for all, None for failed ones only.
        transaction_records: changes of one transaction that have a record each; what is more
            is counted, by class and operation.
        database: a name for the database, where a log has rows of several with the same classes,
            as one for each tenant or shard; their rows are kept apart by it.
    """

    operations: frozenset[str] = attrs.field(default=frozenset(OPERATIONS), converter=_operations)
    exclude: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    read_sample: float = attrs.field(default=1.0, validator=_share)
    slow_read_ms: float | None = attrs.field(default=None, validator=_positive)
    statement_ms: float | None = attrs.field(default=100.0, validator=_positive)
    internal: bool = False
    hits: bool = False
    transaction_records: int = attrs.field(default=10_000, validator=_positive)
    database: str | None = attrs.field(default=None, validator=_database)


def options_of(keywords: Mapping[str, Any]) -> CaptureOptions:
    """Return the options that a caller wrote.

    Args:
        keywords: by name.

    Raises:
        TypeError: there is no such option.
        ValueError: one has a bad value.
    """
    check_keywords("capture", keywords, CaptureKeywords.__optional_keys__)
    return CaptureOptions(**keywords)

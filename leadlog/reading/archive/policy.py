"""The janitor's policy: from which age it compresses, and what it may remove."""

from collections.abc import Callable, Mapping

import attrs

from leadlog.core.errors import SettingsError
from leadlog.core.limits import EVERY, TOTAL, bytes_by_category, days_by_category

__all__ = ["Policy"]

COMPRESS_AFTER_DAYS = 7


def _compress_after(value: object) -> int:
    return _read("compress_after_days", days_by_category, value)[EVERY]


def _parquet_after(value: object) -> int:
    return _read("parquet_after_days", days_by_category, value)[EVERY]


def _retention_days(value: object) -> dict[str, int]:
    return _read("retention_days", days_by_category, {} if value is None else value)


def _retention_bytes(value: object) -> dict[str, int]:
    return _read("retention_bytes", bytes_by_category, {} if value is None else value)


def _read(name: str, read: Callable[[object], dict[str, int]], value: object) -> dict[str, int]:
    if isinstance(value, Mapping):
        value = {key: 0 if limit is None else limit for key, limit in value.items()}
    try:
        return read(0 if value is None else value)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error


@attrs.frozen
class Policy:
    """How long files stay unchanged, and how long they are kept.

    A file is older than N days when the last moment of its UTC day is at least N days ago.

    Attributes:
        compress_after_days: files older than this are compressed; 0 or None: never.
        parquet_after_days: files older than this are sealed to Parquet, compressed or not; 0 or
            None: never. Needs `leadlog[analytics]`.
        retention_days: files older than this are removed: a number for every category, or a
            mapping by category with `*` for all others; 0, None or no entry: kept forever.
        retention_bytes: limit of all files together, or a mapping by category with `total` for all
            together; beyond it the oldest are removed. 0, None or no entry: no limit.

    Raises:
        SettingsError: a value is not such a number, or the category does not exist.
    """

    compress_after_days: int = attrs.field(default=COMPRESS_AFTER_DAYS, converter=_compress_after)
    retention_days: dict[str, int] = attrs.field(default=None, converter=_retention_days)
    retention_bytes: dict[str, int] = attrs.field(default=None, converter=_retention_bytes)
    parquet_after_days: int = attrs.field(default=0, converter=_parquet_after)

    def days(self, category: str) -> int:
        """Return the number of days that a category's files are kept; 0 for no limit."""
        return self.retention_days.get(category, self.retention_days.get(EVERY, 0))

    def sizes(self) -> dict[str, int]:
        """Return the limits in bytes by category; that of all together, `total`, last."""
        limits = self.retention_bytes
        names = sorted(limits, key=lambda name: (name == TOTAL, name))
        return {name: limits[name] for name in names if limits[name]}

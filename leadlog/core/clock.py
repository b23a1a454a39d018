"""Timestamps and identifiers in the form of the records (see `leadlog_processors.clock`)."""

from leadlog_processors.clock import format_us, new_id, now_us, utc_date
from leadlog_processors.clock import parse_us as parse

__all__ = ["format_us", "new_id", "now_us", "parse", "utc_date"]

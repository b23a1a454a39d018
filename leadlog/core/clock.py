"""Time and identifiers as the records have them (see `leadlog_processors.clock`)."""

from leadlog_processors.clock import format_us, new_id, now_us, utc_date
from leadlog_processors.clock import parse_us as parse

__all__ = ["format_us", "new_id", "now_us", "parse", "utc_date"]

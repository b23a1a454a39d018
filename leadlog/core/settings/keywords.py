"""The settings as keyword arguments, for completion in editors and for type checkers.

The names are those of `leadlog.core.settings.Settings`, where each is described; a test compares
the two. Values may be anything that the settings' converters accept. None stands for "not given".
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class SettingsKeywords(TypedDict, total=False):
    """The settings that `leadlog.configure` takes; see docs/reference/settings.md."""

    directory: str | os.PathLike[str] | None
    enabled: bool | None
    level: Literal["debug", "info", "warning", "error", "critical"] | None
    console: Literal["off", "auto", "on"] | None
    database: str | None
    tier_excellent_ms: float | None
    tier_good_ms: float | None
    tier_acceptable_ms: float | None
    tier_slow_ms: float | None
    tier_overrides: Mapping[str, Sequence[float]] | None
    complexity_size_bytes: int | None
    complexity_queries: int | None
    optimization_needed_ms: float | None
    pii: Literal["plain", "pseudonymised", "masked"] | None
    pseudonym_key: str | None
    sampling: Mapping[str, float] | None
    enrich: Literal["drain", "caller"] | None
    line_limit_bytes: int | None
    memory_sample_seconds: float | None
    store_sample_seconds: float | None
    ring_bytes: int | str | Mapping[str, int | str] | None
    overflow_bytes: int | None
    poll_seconds: float | None
    segment_bytes: int | None
    durability: Literal["process", "fsync"] | None
    file_mode: int | str | None
    directory_mode: int | str | None
    host: str | None
    compress_after_days: int | None
    parquet_after_days: int | None
    retention_days: int | str | Mapping[str, int | str] | None
    retention_bytes: int | str | Mapping[str, int | str] | None
    airtable_api_key: str | None
    airtable_base_id: str | None
    airtable_table: str | None
    airtable_endpoint_url: str | None
    airtable_fields: Mapping[str, Any] | None
    airtable_lead_id_field: str | None
    airtable_modified_field: str | None
    airtable_conflict: Literal["local", "remote"] | None
    airtable_max_delete_share: float | None
    airtable_typecast: bool | None
    alerts: Mapping[str, Any] | None
    alerts_urls: str | None
    ship: Mapping[str, Any] | None
    health_database_ms: float | None
    health_database_size_mb: float | None
    health_disk_mb: float | None
    health_clock_seconds: float | None
    health_log_lag_seconds: float | None
    health_ship_lag_seconds: float | None
    health_backlog_leads: int | None
    health_backlog_hours: float | None
    health_error_percent: float | None
    health_latency_ratio: float | None
    health_quality_drop: float | None

"""Every setting, with its default, unit, description and validation."""

from pathlib import Path
from typing import Any

import attrs

from leadlog.core.limits import EVERY, bytes_by_category, days_by_category, sizes_of_categories
from leadlog.core.settings.checks import (
    ascend,
    at_least,
    bands,
    file_mode_of,
    json_object,
    one_of,
    rates,
    ring_sizes,
    setting,
    share,
    text_keys,
)
from leadlog_processors.masking import mask_url

__all__ = ["FIELDS", "Settings"]


@attrs.frozen(kw_only=True)
class Settings:
    """All settings; each field's help, unit and default are its reference."""

    directory: Path = setting(Path("database_logs"), "Folder that contains the category folders.")
    enabled: bool = setting(True, "Whether anything is captured and written at all.")
    level: str = setting(
        "info",
        "Lowest level that is written.",
        validator=one_of("debug", "info", "warning", "error", "critical"),
    )
    console: str = setting(
        "off",
        "Readable copy of every event on standard error; auto writes it only to a terminal.",
        validator=one_of("off", "auto", "on"),
    )
    database: str = setting(
        "sqlite:///leads.db", "URL of the lead store.", secret=True, shown=mask_url
    )
    tier_excellent_ms: float = setting(
        200.0, "Longest duration of an `excellent` call.", unit="ms", validator=at_least(0)
    )
    tier_good_ms: float = setting(
        500.0, "Longest duration of a `good` call.", unit="ms", validator=at_least(0)
    )
    tier_acceptable_ms: float = setting(
        2000.0, "Longest duration of an `acceptable` call.", unit="ms", validator=at_least(0)
    )
    tier_slow_ms: float = setting(
        5000.0,
        "Longest duration of a `slow` call; a longer one is `very_slow`.",
        unit="ms",
        validator=at_least(0),
    )
    tier_overrides: dict[str, list[float]] = setting(
        {},
        "Operation to its own four limits (excellent, good, acceptable, slow).",
        unit="ms",
        converter=json_object,
        validator=bands,
    )
    complexity_size_bytes: int = setting(
        10_000,
        "Payload size above which complexity_level rises one step.",
        unit="bytes",
        validator=at_least(1),
    )
    complexity_queries: int = setting(
        10, "Query count above which complexity_level rises one step.", validator=at_least(1)
    )
    optimization_needed_ms: float = setting(
        5000.0,
        "Duration above which optimization_needed is true.",
        unit="ms",
        validator=at_least(0),
    )
    pii: str = setting(
        "plain",
        "Personal data in the log: as it is, as stable pseudonyms, or masked.",
        validator=one_of("plain", "pseudonymised", "masked"),
    )
    pseudonym_key: str = setting(
        "", "Key of the pseudonyms; keep it, or old and new logs cannot be joined.", secret=True
    )
    sampling: dict[str, float] = setting(
        {},
        "Operation or log type (or `*`) to the share of its events that is kept; errors and "
        "slow ones are always kept.",
        converter=json_object,
        validator=rates,
    )
    enrich: str = setting(
        "drain",
        "Where events are labelled, masked and rendered: in the drain, or in the caller, which "
        "keeps unmasked data out of shared memory and gives processors live objects.",
        validator=one_of("drain", "caller"),
    )
    line_limit_bytes: int = setting(
        16_384, "Longest line; longer values are cut.", unit="bytes", validator=at_least(4096)
    )
    memory_sample_seconds: float = setting(
        1.0, "Interval between samples of the resident memory.", unit="s", validator=at_least(0.01)
    )
    store_sample_seconds: float = setting(
        60.0,
        "Shortest interval between counts of the store for `system_info` of performance_metrics, "
        "taken while such events are logged; 0 for never.",
        unit="s",
        validator=at_least(0),
    )

    ring_bytes: dict[str, int] = setting(
        {EVERY: 1 << 20},
        "Category (or `*`) to the size of its ring in memory, which holds lines until they are "
        "in files.",
        unit="bytes",
        converter=sizes_of_categories,
        validator=ring_sizes,
    )
    overflow_bytes: int = setting(
        64 << 20,
        "Maximum size of further rings while the usual ones are full, over all categories; and, if "
        "memory for these is short, of the lines that wait on the heap.",
        unit="bytes",
        validator=at_least(0),
    )
    poll_seconds: float = setting(
        0.05,
        "Interval at which the drain polls for lines while they arrive.",
        unit="s",
        validator=at_least(0.001),
    )
    segment_bytes: int = setting(
        256 << 20,
        "Size from which a day's file is continued in the next segment.",
        unit="bytes",
        validator=at_least(1 << 16),
    )
    durability: str = setting(
        "process",
        "What written lines survive: the process's death, or (fsync, each second) a power failure.",
        validator=one_of("process", "fsync"),
    )
    file_mode: int = setting(0o600, "Mode of new files.", converter=file_mode_of, shown=oct)
    directory_mode: int = setting(0o700, "Mode of new folders.", converter=file_mode_of, shown=oct)
    host: str = setting(
        "", "Name of this host in file names, where several hosts share the directory."
    )
    compress_after_days: int = setting(
        7,
        "Age from which `leadlog archive` compresses a day's files; 0 leaves them as they are.",
        unit="days",
        validator=at_least(0),
    )
    parquet_after_days: int = setting(
        0,
        "Age from which `leadlog archive` seals a day's files to Parquet; 0 never does. Needs "
        "leadlog[analytics].",
        unit="days",
        validator=at_least(0),
    )
    retention_days: dict[str, int] = setting(
        {},
        "Category (or `*`) to the age from which `leadlog archive` deletes a day's files.",
        unit="days",
        converter=days_by_category,
    )
    retention_bytes: dict[str, int] = setting(
        {},
        "Category (or `total`) to the size above which `leadlog archive` deletes the oldest "
        "files; `10GB` and the like may be written.",
        unit="bytes",
        converter=bytes_by_category,
    )

    airtable_api_key: str = setting(
        "",
        "Personal access token for Airtable; from the environment or the keyring only.",
        secret=True,
    )
    airtable_base_id: str = setting("", "Airtable base that the sync uses, `app…`.")
    airtable_table: str = setting("Leads", "Name or id of its table.")
    airtable_endpoint_url: str = setting(
        "https://api.airtable.com", "URL of Airtable's API; another one for tests."
    )
    airtable_fields: dict[str, Any] = setting(
        {},
        "Field of a lead to the name or id of its Airtable field; false leaves it out.",
        converter=json_object,
    )
    airtable_lead_id_field: str = setting(
        "Lead ID", "Airtable field that holds the id of the lead."
    )
    airtable_modified_field: str = setting(
        "", "Airtable field with the time of a row's last change."
    )
    airtable_conflict: str = setting(
        "remote",
        "Side that wins a field changed on both, if the row does not show when it was changed.",
        validator=one_of("local", "remote"),
    )
    airtable_max_delete_share: float = setting(
        0.2,
        "Share of the linked leads that one sync may delete, on either side.",
        validator=share,
    )
    airtable_typecast: bool = setting(
        False, "Whether Airtable may convert values, and add options to selects."
    )
    alerts: dict[str, Any] = setting(
        {},
        "Rules and timing of the alerts, see docs/how-to/alerts.md.",
        converter=json_object,
        validator=text_keys,
    )
    alerts_urls: str = setting(
        "",
        "Apprise URLs that receive alerts, separated by spaces; best set by LEADLOG_ALERTS_URLS.",
        secret=True,
    )
    ship: dict[str, Any] = setting(
        {},
        "Destinations of `leadlog ship` by name, see docs/how-to/ship.md.",
        converter=json_object,
        validator=text_keys,
    )

    health_database_ms: float = setting(
        500.0,
        "Response time of the lead store from which `leadlog health` warns; ten times it is "
        "critical.",
        unit="ms",
        validator=at_least(0.001),
    )
    health_database_size_mb: float = setting(
        0.0,
        "Size of the lead store from which `leadlog health` warns; 0 for never.",
        unit="10^6 bytes",
        validator=at_least(0),
    )
    health_disk_mb: float = setting(
        1000.0,
        "Free disk space below which `leadlog health` warns; a tenth of it is critical.",
        unit="10^6 bytes",
        validator=at_least(0),
    )
    health_clock_seconds: float = setting(
        5.0,
        "Difference between clocks from which `leadlog health` warns.",
        unit="s",
        validator=at_least(0.001),
    )
    health_log_lag_seconds: float = setting(
        10.0,
        "How long an event may wait for its file before `leadlog health` warns; ten times it is "
        "critical.",
        unit="s",
        validator=at_least(0.001),
    )
    health_ship_lag_seconds: float = setting(
        600.0,
        "Age of the oldest event that a destination of `leadlog ship` lacks, from which `leadlog "
        "health` warns.",
        unit="s",
        validator=at_least(0.001),
    )
    health_backlog_leads: int = setting(
        1000,
        "Leads waiting for a sync from which `leadlog health` warns; ten times it is critical.",
        unit="leads",
        validator=at_least(1),
    )
    health_backlog_hours: float = setting(
        24.0,
        "Wait of the oldest unsynced lead from which `leadlog health` warns; three times it is "
        "critical.",
        unit="h",
        validator=at_least(0.001),
    )
    health_error_percent: float = setting(
        5.0,
        "Share of operations that may fail before `leadlog health` warns, where it is also well "
        "above the week before; four times it is critical.",
        unit="%",
        validator=at_least(0.001),
    )
    health_latency_ratio: float = setting(
        3.0,
        "Ratio of an operation's p95 to that of the week before, from which `leadlog health` "
        "warns; three times it is critical.",
        validator=at_least(1.001),
    )
    health_quality_drop: float = setting(
        0.15,
        "Drop of the mean data-quality score (0 to 1) of new leads, compared with those before, "
        "from which `leadlog health` warns; twice it is critical.",
        validator=at_least(0.001),
    )

    def __attrs_post_init__(self) -> None:
        """Validate constraints between settings."""
        limits = (
            self.tier_excellent_ms,
            self.tier_good_ms,
            self.tier_acceptable_ms,
            self.tier_slow_ms,
        )
        if not ascend(limits):
            raise ValueError(f"the tier_… limits must ascend from above 0, but are {limits} ms")
        if self.pii == "pseudonymised" and not self.pseudonym_key:
            raise ValueError(
                "pii = 'pseudonymised' needs a key; set pseudonym_key, best through "
                "LEADLOG_PSEUDONYM_KEY"
            )


FIELDS = {field.name: field for field in attrs.fields(Settings)}

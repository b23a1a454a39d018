"""Settings: what they are, and where their values come from.

In order of strength: keyword of `configure`, `LEADLOG_<NAME>` in the environment,
`leadlog.toml`, `[tool.leadlog]` in pyproject.toml (both searched from the working directory
upwards; a relative path in a file is relative to that file), default. They are frozen and
validated once. An unknown name is an error that suggests the closest one; an empty
environment variable counts as not set.
"""

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import attrs
import typed_settings
from typed_settings.types import (
    LoadedSettings,
    LoaderMeta,
    OptionList,
    SettingsClass,
    SettingsDict,
)

from leadlog.errors import SettingsError
from leadlog.limits import EVERY, bytes_by_category, days_by_category, sizes_of_categories

ENVIRONMENT_PREFIX = "LEADLOG_"
_MASK = "***"
_TABLE = "airtable"  # its settings may stand in a table of their own
_TOKEN = "airtable_api_key"  # noqa: S105 - the name of a setting


def mask_url(url: str) -> str:
    """A database URL without its password."""
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not at or ":" not in credentials:
        return url
    return f"{scheme}{separator}{credentials.partition(':')[0]}:{_MASK}@{place}"


def _object(value: Any) -> Any:
    """A JSON text, as the environment has it, or a mapping."""
    return json.loads(value) if isinstance(value, str) else dict(value)


def _one_of(*allowed: str) -> Callable[[Any, Any, Any], None]:
    def check(instance: object, attribute: Any, value: object) -> None:
        if value not in allowed:
            close = difflib.get_close_matches(str(value), allowed, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{attribute.name} = {value!r} is none of {', '.join(allowed)}{hint}")

    return check


def _at_least(least: float) -> Callable[[Any, Any, Any], None]:
    def check(instance: object, attribute: Any, value: float) -> None:
        if not value >= least:
            raise ValueError(f"{attribute.name} = {value!r} is below {least}")

    return check


def _mode(value: Any) -> int:
    """A file mode, as a number or as octal text such as `0640`."""
    mode = int(value, 8) if isinstance(value, str) else int(value)
    if not 0 <= mode <= 0o777:
        raise ValueError(f"{value!r} is no file mode; write it like 0640")
    return mode


def _rings(instance: object, attribute: Any, value: Mapping[str, int]) -> None:
    for name, size in value.items():
        if size < 1 << 16:
            raise ValueError(f"{attribute.name}: {size} bytes for {name!r} is below {1 << 16}")


def _rates(instance: object, attribute: Any, value: Mapping[str, Any]) -> None:
    for name, rate in value.items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(
                f"{attribute.name}: the rate {rate!r} of {name!r} is no number from 0 to 1"
            )


def _table(instance: object, attribute: Any, value: Mapping[str, Any]) -> None:
    # What is in it is checked by those who know the rules: `leadlog.alerting.configuration`.
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{attribute.name}: the key {key!r} is no text")


def _ascend(limits: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise((0.0, *limits)))


def _bands(instance: object, attribute: Any, value: Mapping[str, Any]) -> None:
    for name, limits in value.items():
        if not isinstance(limits, list | tuple) or len(limits) != 4 or not _ascend(limits):
            raise ValueError(
                f"{attribute.name}: {name!r} needs four ascending limits in ms, not {limits!r}"
            )


def _share(instance: object, attribute: Any, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} = {value!r} is no share from 0 to 1")


def _setting(
    default: Any,
    help: str,  # noqa: A002 - the word the documentation and the command line use
    *,
    unit: str = "",
    secret: bool = False,
    shown: Callable[[Any], str] = str,
    **options: Any,
) -> Any:
    metadata = {"help": help, "unit": unit, "secret": secret, "shown": shown}
    if secret:
        options["repr"] = lambda value: repr(mask_url(value) if shown is mask_url else _MASK)
    if isinstance(default, dict):
        return attrs.field(factory=default.copy, metadata=metadata, **options)
    return attrs.field(default=default, metadata=metadata, **options)


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that can be set; each field's help, unit and default are its reference."""

    directory: Path = _setting(Path("database_logs"), "Folder that the category folders lie in.")
    enabled: bool = _setting(True, "Whether anything is captured and written at all.")
    level: str = _setting(
        "info",
        "Lowest level that is written.",
        validator=_one_of("debug", "info", "warning", "error", "critical"),
    )
    console: str = _setting(
        "off",
        "Readable copy of every event on standard error; auto writes it only to a terminal.",
        validator=_one_of("off", "auto", "on"),
    )
    database: str = _setting(
        "sqlite:///leads.db", "URL of the lead store.", secret=True, shown=mask_url
    )
    tier_excellent_ms: float = _setting(
        200.0, "Slowest call that is `excellent`.", unit="ms", validator=_at_least(0)
    )
    tier_good_ms: float = _setting(
        500.0, "Slowest call that is `good`.", unit="ms", validator=_at_least(0)
    )
    tier_acceptable_ms: float = _setting(
        2000.0, "Slowest call that is `acceptable`.", unit="ms", validator=_at_least(0)
    )
    tier_slow_ms: float = _setting(
        5000.0,
        "Slowest call that is `slow`; beyond is `very_slow`.",
        unit="ms",
        validator=_at_least(0),
    )
    tier_overrides: dict[str, list[float]] = _setting(
        {},
        "Operation to its own four limits (excellent, good, acceptable, slow).",
        unit="ms",
        converter=_object,
        validator=_bands,
    )
    complexity_size_bytes: int = _setting(
        10_000,
        "Payload above which complexity_level rises a step.",
        unit="bytes",
        validator=_at_least(1),
    )
    complexity_queries: int = _setting(
        10, "Query count above which complexity_level rises a step.", validator=_at_least(1)
    )
    optimization_needed_ms: float = _setting(
        5000.0,
        "Duration above which optimization_needed is true.",
        unit="ms",
        validator=_at_least(0),
    )
    pii: str = _setting(
        "plain",
        "Personal data in the log: as it is, as stable pseudonyms, or masked.",
        validator=_one_of("plain", "pseudonymised", "masked"),
    )
    pseudonym_key: str = _setting(
        "", "Key of the pseudonyms; keep it, or old and new logs cannot be joined.", secret=True
    )
    sampling: dict[str, float] = _setting(
        {},
        "Operation or log type (or `*`) to the share of its events that is kept; errors and "
        "slow ones are always kept.",
        converter=_object,
        validator=_rates,
    )
    line_limit_bytes: int = _setting(
        16_384, "Longest line; longer values are cut.", unit="bytes", validator=_at_least(4096)
    )
    memory_sample_seconds: float = _setting(
        1.0, "How often the resident memory is sampled.", unit="s", validator=_at_least(0.01)
    )
    store_sample_seconds: float = _setting(
        60.0,
        "How often at most the store is counted for `system_info` of performance_metrics, while "
        "such events come; 0 for never.",
        unit="s",
        validator=_at_least(0),
    )

    ring_bytes: dict[str, int] = _setting(
        {EVERY: 1 << 20},
        "Category (or `*`) to the size of its ring in memory, which holds lines until they are "
        "in files.",
        unit="bytes",
        converter=sizes_of_categories,
        validator=_rings,
    )
    overflow_bytes: int = _setting(
        64 << 20,
        "Most that waits on the heap, over all categories, while rings are full.",
        unit="bytes",
        validator=_at_least(0),
    )
    poll_seconds: float = _setting(
        0.05,
        "How often the drain looks for lines while they come.",
        unit="s",
        validator=_at_least(0.001),
    )
    segment_bytes: int = _setting(
        256 << 20,
        "Size from which a day's file is continued in the next segment.",
        unit="bytes",
        validator=_at_least(1 << 16),
    )
    durability: str = _setting(
        "process",
        "What a line survives: the process's death, or (fsync, every second) a power cut.",
        validator=_one_of("process", "fsync"),
    )
    file_mode: int = _setting(0o600, "Mode of new files.", converter=_mode, shown=oct)
    directory_mode: int = _setting(0o700, "Mode of new folders.", converter=_mode, shown=oct)
    host: str = _setting(
        "", "Name of this host in file names, where several hosts share the directory."
    )
    compress_after_days: int = _setting(
        7,
        "Age from which `leadlog archive` compresses a day's files; 0 leaves them as they are.",
        unit="days",
        validator=_at_least(0),
    )
    retention_days: dict[str, int] = _setting(
        {},
        "Category (or `*`) to the age from which `leadlog archive` deletes a day's files.",
        unit="days",
        converter=days_by_category,
    )
    retention_bytes: dict[str, int] = _setting(
        {},
        "Category (or `total`) to the size above which `leadlog archive` deletes the oldest "
        "files; `10GB` and the like may be written.",
        unit="bytes",
        converter=bytes_by_category,
    )

    alerts: dict[str, Any] = _setting(
        {},
        "Rules and pace of the alerts, see docs/how-to/alerts.md.",
        converter=_object,
        validator=_table,
    )
    alerts_urls: str = _setting(
        "",
        "Apprise URLs that alerts are sent to, parted by spaces; best through LEADLOG_ALERTS_URLS.",
        secret=True,
    )

    airtable_api_key: str = _setting(
        "",
        "Personal access token for Airtable; from the environment or the keyring only.",
        secret=True,
    )
    airtable_base_id: str = _setting("", "Airtable base that the sync uses, `app…`.")
    airtable_table: str = _setting("Leads", "Name or id of its table.")
    airtable_endpoint_url: str = _setting(
        "https://api.airtable.com", "Where Airtable's API is; another one for tests."
    )
    airtable_fields: dict[str, Any] = _setting(
        {},
        "Field of a lead to the name or id of its Airtable field; false leaves it out.",
        converter=_object,
    )
    airtable_lead_id_field: str = _setting(
        "Lead ID", "Airtable field that holds the id of the lead."
    )
    airtable_modified_field: str = _setting(
        "", "Airtable field that tells when a row was last changed."
    )
    airtable_conflict: str = _setting(
        "remote",
        "Who wins a field that both sides changed, where the row does not tell when.",
        validator=_one_of("local", "remote"),
    )
    airtable_max_delete_share: float = _setting(
        0.2,
        "Share of the linked leads that one sync may delete, on either side.",
        validator=_share,
    )
    airtable_typecast: bool = _setting(
        False, "Whether Airtable may convert values, and add options to selects."
    )

    health_database_ms: float = _setting(
        500.0,
        "Answer of the lead store from which `leadlog health` warns; ten times it is critical.",
        unit="ms",
        validator=_at_least(0.001),
    )
    health_database_size_mb: float = _setting(
        0.0,
        "Size of the lead store from which `leadlog health` warns; 0 for never.",
        unit="10^6 bytes",
        validator=_at_least(0),
    )
    health_disk_mb: float = _setting(
        1000.0,
        "Free room below which `leadlog health` warns; a tenth of it is critical.",
        unit="10^6 bytes",
        validator=_at_least(0),
    )
    health_clock_seconds: float = _setting(
        5.0,
        "Difference between clocks from which `leadlog health` warns.",
        unit="s",
        validator=_at_least(0.001),
    )
    health_log_lag_seconds: float = _setting(
        10.0,
        "How long an event may wait for its file before `leadlog health` warns; ten times it is "
        "critical.",
        unit="s",
        validator=_at_least(0.001),
    )
    health_backlog_leads: int = _setting(
        1000,
        "Leads waiting for a sync from which `leadlog health` warns; ten times it is critical.",
        unit="leads",
        validator=_at_least(1),
    )
    health_backlog_hours: float = _setting(
        24.0,
        "Wait of the oldest unsynced lead from which `leadlog health` warns; three times it is "
        "critical.",
        unit="h",
        validator=_at_least(0.001),
    )
    health_error_percent: float = _setting(
        5.0,
        "Share of operations that may fail before `leadlog health` warns, where it is also well "
        "above the week before; four times it is critical.",
        unit="%",
        validator=_at_least(0.001),
    )
    health_latency_ratio: float = _setting(
        3.0,
        "How many times the p95 of the week before an operation may take before `leadlog health` "
        "warns; three times it is critical.",
        validator=_at_least(1.001),
    )
    health_quality_drop: float = _setting(
        0.15,
        "How far the mean data-quality score (0 to 1) of new leads may fall below that of those "
        "before, until `leadlog health` warns; twice it is critical.",
        validator=_at_least(0.001),
    )

    def __attrs_post_init__(self) -> None:
        """Checks what only holds between settings."""
        limits = (
            self.tier_excellent_ms,
            self.tier_good_ms,
            self.tier_acceptable_ms,
            self.tier_slow_ms,
        )
        if not _ascend(limits):
            raise ValueError(f"the tier_… limits must ascend from above 0, but are {limits} ms")
        if self.pii == "pseudonymised" and not self.pseudonym_key:
            raise ValueError(
                "pii = 'pseudonymised' needs a key; set pseudonym_key, best through "
                "LEADLOG_PSEUDONYM_KEY"
            )


_FIELDS = {field.name: field for field in attrs.fields(Settings)}


@attrs.frozen
class Loaded:
    """Settings in force and where each came from.

    Attributes:
        settings: the values.
        origins: setting to `keyword`, `environment LEADLOG_…`, a file's path, or `default`.
    """

    settings: Settings
    origins: dict[str, str]


@attrs.frozen
class SettingRow:
    """One setting, for people.

    Attributes:
        name: its name.
        value: the value in force as text; secrets masked.
        origin: where it came from.
        unit: its unit, or "".
        help: what it does.
        default: its default as text.
    """

    name: str
    value: str
    origin: str
    unit: str
    help: str
    default: str


class _Source:
    """One origin of settings, as a loader of typed-settings; remembers what it gave."""

    def __init__(
        self, name: str, values: Mapping[str, Any], base: Path, origins: dict[str, str]
    ) -> None:
        self._values = {key.replace("-", "_"): value for key, value in values.items()}
        self._name = name
        self._base = base
        self._origins = origins

    def __call__(self, settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:  # noqa: ARG002 - typed-settings calls a loader with both
        for key in self._values:
            if key not in _FIELDS:
                raise SettingsError(unknown(key, self._name))
            self._origins[key] = self._name
        return LoadedSettings(
            cast(SettingsDict, dict(self._values)), LoaderMeta(self._name, base_dir=self._base)
        )


def unknown(name: str, origin: str) -> str:
    """What to tell about a setting that does not exist."""
    close = difflib.get_close_matches(name, _FIELDS, 1, 0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown setting {name!r} ({origin}){hint} `leadlog doctor` lists them all"


def _file_values(path: Path, section: str | None) -> dict[str, Any]:
    read = typed_settings.TomlFormat(section)
    try:
        values = dict(read(path, Settings, ()))
    except typed_settings.exceptions.TsError as error:
        raise SettingsError(f"{path} cannot be read: {error}; mend it or remove it") from error
    table = values.pop(_TABLE, {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: {_TABLE} is {table!r}; write it as a table, [{_TABLE}]")
    values |= {f"{_TABLE}_{key.replace('-', '_')}": value for key, value in table.items()}
    if values.get(_TOKEN):
        raise SettingsError(
            f"{path}: {_TOKEN} is a secret that does not belong into a file; set "
            "AIRTABLE_API_KEY, or keep it in the keyring"
        )
    return values


def _environment() -> dict[str, dict[str, str]]:
    """Environment variable to the setting it sets."""
    found = {}
    for variable, value in os.environ.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and value:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            if name not in _FIELDS:
                raise SettingsError(unknown(name, f"environment {variable}"))
            found[variable] = {name: value}
    return found


def load(**keywords: Any) -> Loaded:
    """Reads the settings from all their origins.

    Args:
        keywords: settings by name; None stands for "not given".

    Raises:
        SettingsError: a name is unknown, or a value is bad; says which, where it was
            set and what would do.
    """
    origins = dict.fromkeys(_FIELDS, "default")
    here = Path.cwd()
    sources = []
    for name, section in (("pyproject.toml", "tool.leadlog"), ("leadlog.toml", None)):
        path = Path(typed_settings.find(name))
        if path.is_file():
            values = _file_values(path, section)
            sources.append(_Source(str(path), values, path.resolve().parent, origins))
    for variable, values in _environment().items():
        sources.append(_Source(f"environment {variable}", values, here, origins))
    given = {key: value for key, value in keywords.items() if value is not None}
    sources.append(_Source("keyword", given, here, origins))
    try:
        settings = typed_settings.load_settings(Settings, sources, base_dir=here)
    except typed_settings.exceptions.InvalidSettingsError as group:
        problems = "; ".join(_explain(error, origins) for error in group.exceptions)
        raise SettingsError(problems) from group
    return Loaded(settings, origins)


_INNER = re.compile(r"^Could not convert .*?: \w+\((['\"])(?P<inner>.*)\1\)$", re.DOTALL)


def _explain(error: BaseException, origins: Mapping[str, str]) -> str:
    """One error of typed-settings in our words, with the setting's origin."""
    text = str(error)
    inner = _INNER.match(text)
    option = re.search(r"for option '(\w+)'", text)
    name = option[1] if option else ""
    if inner:
        text = f"{name}: {inner['inner']}" if name else inner["inner"]
        name = name or text.split(" ", 1)[0].rstrip(":")
    origin = origins.get(name, "default")
    return text if origin == "default" else f"{text} (set by {origin})"


def names() -> list[str]:
    """Every setting's name."""
    return list(_FIELDS)


def describe(loaded: Loaded) -> list[SettingRow]:
    """Every setting with its value, origin, unit and help; secrets masked."""
    rows = []
    defaults = Settings()
    for name, field in _FIELDS.items():
        value = getattr(loaded.settings, name)
        default = getattr(defaults, name)
        rows.append(
            SettingRow(
                name=name,
                value=_shown(name, value),
                origin=loaded.origins[name],
                unit=field.metadata["unit"],
                help=field.metadata["help"],
                default=_shown(name, default),
            )
        )
    return rows


def _shown(name: str, value: Any) -> str:
    metadata = _FIELDS[name].metadata
    if metadata["secret"] and value and metadata["shown"] is not mask_url:
        return _MASK
    text: str = metadata["shown"](value)
    return text

"""Configuration of rules: the defaults, changed by the table `[alerts]` of the settings.

[alerts]
repeat = "8h"

[alerts.rules.latency]
threshold_ms = 800

[alerts.rules.get_is_slow]
kind = "latency"
operation = "get_lead"
threshold_ms = 50

[[alerts.inhibit]]
rule = "disk"
inhibits = ["dropped_events", "health_check:log_*"]
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from leadlog.core.errors import SettingsError
from leadlog.monitor.durations import seconds
from leadlog.monitor.notification.groups import NotificationPace
from leadlog.monitor.rules.base import Rule
from leadlog.monitor.rules.errors import (
    BurnRate,
    FingerprintNew,
    FingerprintReturned,
    FingerprintSurging,
)
from leadlog.monitor.rules.latency import Latency, SlowOperations
from leadlog.monitor.rules.resources import (
    DataQualityDrop,
    Disk,
    DroppedEvents,
    HealthCheck,
    Memory,
    NoEvents,
    ShippingLag,
)
from leadlog.monitor.rules.sync import Backlog, NoSyncs, RateLimited, SyncFailures
from leadlog.monitor.silences import Inhibition
from leadlog.monitor.states import RuleTiming

__all__ = ["INHIBITIONS", "KINDS", "Configuration", "configure", "settings_of"]

KINDS: Final[dict[str, type[Rule]]] = {
    kind.kind: kind
    for kind in (
        BurnRate,
        Latency,
        SlowOperations,
        FingerprintNew,
        FingerprintReturned,
        FingerprintSurging,
        SyncFailures,
        Backlog,
        RateLimited,
        DataQualityDrop,
        Disk,
        Memory,
        DroppedEvents,
        ShippingLag,
        NoEvents,
        NoSyncs,
        HealthCheck,
    )
}
"""Rule classes by kind; each is also a default rule of that name."""

INHIBITIONS: Final = (
    Inhibition(
        rule="health_check",
        label="database*",
        inhibits=(
            *("burn_rate", "latency", "slow_operations", "fingerprint_*", "sync_failures"),
            *("sync_backlog", "data_quality", "no_events", "no_syncs"),
        ),
    ),
    Inhibition(
        rule="health_check", label="airtable*", inhibits=("sync_*", "no_syncs", "rate_limited")
    ),
    Inhibition(rule="burn_rate", label="fast", inhibits=("burn_rate:slow",)),
    Inhibition(rule="no_events", inhibits=("no_syncs",)),
    Inhibition(
        rule="disk",
        inhibits=("dropped_events", "health_check:log_disk", "health_check:log_lag"),
    ),
)
"""Inhibitions by default: the consequences of an unreachable database, of Airtable, …"""

_TOP: Final = (
    *("enabled", "every", "user_errors_count", "wait", "interval", "repeat"),
    *("rules", "inhibit"),
)


@attrs.frozen(kw_only=True)
class Configuration:
    """The configuration of all alerts.

    Attributes:
        enabled: whether rules are evaluated.
        every: seconds between two evaluations.
        user_errors_count: whether failures caused by the user count against the objective.
        rules: enabled rules by name.
        inhibitions: which alerts suppress which others.
        pace: intervals of notices.
    """

    enabled: bool = True
    every: float = 15.0
    user_errors_count: bool = False
    rules: Mapping[str, Rule] = attrs.field(factory=dict)
    inhibitions: tuple[Inhibition, ...] = INHIBITIONS
    pace: NotificationPace = attrs.field(factory=NotificationPace)

    def timing(self, rule: str) -> RuleTiming:
        """Return how long a rule's condition must last; 0 for a rule that no longer exists."""
        found = self.rules.get(rule)
        return RuleTiming(0.0, 0.0) if found is None else RuleTiming(found.hold, found.keep)


def settings_of(kind: type[Rule]) -> dict[str, "attrs.Attribute[Any]"]:
    """Return the fields of a rule that can be configured, by their key in the settings."""
    return {
        field.metadata["key"] or field.name: field
        for field in attrs.fields(kind)
        if field.name != "name"
    }


def configure(table: Mapping[str, Any] | None = None) -> Configuration:
    """Return the configuration given by a table of the settings.

    Args:
        table: the table `alerts`, as in the module's example; without it the defaults apply.

    Raises:
        SettingsError: a key is unknown or a value invalid; the message names it and a remedy.
    """
    table = table or {}
    for key in table:
        if key not in _TOP:
            raise SettingsError(_unknown(f"alerts.{key}", key, _TOP))
    try:
        every = seconds(table.get("every", 15))
        given = {key: seconds(table[key]) for key in ("wait", "interval", "repeat") if key in table}
    except ValueError as error:
        raise SettingsError(f"alerts: {error}") from error
    if every < 1:
        raise SettingsError(f"alerts.every = {every:g} s is too often; write at least 1")
    return Configuration(
        enabled=_flag(table, "enabled", default=True),
        every=every,
        user_errors_count=_flag(table, "user_errors_count", default=False),
        rules=_rules(_mapping(table.get("rules", {}), "alerts.rules")),
        inhibitions=(*INHIBITIONS, *_inhibitions(table.get("inhibit", []))),
        pace=NotificationPace(**given),
    )


def _flag(table: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise SettingsError(f"alerts.{key} = {value!r} is neither true nor false")
    return value


def _rules(given: Mapping[str, Any]) -> dict[str, Rule]:
    rules = {}
    for name in {**KINDS, **given}:
        settings = dict(_mapping(given.get(name, {}), f"alerts.rules.{name}"))
        kind_name = settings.pop("kind", name)
        kind = KINDS.get(kind_name)
        if kind is None:
            hint = "" if "kind" in given[name] else '; or give it a kind, such as kind = "latency"'
            raise SettingsError(_unknown(f"alerts.rules.{name}", str(kind_name), KINDS) + hint)
        rule = _rule(name, kind, settings)
        if rule.enabled:
            rules[name] = rule
    return rules


def _rule(name: str, kind: type[Rule], settings: Mapping[str, Any]) -> Rule:
    keys = settings_of(kind)
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in keys:
            raise SettingsError(_unknown(f"alerts.rules.{name}.{key}", key, keys))
        values[keys[key].name] = value
    try:
        return kind(name=name, **values)
    except (TypeError, ValueError) as error:
        # attrs appends the field and the type to the arguments.
        raise SettingsError(f"alerts.rules.{name}: {error.args[0]}") from error


def _inhibitions(given: Any) -> Iterable[Inhibition]:
    if not isinstance(given, list | tuple):
        raise SettingsError("alerts.inhibit is not a list of tables; write [[alerts.inhibit]]")
    for number, one in enumerate(given, 1):
        place = f"alerts.inhibit, entry {number}"
        settings = _mapping(one, place)
        for key in settings:
            if key not in ("rule", "label", "inhibits"):
                raise SettingsError(_unknown(f"{place}: {key}", key, ("rule", "label", "inhibits")))
        try:
            yield Inhibition(**settings)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{place}: {error.args[0]}") from error


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{place} = {value!r} is not a table; write [{place}]")
    return value


def _unknown(place: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    return f"{place} is unknown; {hint}"

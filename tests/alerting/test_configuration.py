"""Rules from the settings: the defaults, the allowed changes, and clear errors."""

import pytest

from leadlog.core.errors import SettingsError
from leadlog.core.settings import load
from leadlog.monitor.configuration import INHIBITIONS, KINDS, configure
from leadlog.monitor.durations import describe, seconds
from leadlog.monitor.silences import Inhibition, Silence, inhibited, silenced
from leadlog.monitor.states import AlertState


def test_every_kind_is_in_force_by_default():
    """Without any setting there is one enabled rule of each kind."""
    assert list(configure().rules) == list(KINDS)
    assert all(rule.enabled and rule.about for rule in configure().rules.values())


def test_a_rule_can_be_changed_switched_off_and_added():
    """A rule is changed by its name, or added with a kind under another name."""
    found = configure(
        {
            "repeat": "8h",
            "rules": {
                "latency": {"threshold_ms": 800, "for": "30s"},
                "memory": {"enabled": False},
                "gets": {"kind": "latency", "operation": "get_lead", "threshold_ms": 50},
            },
            "inhibit": [{"rule": "memory", "inhibits": "latency"}],
        }
    )
    assert found.rules["latency"].threshold_ms == 800
    assert found.timing("latency") == (30.0, 600.0)
    assert "memory" not in found.rules
    assert found.rules["gets"].operation == "get_lead"
    assert found.pace.repeat == 8 * 3600
    assert len(found.inhibitions) == len(INHIBITIONS) + 1
    assert found.timing("gone") == (0.0, 0.0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"rule": {}}, r"alerts\.rule is unknown; did you mean 'rules'\?"),
        ({"rules": {"latncy": {}}}, r"alerts\.rules\.latncy is unknown; did you mean 'latency'"),
        ({"rules": {"x": {"kind": "dsk"}}}, r"did you mean 'disk'"),
        (
            {"rules": {"latency": {"treshold_ms": 1}}},
            r"alerts\.rules\.latency\.treshold_ms is unknown; did you mean 'threshold_ms'",
        ),
        ({"rules": {"latency": {"for": "5 minutes"}}}, r"latency: '5 minutes' is not a duration"),
        ({"rules": {"latency": {"threshold_ms": "fast"}}}, r"latency: 'fast' is not a number"),
        ({"rules": {"latency": {"severity": "bad"}}}, r"latency: .*severity.*'bad'"),
        ({"rules": {"disk": {"critical_percent": 101}}}, r"disk: .*critical_percent.*<= 100"),
        ({"rules": {"disk": {"critical_percent": 50}}}, r"must not be above warning_percent"),
        ({"rules": {"burn_rate": {"objective_percent": 100}}}, r"no budget"),
        ({"rules": {"latency": 5}}, r"alerts\.rules\.latency = 5 is not a table"),
        ({"enabled": "yes"}, r"alerts\.enabled = 'yes'"),
        ({"every": 0}, r"too often"),
        ({"repeat": "often"}, r"'often' is not a duration"),
        ({"inhibit": {}}, r"not a list of tables"),
        ({"inhibit": [{"rule": "disk", "inhibit": []}]}, r"did you mean 'inhibits'"),
        ({"inhibit": [{"rule": "disk", "inhibits": [1]}]}, r"entry 1: \[1\] is not a list of"),
        ({"inhibit": [{"rule": 1, "inhibits": []}]}, r"entry 1: .*rule"),
    ],
)
def test_a_mistake_is_named_with_what_would_do(table, message):
    """The error names the place, the value and the remedy."""
    with pytest.raises(SettingsError, match=message):
        configure(table)


def test_the_rules_come_from_the_file_and_the_urls_from_the_environment(tmp_path, monkeypatch):
    """Rules come from leadlog.toml; the URLs are shown nowhere."""
    (tmp_path / "leadlog.toml").write_text(
        '[alerts]\nevery = "30s"\n[alerts.rules.disk]\nwarning_percent = 20\n'
    )
    url = "slack://TokenA123/TokenB123/TokenC123"
    monkeypatch.setenv("LEADLOG_ALERTS_URLS", url)
    settings = load().settings
    assert configure(settings.alerts).rules["disk"].warning_percent == 20
    assert configure(settings.alerts).every == 30
    assert settings.alerts_urls == url
    assert "Token" not in repr(settings)


def test_durations():
    """Durations are parsed and written in short notation."""
    assert [seconds(one) for one in (5, "90", "1.5m", "2h", "1d", "1w")] == [
        *(5, 90, 90, 7200, 86_400, 604_800)
    ]
    assert [describe(one) for one in (45, 600, 5400, 7200, 172_800)] == [
        *("45 s", "10 min", "90 min", "2 h", "2 d")
    ]
    for bad in (-1, True, None, "", "h", "1 month"):
        with pytest.raises(ValueError, match="not a duration"):
            seconds(bad)


def alert(rule, label="", state="firing"):
    return AlertState(rule, label, state, "critical", "m", None, None, "", 0)


def test_the_database_that_is_down_hushes_its_consequences():
    """An unreachable database suppresses its consequences while it fires, but nothing else."""
    alerts = {
        one.key: one
        for one in (
            alert("health_check", "database"),
            alert("burn_rate", "fast"),
            alert("fingerprint_new", "abc"),
            alert("disk"),
        )
    }
    suppressed = inhibited(alerts, alerts, INHIBITIONS)
    assert suppressed == {("burn_rate", "fast"), ("fingerprint_new", "abc")}
    pending = alert("health_check", "database", "pending")
    assert not inhibited(alerts, {pending.key: pending}, INHIBITIONS)


def test_an_inhibition_may_name_labels():
    """`rule:label` inhibits only some of a rule's alerts."""
    one = Inhibition(rule="disk", inhibits=("health_check:log_*",))
    keys = [("health_check", "log_disk"), ("health_check", "database")]
    firing = alert("disk")
    assert inhibited(keys, {firing.key: firing}, [one]) == {("health_check", "log_disk")}


def test_a_silence_holds_until_it_ends():
    """A silence applies by rule and label, with patterns, until it ends."""
    one = Silence(1, "fingerprint_*", "ab*", "why", "ana", 10, 20)
    keys = [("fingerprint_new", "abc"), ("fingerprint_new", "xyz"), ("disk", "")]
    assert silenced(keys, [one], 10) == {keys[0]}
    assert silenced(keys, [one], 9) == silenced(keys, [one], 20) == set()

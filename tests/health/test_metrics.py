"""The metrics for Prometheus: their names, sums, and acceptance by its own tools."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import leadlog
from leadlog.monitor.health import Check, Health
from leadlog.monitor.health.counting import EventCounts
from leadlog.monitor.health.metrics import FigureSource, serve, text
from leadlog.reading.merged import read_merged
from tests.health.conftest import DAY, NOW, operations

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "prometheus"
NAMES = {
    "leadlog_alerts": {"name", "severity", "state"},
    "leadlog_api_calls": set(),
    "leadlog_check_state": {"check", "state"},
    "leadlog_check_threshold": {"check", "unit"},
    "leadlog_check_timestamp_seconds": {"check"},
    "leadlog_check_value": {"check", "unit"},
    "leadlog_errors": {"error_type", "severity"},
    "leadlog_events": {"log_type"},
    "leadlog_info": {"version"},
    "leadlog_leads_added": {"data_quality"},
    "leadlog_log_lines": {"category", "state"},
    "leadlog_migrations": {"migration_type", "success"},
    "leadlog_operation_duration_seconds": {"entity", "operation", "le"},
    "leadlog_operations": {"entity", "operation", "success"},
    "leadlog_sync_leads": {"result"},
    "leadlog_syncs": {"sync_type", "success"},
    "leadlog_user_errors": set(),
}
"""The contract: removing or changing a name breaks users' dashboards."""
SHIPPING = {"leadlog_ship_lag_seconds"}
"""Metrics that exist only if the log is shipped; checked in tests/shipping."""


@pytest.fixture
def figures(tmp_path):
    """Return the metrics of a real application's log."""
    leadlog.configure()
    with leadlog.LeadDatabase(tmp_path / "leads.db") as db:
        db.add_lead({"name": "Ada", "company": "Acme", "email": "ada@acme.com"})
        with pytest.raises(leadlog.ValidationError):
            db.add_lead({"email": "nobody"})
        db.search_leads({"company": "Acme"})
    details = {"batch_size": 10}
    results = {"success": True, "leads_synced": 7, "leads_failed": 1, "api_calls": 3}
    logger = leadlog.DatabaseLogger()
    logger.log_sync_operation("to_airtable", [], results, details)
    logger.log_migration_operation("json_to_db", {}, {"success": False}, {})
    leadlog.flush()
    counts = EventCounts()
    for event in read_merged(tmp_path / "database_logs"):
        counts.add(event.data)
    health = Health(
        (
            Check("disk", "critical", 5.0, "MB", 10.0, checked_at="2026-11-23T10:00:00.000000Z"),
            Check("other", "ok", checked_at="2026-11-23T10:00:00.000000Z"),
        )
    )
    alert = {"name": "burn", "severity": "critical", "state": "firing", "value": 3}
    return FigureSource(tmp_path / "database_logs", counts, lambda: health, lambda: [alert])


def samples(said):
    """Return values by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(said)
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_log(figures):
    """Counts, sums and states equal those of the log."""
    found = samples(text(figures))
    assert found["leadlog_operations_total", "Lead", "add_lead", "true"] == 1
    assert found["leadlog_operations_total", "Lead", "add_lead", "false"] == 1
    assert found[("leadlog_user_errors_total",)] == 1
    assert found["leadlog_operation_duration_seconds_count", "Lead", "search_leads"] == 1
    assert 0 < found["leadlog_operation_duration_seconds_sum", "Lead", "search_leads"] < 10
    assert found["leadlog_operation_duration_seconds_bucket", "+Inf", "Lead", "search_leads"] == 1
    assert found["leadlog_leads_added_total", "high"] == 1
    assert found["leadlog_syncs_total", "to_airtable", "true"] == 1
    assert found["leadlog_sync_leads_total", "synced"] == 7
    assert found["leadlog_sync_leads_total", "failed"] == 1
    assert found[("leadlog_api_calls_total",)] == 3
    assert found["leadlog_migrations_total", "false", "json_to_db"] == 1
    assert found["leadlog_check_state", "critical", "disk"] == 1
    assert found["leadlog_check_state", "disk", "ok"] == 0
    assert found["leadlog_check_value", "MB", "disk"] == 5
    assert found["leadlog_check_threshold", "MB", "disk"] == 10
    assert found["leadlog_check_timestamp_seconds", "disk"] == NOW / 1e6
    assert found["leadlog_alerts", "burn", "critical", "firing"] == 1
    assert found["leadlog_log_lines", "database_operations", "written"] == 3


def test_names_and_labels_stay(figures):
    """Each metric is in the contract, and each one in the contract exists."""
    found = {}
    for family in text_string_to_metric_families(text(figures)):
        labels = found.setdefault(family.name, set())
        for sample in family.samples:
            labels |= set(sample.labels)
    assert found == NAMES


def test_they_are_served_on_request(figures):
    """`GET /metrics` returns the current values, and the port is free afterwards."""
    with serve(figures, port=0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            first = samples(answer.read().decode())
        figures.counts.add({"log_type": "error_log", "error_details": {"error_type": "late"}})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            second = samples(answer.read().decode())
    assert ("leadlog_errors_total", "None", "late") not in first
    assert second["leadlog_errors_total", "None", "late"] == 1
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1)


def test_sampled_events_count_for_all_they_stand_for():
    """One event with weight four counts four times."""
    counts = EventCounts()
    for _, event in operations(1, NOW - DAY // 24, NOW, failing=0):
        counts.add(event | {"sample_rate": 0.25})
    counted = sum(counts.operations.values())
    assert counted == 4 * sum(1 for _ in operations(1, NOW - DAY // 24, NOW, failing=0))
    assert sum(sum(one.buckets) for one in counts.durations.values()) == counted


def test_thousands_of_names_make_no_thousands_of_series():
    """Beyond 200 names, further ones share a series."""
    counts = EventCounts()
    for number in range(5000):
        counts.add(
            {
                "log_type": "database_operation",
                "operation_details": {"operation_type": f"call_{number}", "success": True},
            }
        )
    assert len(counts.operations) <= 201
    assert {entity for entity, _, _ in counts.operations} == {"", "(others)"}
    assert sum(counts.operations.values()) == 5000


def test_prometheus_takes_the_text(figures, promtool):
    """Prometheus' own checker finds no error in names and types."""
    assert promtool("check", "metrics", stdin=text(figures)) == (0, "")


def test_prometheus_takes_the_rules(promtool):
    """The rules file of the documentation is valid."""
    code, said = promtool("check", "rules", str(DOCS / "leadlog-rules.yml"))
    assert code == 0, said


def test_the_rules_fire_when_they_should_and_resolve(promtool):
    """Prometheus' own unit tests of rules: a burst, a quiet night, slowness, silence."""
    code, said = promtool("test", "rules", str(Path(__file__).with_name("rules_test.yml")))
    assert code == 0, said


def test_prometheus_takes_every_expression_of_the_dashboard(promtool, tmp_path):
    """Each is valid as a rule, with the values that Grafana inserts for its variables."""
    dashboard = json.loads((DOCS / "leadlog-dashboard.json").read_text())
    rules = [
        {
            "record": f"panel:{panel['id']}_{number}",
            "expr": target["expr"].replace("$__rate_interval", "5m").replace("$entity", ".*"),
        }
        for panel in dashboard["panels"]
        for number, target in enumerate(panel["targets"])
    ]
    page = tmp_path / "panels.yml"
    page.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    code, said = promtool("check", "rules", str(page))
    assert code == 0, said
    assert not any("$" in rule["expr"] for rule in rules)


def metrics_in(expression):
    """Return the metrics of leadlog that an expression names, without Prometheus' suffixes."""
    names = re.findall(r"\bleadlog_[a-z_]+", expression)
    return {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in names}


def test_dashboard_and_rules_name_only_metrics_that_exist():
    """A panel with an unknown metric would stay empty silently."""
    dashboard = json.loads((DOCS / "leadlog-dashboard.json").read_text())
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert metrics_in(target["expr"]) <= set(NAMES), target["expr"]
            asked |= metrics_in(target["expr"])
    rules = (DOCS / "leadlog-rules.yml").read_text()
    assert metrics_in(rules) <= set(NAMES) | SHIPPING
    assert len(asked) > 8
    by_class = [panel["title"] for panel in dashboard["panels"] if "class" in panel["title"]]
    assert by_class == ["Operations by class", "Failed by class", "p95 by class"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))

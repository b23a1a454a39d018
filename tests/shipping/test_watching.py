"""Monitoring of shipping: the lag of each destination."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from leadlog.core.clock import now_us
from leadlog.monitor.health import check
from leadlog.monitor.health.metrics import FigureSource, text
from leadlog.monitor.rules.base import RuleView
from leadlog.monitor.rules.resources import ShippingLag
from leadlog.reading.shipments import Shipments
from leadlog.shipping import Shipper, configured

pytestmark = pytest.mark.handmade_lines


def ship(directory, url, **options):
    table = {"type": "opensearch", "url": url, "personal_data": "plain"}
    shipper = Shipper(directory, configured({"elk": table})["elk"], **options)
    try:
        return shipper.once(0.0)
    finally:
        shipper.close()


def metrics(directory):
    found = text_string_to_metric_families(text(FigureSource(directory)))
    return {
        one.name: one.value
        for family in found
        for one in family.samples
        if one.name.startswith("leadlog_ship_")
    }


def test_health_metrics_and_the_rule_tell_the_lag(directory, fill, opensearch):
    """An unshipped log has no lag; then it is the age of the oldest missing event."""
    fill("error_logs", 3)
    assert check(["shipping"], directory=directory).checks == ()
    assert metrics(directory) == {}
    ship(directory, opensearch.url)
    health = check(["shipping"], directory=directory)
    assert health.ok
    assert health["ship_lag:elk"].value == 0.0
    rule = ShippingLag(name="shipping_lag")
    assert list(rule.look(RuleView(None, health.checks))) == []
    fill("error_logs", 2)
    assert "cannot" not in str(ship(directory, "http://127.0.0.1:9").error or "")
    health = check(["shipping"], directory=directory)
    assert health["ship_lag:elk"].state == "warning"
    assert "127.0.0.1" in health["ship_lag:elk"].message
    (found,) = rule.look(RuleView(None, health.checks))
    assert (found.label, found.severity) == ("elk", "warning")
    figures = metrics(directory)
    assert figures["leadlog_ship_records_total"] == 3
    assert figures["leadlog_ship_lag_seconds"] == pytest.approx(found.value, abs=60)
    assert figures["leadlog_ship_lag_bytes"] > 1000


def test_what_was_refused_or_dropped_is_a_finding(directory, fill, opensearch):
    """Refused and dropped records are reported by cause, with a remedy."""
    fill("error_logs", 1)
    ship(directory, opensearch.url)
    with Shipments(directory, "elk") as shipments:
        shipments.commit({}, at_us=now_us(), dropped=[("removed by retention", 1, 500, 7)])
    found = check(["shipping"], directory=directory)["ship_refused:elk"]
    assert found.state == "warning"
    assert "removed by retention (7 records)" in found.message
    assert metrics(directory)["leadlog_ship_dropped_total"] == 7

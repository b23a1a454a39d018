"""Checks of Airtable, against a loopback server that imitates it."""

from __future__ import annotations

import pytest
from pyairtable import Api

from leadlog.core.clock import now_us
from leadlog.leads.airtable import AirtableSyncManager
from leadlog.leads.store import LeadDatabase
from leadlog.monitor.health import check
from leadlog.testing import FakeAirtable
from tests.health.conftest import MINUTE, NOW

pytestmark = pytest.mark.handmade_lines


@pytest.fixture
def airtable():
    """A fake Airtable with one base."""
    with FakeAirtable() as server:
        yield server


@pytest.fixture
def look(airtable, context):
    """Check Airtable with a token and a base."""

    def check_it(key=airtable.api_key, base_id=airtable.base_id):
        api = Api(key, endpoint_url=airtable.endpoint_url)
        return check(["airtable"], context=context(airtable=api, base_id=base_id))

    return check_it


def test_a_token_that_may_write_is_well(look, airtable):
    """The checks report the latency and need only two requests."""
    health = look()
    assert {one.name: one.state for one in health.checks} == {
        "airtable": "ok",
        "airtable_permissions": "ok",
        "airtable_rate": "ok",
    }
    assert health["airtable"].latency_ms > 0
    assert [request.route for request in airtable.requests] == ["whoami", "bases"]


def test_a_bad_token_is_critical(look):
    """The remedy says where to create another token; the token is not repeated."""
    health = look(key="patWrong")
    assert health["airtable"].state == "critical"
    assert "AIRTABLE_API_KEY" in health["airtable"].remedy
    assert "patWrong" not in str(health.as_dict())


def test_a_base_out_of_reach_is_critical(look):
    """A token without access to the base cannot sync."""
    found = look(base_id="appOther000000000")["airtable_permissions"]
    assert found.state == "critical"
    assert "does not reach appOther" in found.message


def test_a_server_error_is_critical_and_not_repeated(look, airtable):
    """A single answer of 503 is reported and not retried."""
    airtable.fail("error", status=503)
    health = look()
    assert health["airtable"].state == "critical"
    assert "503" in health["airtable"].message
    assert len(airtable.requests) == 1


def test_a_connection_that_is_closed_is_critical(look, airtable):
    """A closed connection is critical; nothing is raised, and the other checks continue."""
    airtable.fail("close", times=None)
    health = look()
    assert health["airtable"].state == "critical"
    assert "does not answer" in health["airtable"].message


def test_being_throttled_is_a_warning(look, airtable):
    """A throttled answer is a warning, because the sync will have to wait."""
    airtable.fail("throttle")
    health = look()
    assert health["airtable"].state == "ok"
    assert health["airtable_rate"].state == "warning"


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ({"airtable_rate_limited": False}, "ok"),
        ({"airtable_rate_limited": True}, "warning"),
        ({"error_message": "429: PUBLIC_API_BILLING_LIMIT_EXCEEDED"}, "critical"),
    ],
)
def test_what_the_last_sync_met_is_told(look, write, results, state):
    """An exhausted quota is visible only in the log, not in metadata requests."""
    write(
        "sync_operations",
        [
            (NOW - 9 * MINUTE, {"sync_results": {"airtable_rate_limited": True}}),
            (NOW - MINUTE, {"log_type": "sync_operation", "sync_results": results}),
        ],
    )
    assert look()["airtable_rate"].state == state


def test_a_project_that_does_not_sync_is_not_unwell(context):
    """Without a base there is nothing to check."""
    health = check(["airtable"], context=context())
    assert health["airtable"].state == "unknown"
    assert health.ok


def test_the_sync_s_own_settings_are_used(airtable, context, monkeypatch):
    """Base, endpoint and token are those of `leadlog sync`; a missing token is reported."""
    monkeypatch.setenv("LEADLOG_AIRTABLE_BASE_ID", airtable.base_id)
    monkeypatch.setenv("LEADLOG_AIRTABLE_ENDPOINT_URL", airtable.endpoint_url)
    monkeypatch.delenv("AIRTABLE_API_KEY", raising=False)
    found = check(["airtable"], context=context())["airtable"]
    assert found.state == "critical"
    assert "AIRTABLE_API_KEY" in found.remedy
    monkeypatch.setenv("AIRTABLE_API_KEY", airtable.api_key)
    assert check(["airtable"], context=context())["airtable_permissions"].state == "ok"


def test_what_waits_for_a_sync_is_what_the_sync_has_to_do(airtable, context, tmp_path):
    """After a sync no lead waits; a new and a changed lead do."""
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        ids = [db.add_lead({"name": f"Ada {n}", "company": "Acme"}) for n in range(3)]
        sync = AirtableSyncManager(
            db,
            api_key=airtable.api_key,
            base_id=airtable.base_id,
            endpoint_url=airtable.endpoint_url,
        )

        def backlog():
            return check(["sync"], context=context(database=db, clock=now_us))["sync_backlog"].value

        assert backlog() == 0  # never synchronised, so no lead waits
        assert sync.bidirectional_sync().success
        assert backlog() == 0
        db.update_lead(ids[0], {"title": "CTO"})
        db.add_lead({"name": "Bob", "company": "Acme"})
        assert backlog() == 2
        assert sync.bidirectional_sync().success
        assert backlog() == 0

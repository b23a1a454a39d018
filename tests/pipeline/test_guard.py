"""Secrets never reach a line, although most events are never walked for them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import leadlog
from leadlog.core.records import shape
from leadlog.recording.pipeline.guard import guard
from leadlog_processors.rendering import render

Logged = Callable[..., list[dict[str, Any]]]

SECRETS = [
    "postgresql://ana:hunter2secret@db/leads",
    "Authorization: Bearer hunter2secret",
    "password=hunter2secret",
    'api_key: "hunter2secret"',
]
TEXTS = st.text(max_size=20) | st.sampled_from(SECRETS)


UNKNOWN_TEXTS = {
    "error_message",
    "entity",
    "started_at",
    "transaction_id",
    "lead_id",
    "company",
    "duplicate_action",
    "duplicate_matched_on",
}


def texts_of(event: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Every place in an event that holds a text, or is null and could."""
    places = [(event, key) for key in ("event_name", "thread_name")]
    for section in event.values():
        if isinstance(section, dict):
            places += [(section, key) for key in section]
    return [
        (holder, key)
        for holder, key in places
        if (isinstance(holder.get(key), str) and key != "outcome") or key in UNKNOWN_TEXTS
    ]


@given(st.data())
def test_a_secret_in_any_place_of_an_operation_is_masked(data: st.DataObject) -> None:
    """Property: whatever field a secret stands in, the guarded line does not have it."""
    event = shape.database_operation(
        "add_lead", {"name": "Ana", "email": "ana@acme.com"}, {"success": True}, {}
    )
    del event["_lead"]
    event |= {"event_name": "lead.add", "thread_name": "MainThread"}
    event["context"] = {"note": data.draw(TEXTS)}
    labels = event.pop("training_labels")
    holder, key = data.draw(st.sampled_from(texts_of(event)))
    holder[key] = data.draw(st.sampled_from(SECRETS))
    event["training_labels"] = labels
    line = guard(render(event) + b"\n", event)
    assert b"hunter2secret" not in line
    assert line.endswith(b"\n")
    assert json.loads(line)["training_labels"] == labels


def test_an_event_without_secrets_is_the_same_line() -> None:
    """No copy is made, and nothing is rendered twice, where nothing is suspicious."""
    event = shape.database_operation("get_lead", {"name": "Ana"}, {}, {})
    event |= {"event_name": "lead.get", "thread_name": "T"}
    line = render(event)
    assert guard(line, event) is line


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_wherever_it_is_logged(secret: str, logged: Logged) -> None:
    """In errors, stack traces, free events, bound context and leads."""
    log = leadlog.get_logger()
    with leadlog.session(note=secret):
        log.info(secret, value=[{"deep": secret}])
        try:
            raise ValueError(secret)
        except ValueError:
            log.exception("failed")
        leadlog.log_database_event("database_operation", {"name": secret}, {"error": secret})
    lines = [
        json.dumps(event)
        for category in ("monitoring_data", "error_logs", "database_operations")
        for event in logged(category)
    ]
    assert len(lines) == 3
    assert not any("hunter2secret" in line for line in lines)


@pytest.mark.handmade_lines
def test_a_record_written_by_hand_is_masked_too(logged: Logged) -> None:
    """Also where a number is expected, which only a record written by hand can hold."""
    leadlog.get_logger().info(
        "lead.get",
        log_type="database_operation",
        operation_details={"records_affected": SECRETS[0]},
        performance_metrics={"cpu_time_ms": {"token": "hunter2secret"}},
    )
    assert "hunter2secret" not in json.dumps(logged("database_operations"))


@pytest.mark.parametrize("policy", ["masked", "pseudonymised"])
def test_personal_data_follows_the_policy_everywhere(policy: str, logged: Logged) -> None:
    """Name, e-mail and phone of a lead are nowhere in the files, the label still is."""
    leadlog.configure(pii=policy, pseudonym_key="key" if policy == "pseudonymised" else None)
    with leadlog.LeadDatabase(":memory:") as db:
        lead = {"name": "Ana Gómez", "email": "ana@acme.com", "company": "Acme"}
        key = db.add_lead({**lead, "phone": "+34 600 123 456"})
        db.update_lead(key, {"title": "CTO"})
        with pytest.raises(ValueError, match="name"):
            db.add_lead({"email": "ana@acme.com"})
    operations, errors = logged("database_operations"), logged("error_logs")
    text = json.dumps(operations + errors, ensure_ascii=False)
    for personal in ("Gómez", "ana@acme.com", "600 123 456"):
        assert personal not in text
    assert operations[0]["training_labels"]["data_quality"] == "high"
    assert operations[0]["lead_identifier"]["lead_id"] == key
    names = {event["lead_identifier"]["name"] for event in operations[:2]}
    assert len(names) == 1

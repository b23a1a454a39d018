"""Privacy: personal data by policy, in the whole event."""

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors.masking import MASK, mask_secrets
from leadlog_processors.privacy import DEFAULT_PII_FIELDS, Policy, Privacy

KEY = b"0123456789abcdef0123456789abcdef"


def pseudonym(text: str, key: bytes = KEY) -> str:
    """The documented formula, implemented independently."""
    digest = hmac.new(key, text.strip().casefold().encode(), hashlib.sha256).hexdigest()
    return "p:" + digest[:16]


def clean(event: Any, policy: Policy = "masked", **options: Any) -> Any:
    key = KEY if policy == "pseudonymised" else None
    return Privacy(policy, key, **options)(None, "info", event)


def operation(**sections: Any) -> dict[str, Any]:
    """Return a database operation's record, as it leaves the chain."""
    return {
        "timestamp": "2026-11-23T10:00:00.000000Z",
        "level": "info",
        "log_type": "database_operation",
        "event_name": "lead.add",
        "session_id": "a1b2c3d4",
        "thread_name": "MainThread",
        "operation_details": {
            "operation_type": "add_lead",
            "operation_id": "01234567890123456789",
            "success": True,
            "outcome": "committed",
            "error_message": None,
            "started_at": "2026-11-23T10:00:00.000000Z",
        },
        "lead_identifier": {
            "lead_id": "1234567890",
            "name": "Ana Díaz",
            "company": "Acme",
            "email": "Ana.Diaz@acme.com",
        },
        "data_details": {
            "fields_processed": ["name", "email"],
            "fields_changed": {
                "phone": {"old": None, "new": "+34 912 345 678"},
                "title": {"old": "CEO", "new": "CTO"},
            },
            "data_size_bytes": 9123456789,
        },
        "training_labels": {"operation_successful": True, "performance_tier": "excellent"},
        **sections,
    }


# ----------------------------------------------------------------------------------------- policy


def test_the_plain_policy_masks_secrets_only() -> None:
    """Personal data are unchanged."""
    event = operation()
    assert clean(event, "plain") is event
    assert clean({"name": "Ana", "password": "x"}, "plain") == {"name": "Ana", "password": MASK}
    assert Privacy()(None, "info", {"token": "x"}) == {"token": MASK}


def test_the_masked_policy_leaves_no_personal_datum() -> None:
    """Name, address and phone number are masked; company, title and contract terms stay."""
    found = clean(operation())
    assert found["lead_identifier"] == {
        "lead_id": "1234567890",
        "name": MASK,
        "company": "Acme",
        "email": MASK,
    }
    assert found["data_details"]["fields_changed"] == {
        "phone": {"old": None, "new": MASK},
        "title": {"old": "CEO", "new": "CTO"},
    }
    untouched = operation()
    for key in untouched.keys() - {"lead_identifier", "data_details"}:
        assert found[key] == untouched[key]
    assert found["data_details"]["fields_processed"] == ["name", "email"]


def test_a_pseudonym_is_the_documented_formula_and_stable() -> None:
    """The same text, in any case and with surrounding blanks, has the same pseudonym."""
    found = clean(operation(), "pseudonymised")
    assert found["lead_identifier"]["name"] == pseudonym("Ana Díaz")
    assert found["lead_identifier"]["email"] == pseudonym("ana.diaz@ACME.com ")
    assert clean({"email": " ANA.DIAZ@acme.com"}, "pseudonymised")["email"] == pseudonym(
        "ana.diaz@acme.com"
    )


def test_another_key_gives_other_pseudonyms() -> None:
    """Without the key, nobody can test names."""
    one = Privacy("pseudonymised", b"one")(None, "info", {"name": "Ana"})
    other = Privacy("pseudonymised", b"other")(None, "info", {"name": "Ana"})
    assert one != other
    assert one == {"name": pseudonym("Ana", b"one")}


def test_a_blank_value_and_a_stand_in_stay() -> None:
    """There is nothing to hide, and a second pipeline does not hash the hash."""
    event = {"name": " ", "email": "", "phone": MASK, "notes": pseudonym("x"), "raw_data": None}
    assert clean(event, "pseudonymised") is event


def test_pseudonyms_without_a_key_are_refused_with_the_setting_to_give() -> None:
    """A hash of a name without a key is not a pseudonym."""
    for key in (None, b""):
        with pytest.raises(ValueError, match="pseudonym_key"):
            Privacy("pseudonymised", key)


def test_an_unknown_policy_is_refused_with_those_there_are() -> None:
    """The error names the value and the remedy."""
    with pytest.raises(ValueError, match=r"'hidden'.*plain, pseudonymised, masked"):
        Privacy("hidden")  # type: ignore[arg-type]


def test_the_key_is_never_shown() -> None:
    """It is in neither repr nor str."""
    privacy = Privacy("pseudonymised", b"hunter2hunter2")
    assert repr(privacy) == "Privacy('pseudonymised')"
    assert (
        "hunter2"
        not in f"{privacy}{privacy!r}{vars(privacy) if hasattr(privacy, '__dict__') else ''}"
    )
    assert privacy.policy == "pseudonymised"


# ------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("field", sorted(DEFAULT_PII_FIELDS))
@pytest.mark.parametrize("form", ["{}", "{}_2", "{}3", "lead_data.{}"])
def test_a_personal_key_counts_with_a_number_or_a_path(field: str, form: str) -> None:
    """email_2 and lead_data.email are e-mail addresses too."""
    assert clean({form.format(field): "x"}) == {form.format(field): MASK}


@pytest.mark.parametrize(
    "key", ["firstName", "FirstName", "First Name", "first-name", "FIRST_NAME", "Email 1", "e mail"]
)
def test_a_personal_key_counts_in_any_notation(key: str) -> None:
    """Imported files use all of them."""
    fields = {"first_name", "email", "e_mail"}
    assert clean({key: "x"}, pii_fields=fields) == {key: MASK}


@pytest.mark.parametrize(
    "key",
    ["operation_name", "event_name", "thread_name", "filename", "name_of_job", "emails_sent",
     "phone_calls", "hostname", "company", "title", "website", "lead_id"],
)  # fmt: skip
def test_a_personal_key_counts_only_as_a_whole(key: str) -> None:
    """operation_name does not name a person."""
    event = {key: "Ana"}
    assert clean(event) is event


def test_fields_of_ones_own_can_be_personal() -> None:
    """Even a term of the contract; the default fields are replaced, not extended."""
    event = {"company": "Acme", "user": "ana", "name": "Bob"}
    assert clean(event, pii_fields=["company", "user"]) == {
        "company": MASK,
        "user": MASK,
        "name": "Bob",
    }


def test_everything_under_a_personal_key_goes_whatever_its_kind() -> None:
    """Numbers, lists and objects; true, false and null reveal nothing."""
    assert clean(
        {
            "phone": 34912345678,
            "name": ["Ana", {"x": "Díaz"}, None, True],
            "email": Decimal("1.5"),
            "raw_data": {"Lead Owner": "Bob", "n": 1, "api_key": {"a": "b"}},
            "mobile": b"+34 912",
        }
    ) == {
        "phone": MASK,
        "name": [MASK, {"x": MASK}, None, True],
        "email": MASK,
        "raw_data": {"Lead Owner": MASK, "n": MASK, "api_key": {"a": MASK}},
        "mobile": MASK,
    }


def test_what_is_sensitive_is_masked_not_pseudonymised() -> None:
    """Secrets must not be joinable."""
    found = clean({"raw_data": {"password": "x"}, "max_tokens": 5}, "pseudonymised")
    assert found == {"raw_data": {"password": MASK}, "max_tokens": 5}


def test_the_name_of_an_alert_is_that_of_its_rule() -> None:
    """Its message is treated like any other text."""
    event = {"alerts": [{"name": "error rate", "severity": "critical", "message": "ana@acme.com"}]}
    assert clean(event) == {
        "alerts": [{"name": "error rate", "severity": "critical", "message": MASK}]
    }


def test_measurements_by_field_name_are_no_personal_data() -> None:
    """field_completeness.email is a share."""
    event = {
        "data_summary": {
            "field_completeness": {"name": 1.0, "email": 0.9},
            "data_quality_distribution": {"high": 9},
        },
        "training_labels": {"name": "x"},
    }
    assert clean(event) is event


# ------------------------------------------------------------------------------------------ texts


def test_a_known_name_and_address_are_found_in_other_texts() -> None:
    """In error messages and stack traces, before and after the key, in any case."""
    event = {
        "note": "ANA DÍAZ called",
        **operation(
            error_details={
                "error_message": "Ana Díaz <ana.diaz@acme.com> exists; phone +34 912 345 678",
                "stack_trace": "File \"x.py\", line 3, in f\nValueError: 'Ana Díaz'",
                "exception_class": "Ana Díaz",
            }
        ),
    }
    found = clean(event, "pseudonymised")
    name, address = pseudonym("Ana Díaz"), pseudonym("ana.diaz@acme.com")
    assert found["note"] == f"{name} called"
    assert found["error_details"]["error_message"] == (
        f"{name} <{address}> exists; phone {pseudonym('+34 912 345 678')}"
    )
    assert found["error_details"]["stack_trace"].endswith(f"ValueError: '{name}'")
    assert found["error_details"]["exception_class"] == "Ana Díaz"


def test_a_known_text_is_found_as_a_whole_word_only() -> None:
    """Ana is not found in Anabel, and two letters identify nobody."""
    assert (
        clean({"name": "Ana", "m": "Ana met Anabel and banAna"})["m"] == "*** met Anabel and banAna"
    )
    assert clean({"name": "Li", "m": "Li met Lisa"})["m"] == "Li met Lisa"
    assert clean({"name": "Ana", "m": "Ana", "n": "Bob"}) == {"name": MASK, "m": MASK, "n": "Bob"}


def test_the_longer_of_two_known_texts_wins() -> None:
    """The full name has its own pseudonym."""
    event = {"first_name": "Ana", "name": "Ana Díaz", "m": "Ana Díaz, called Ana"}
    assert (
        clean(event, "pseudonymised")["m"] == f"{pseudonym('Ana Díaz')}, called {pseudonym('Ana')}"
    )


def test_words_of_the_contract_are_kept_though_a_person_bears_their_name() -> None:
    """A person named High, Committed or Lead does not ruin the labels."""
    event = operation(event="lead.add")
    event["lead_identifier"]["name"] = "excellent"
    event["lead_identifier"]["email"] = "committed"
    found = clean(event)
    assert found["training_labels"]["performance_tier"] == "excellent"
    assert found["operation_details"]["outcome"] == "committed"
    assert found["event"] == "lead.add"


def test_the_message_of_anybodys_event_is_a_text() -> None:
    """An `event` with a blank in it is free text."""
    assert clean({"name": "lead", "event": "lead came"}) == {"name": MASK, "event": "*** came"}
    assert clean({"name": "lead", "event": "lead.add"}) == {"name": MASK, "event": "lead.add"}


def test_an_address_is_found_in_every_text() -> None:
    """Also in ids, companies and websites, which are not searched for anything else."""
    event = {"lead_id": "ana@acme.com", "company": "Acme, ask bob@acme.com", "m": "a@b.co."}
    assert clean(event) == {"lead_id": MASK, "company": "Acme, ask ***", "m": "***."}


@pytest.mark.parametrize(
    "phone",
    ["+34 912 345 678", "9802005297", "917-584-0243x4606", "(704)585-7792", "369.329.6963",
     "001-307-937-7505x54026", "+1-980-200-5297 ext. 12", "01 23 45 67 89", "+4912345678"],
)  # fmt: skip
def test_what_looks_like_a_phone_number_is_found_in_texts(phone: str) -> None:
    """In the usual notations, with its extension."""
    assert clean({"m": f"call {phone}, please"}) == {"m": "call ***, please"}
    assert clean({"m": phone}) == {"m": MASK}


@pytest.mark.parametrize(
    "text",
    ["2026-11-23", "2026-11-23 10:00:00", "2026-11-23T10:00:00.000000Z", "took 1234.567890 ms",
     "host 192.168.100.200", "line 1234, in f", "0x7f00b028e660", "version 3.11.7",
     "550e8400-e29b-41d4-a716-446655440000", "0.123 0.456 0.789", "1 2 3 4 5 6 7 8 9",
     "$1234567890", "item 12345", "01JD8X9Z5K6M7N8P9Q0R1S2T3V", "a/1234567890/b",
     "12345678901234567890"],
)  # fmt: skip
def test_what_is_no_phone_number_stays(text: str) -> None:
    """Dates, times, machine addresses, versions, ids and measurements are kept."""
    event = {"m": text}
    assert clean(event) is event


# ------------------------------------------------------------------------------------- properties

names = st.sampled_from(
    ["Ana", "Ana Díaz", "Bob Smith-Jones", "Zoë O'Neill", "王小明", "a.b+c@x.io"]
)
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=15) | names
keys = st.sampled_from(
    [*sorted(DEFAULT_PII_FIELDS), "email_2", "First Name", "message", "error_message", "company",
     "alerts", "training_labels", "context", "password", "event", "lead_id", "x"]
)  # fmt: skip
events = st.dictionaries(
    keys,
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=8,
    ),
)
policies = st.sampled_from(["plain", "pseudonymised", "masked"])


@given(events, policies)
def test_no_policy_changes_keys_shape_or_its_argument(
    event: dict[str, Any], policy: Policy
) -> None:
    """Objects nested in an event belong to the application."""
    before = json.dumps(event)
    found = clean(event, policy)
    assert json.dumps(event) == before
    assert found is event or found != event

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        return [shape(item) for item in value] if isinstance(value, list) else None

    assert shape(found) == shape(event)


@given(events, policies)
def test_every_policy_masks_what_the_plain_one_does(event: dict[str, Any], policy: Policy) -> None:
    """No policy passes a secret that another one masks."""
    found = clean(event, policy)
    assert mask_secrets(found) == found


@given(events, policies)
def test_a_second_time_changes_nothing(event: dict[str, Any], policy: Policy) -> None:
    """Two pipelines in a row do no harm."""
    once = clean(event, policy)
    assert clean(once, policy) == once


def personal(value: Any, is_personal: bool) -> list[str]:
    """Return every text under a name key, found by an independent search."""
    if isinstance(value, dict):
        return [
            text
            for key, item in value.items()
            for text in personal(item, is_personal or key == "name")
        ]
    if isinstance(value, list):
        return [text for item in value for text in personal(item, is_personal)]
    return [value] if is_personal and isinstance(value, str) else []


@given(events)
def test_nothing_under_a_name_key_survives(event: dict[str, Any]) -> None:
    """At any depth, such a value is a mask or blank."""
    found = clean(
        {key: item for key, item in event.items() if key not in ("alerts", "training_labels")}
    )
    without_trees = json.loads(json.dumps(found))

    def prune(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: prune(v) for k, v in value.items() if k not in ("alerts", "training_labels")}
        return [prune(item) for item in value] if isinstance(value, list) else value

    assert all(not text.strip() or text == MASK for text in personal(prune(without_trees), False))


# ------------------------------------------------------------------------------------- odd events


def test_a_stack_that_ends_inside_masks_everything_but_the_contracts_words() -> None:
    """Content that could not be searched is masked."""
    event: dict[str, Any] = {"log_type": "error_log", "name": "Ana", "m": {"name": "Ana"}}

    def sink_deep(depth: int) -> Any:
        try:
            return sink_deep(depth + 1)
        except RecursionError:
            return clean(event)

    found = sink_deep(0)
    assert found["log_type"] == "error_log"
    assert "Ana" not in str(found)


def test_an_object_whose_text_raises_is_masked() -> None:
    """Under a personal key everything is masked."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    assert clean({"name": Mute()}) == {"name": MASK}
    assert clean({"name": float("nan")}) == {"name": MASK}


def test_lone_surrogates_have_a_pseudonym() -> None:
    """They occur in pasted text."""
    assert clean({"name": "\ud800abc"}, "pseudonymised")["name"].startswith("p:")


def test_a_cycle_is_cut() -> None:
    """Masking does the same."""
    event: dict[str, Any] = {"name": "Ana"}
    event["again"] = event
    assert clean(event) == {"name": MASK, "again": "<cycle>"}

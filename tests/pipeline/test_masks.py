"""Secrets never reach a line, in any field of any event."""

import json
import string
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import is_typeddict

import leadlog
from leadlog.core import settings
from leadlog.core.records import RECORDS, shape
from leadlog.core.records.hints import all_keys_of
from leadlog.recording.pipeline import Pipeline
from leadlog.recording.pipeline.facts import add_writer, frame_of, open_facts
from leadlog.recording.pipeline.policy import finisher_of, policy_of
from leadlog_processors.fields import LEAD
from leadlog_processors.masking import MASK, mask_secrets
from leadlog_processors.session import current_session

Logged = Callable[..., list[dict[str, Any]]]

SECRETS = [
    "postgresql://ana:hunter2secret@db/leads",
    "Authorization: Bearer hunter2secret",
    "password=hunter2secret",
    'api_key: "hunter2secret"',
]

CORE = "Zq7"  # begins the secret part of each of these, and occurs nowhere else in an event
KINDS = {
    "url": f"postgresql://ana:{CORE}hunter2@db:5432/leads",
    "header": f"Authorization: Bearer {CORE}hunter2",
    "cookie": f"Cookie: sid={CORE}hunter2",
    "bearer": f"sent bearer {CORE}hunter2",
    "pair": f"password={CORE}hunter2",
    "quoted": f'{{"client_secret": "{CORE}hunter2"}}',
    "option": f"pg_dump --db-password {CORE}hunter2",
    "airtable": "pat" + CORE + "Ab3dEf6hIj9" + "." + "0123456789abcdef" * 4,
    "airtable before 2024": "key" + CORE + "AbCdEf12345",
    "openai": "sk-" + CORE + "Ab12Cd34Ef56Gh78",
    "github": "ghp_" + CORE + "16C7e42F292c6912E7710c",
    "gitlab": "glpat-" + CORE + "Ab12Cd34Ef56Gh78",
    "slack": "xox" + "b-" + CORE + "456789012-abcdef",
    "google": "AIza" + CORE + "A1234567890abcdefghijklmnopqrst",
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + "." + CORE + "WIiOiIxMjM0In0" + ".dozjgNryP4J3jVmNHl0w5N",
    "parameters": f"[SQL: SELECT ?]\n[parameters: ('{CORE}hunter2', 1)]",
    "detail": f"error\nDETAIL:  Key (email)=({CORE}hunter2) already exists.",
}
secrets = st.sampled_from(sorted(KINDS.values()))


def nested(secret: str) -> st.SearchStrategy[Any]:
    """Return values that contain the secret in different ways."""
    return st.sampled_from(
        [
            secret,
            [secret],
            [[1, {"deep": [secret]}]],
            {"deep": {"deeper": secret}},
            {secret: 1},
            {secret: None},
            {"password": f"{CORE}bare"},
            {"rows": [{"apiToken": [f"{CORE}bare"]}]},
        ]
    )


def filled(hint: Any, secret: str) -> st.SearchStrategy[Any]:
    """Return a value of that type with a secret wherever possible."""
    origin = get_origin(hint)
    if is_typeddict(hint):
        return sections(hint, secret)
    if hint is str:
        return st.just(secret)
    if origin is list:
        (of,) = hint.__args__
        return st.lists(filled(of, secret), min_size=1, max_size=2)
    if origin is dict or hint is Any:
        return nested(secret).map(lambda value: value if hint is Any else {"key": value})
    if origin is Literal:
        return st.just(hint.__args__[0])
    return st.none()


def sections(record: Any, secret: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return every key of a record type, and an unknown one."""
    known = {key: filled(hint, secret) for key, hint in all_keys_of(record).items()}
    return st.fixed_dictionaries({**known, "field_of_tomorrow": nested(secret)})


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Return an event of any log type with secrets in all places."""
    log_type = draw(st.sampled_from(sorted(RECORDS)))
    secret = draw(secrets)
    event = draw(sections(RECORDS[log_type], secret))
    return {**shape.blank(log_type), **event, "timestamp": draw(st.none() | st.just(secret))}


@pytest.fixture(scope="module", params=["drain", "caller"])
def pipeline(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """Provide one pipeline with files for all examples of a test."""
    directory = tmp_path_factory.mktemp("masks") / "logs"
    loaded = settings.load(directory=directory, enrich=request.param, line_limit_bytes=1 << 20)
    with Pipeline(loaded) as pipeline:
        yield pipeline


def written(pipeline: Pipeline) -> bytes:
    """Return what was written to its files since the last call."""
    assert pipeline.flush()
    found = b""
    for path in sorted(pipeline.loaded.settings.directory.rglob("*.jsonl")):
        found += path.read_bytes()
        path.write_bytes(b"")
    return found


@given(event=events(), secret=secrets)
def test_no_secret_of_any_field_is_in_any_file(
    pipeline: Pipeline, event: dict[str, Any], secret: str
) -> None:
    """Property: for every log type and field, nested, in lists, as a key."""
    thread = threading.current_thread()
    name, thread.name = thread.name, secret
    try:
        with leadlog.session(note=secret, api_key=f"{CORE}bare"):
            pipeline.get_logger().emit("info", secret, event)
    finally:
        thread.name = name
    lines = written(pipeline)
    assert lines.count(b"\n") == 1
    assert CORE.encode() not in lines, lines[max(lines.index(CORE.encode()) - 200, 0) :][:400]


@given(event=events(), secret=secrets)
def test_neither_is_one_that_is_logged_freely(
    pipeline: Pipeline, event: dict[str, Any], secret: str
) -> None:
    """Property: the values as keywords, bound, in the text, with an exception or by hand."""
    log = pipeline.get_logger().bind(bound=secret, token=f"{CORE}bare")
    log.info(secret, **event)
    by_hand = {**event, "log_type": "error_log"}
    log.warning(secret, **by_hand)
    del event["log_type"]
    log.info(secret, **event)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception(secret, **event)
    lines = written(pipeline)
    assert lines.count(b"\n") == 4
    assert CORE.encode() not in lines, lines[max(lines.index(CORE.encode()) - 200, 0) :][:400]


@given(event=events(), secret=secrets, policy=st.sampled_from([None, b"{", b'{"pii":"odd"}']))
def test_neither_is_one_that_a_dead_process_left(
    event: dict[str, Any], secret: str, policy: bytes | None
) -> None:
    """Property: recovery masks as much; without a policy personal data, too."""
    event[LEAD] = {"name": "Ann Field", "notes": secret}
    facts = {**open_facts("event", "info", secret), "event": event}
    add_writer(facts, current_session())
    (line,) = finisher_of(policy)("database_operations", [frame_of(facts)])
    assert CORE.encode() not in line
    assert json.loads(line)["recovered"] is True


def test_recovery_applies_the_policy_that_it_finds() -> None:
    """Pseudonyms only with the same key; otherwise the values are masked."""
    facts = open_facts("free", "info", "x")
    facts["values"] = {"email": "ann@field.example"}
    frame = frame_of(facts)

    def email(policy: bytes | None, key: str = "") -> str:
        (line,) = finisher_of(policy, key)("monitoring_data", [frame])
        found: str = json.loads(line)["monitoring_info"]["data_points"]["email"]
        return found

    pseudonymised = policy_of(settings.load(pii="pseudonymised", pseudonym_key="k").settings)
    assert email(policy_of(settings.load().settings)) == "ann@field.example"
    assert email(policy_of(settings.load(pii="masked").settings)) == MASK
    assert email(pseudonymised, "k").startswith("p:")
    assert email(pseudonymised, "other") == MASK
    assert email(pseudonymised) == MASK
    assert email(None) == MASK
    assert b"pepper" not in policy_of(settings.load(pseudonym_key="pepper").settings)


@pytest.mark.parametrize("start", ["a", "Z", "9"])
@pytest.mark.parametrize("length", range(15, 20))
def test_an_airtable_key_is_known_by_its_length(start: str, length: int) -> None:
    """Alone in a value: 17 letters and digits after `key`, not all of them lower case."""
    value = ("key" + start + "B" + string.ascii_lowercase)[:length]
    masked = mask_secrets({"value": value})["value"]
    assert masked == (MASK if length == 17 else value)


@pytest.mark.parametrize("length", [1, 16, 63, 64, 65])
def test_an_airtable_token_is_one_whatever_its_length(length: int) -> None:
    """True alone in a value, and as a key."""
    token = "pat" + "Ab3dEf6hIj9kLm" + "." + ("0123456789abcdef" * 5)[:length]
    assert mask_secrets({"value": token}) == {"value": MASK}
    assert mask_secrets({token: 1}) == {MASK: 1}


def test_keys_that_become_the_same_lose_nothing() -> None:
    """They are numbered, even if the mask itself is a key, too."""
    one, other = ("pat" + f"Ab3dEf6hIj9kL{n}" + ".0123" for n in "mn")
    assert mask_secrets({one: 1, MASK: 2, other: 3}) == {
        "*** (2)": 1,
        MASK: 2,
        "*** (3)": 3,
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_wherever_it_is_logged(secret: str, logged: Logged) -> None:
    """In errors, stack traces, application events, bound context and leads."""
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


@pytest.mark.parametrize("enrich", ["drain", "caller"])
def test_the_text_of_any_object_is_masked(enrich: str, logged: Logged) -> None:
    """The repr of an object and a path are texts as well, wherever the event is finished."""

    class Config:
        def __repr__(self) -> str:
            return "Config(password='hunter2secret')"

    leadlog.configure(enrich=enrich)
    leadlog.get_logger().info(
        "x", one=Config(), path=Path("password=hunter2secret"), deep=[{"key": {Config(): 1}}]
    )
    (event,) = logged("monitoring_data")
    assert event["monitoring_info"]["data_points"] == {
        "one": "Config(password='***')",
        "path": "password=***",
        "deep": [{"key": {"Config(password='***')": "***"}}],
    }


@pytest.mark.handmade_lines
def test_a_record_written_by_hand_is_masked_too(logged: Logged) -> None:
    """A hand-written record is masked, even a text in the place of a number."""
    leadlog.get_logger().info(
        "lead.get",
        log_type="database_operation",
        operation_details={"records_affected": SECRETS[0]},
        performance_metrics={"cpu_time_ms": {"token": "hunter2secret"}},
    )
    assert "hunter2secret" not in json.dumps(logged("database_operations"))


@pytest.mark.parametrize("policy", ["masked", "pseudonymised"])
def test_personal_data_follows_the_policy_everywhere(policy: str, logged: Logged) -> None:
    """Name, e-mail and phone of a lead are nowhere in the files; the label still is."""
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

"""Masking: secrets in texts and under keys, and the quick test of rendered lines."""

import json
from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leadlog_processors.masking import (
    MASK,
    is_sensitive,
    mask_secrets,
    mask_text,
    may_contain_secret,
)

# Made up, in the format of real ones, and assembled here so that no scanner reports them.
AIRTABLE = "pat" + "Ab3dEf6hIj9kLm" + "." + "0123456789abcdef" * 4
AIRTABLE_LEGACY = "key" + "AbCdEf12345678"
OPENAI = "sk-" + "proj-Ab12Cd34Ef56Gh78"
STRIPE = "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc"
GITHUB = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
GITHUB_PAT = "github_pat_" + "11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz"
GITLAB = "glpat-" + "Ab12Cd34Ef56Gh78Ij90"
SLACK = "xox" + "b-123456789012-abcdefABCDEF"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GOOGLE = "AIza" + "SyA1234567890abcdefghijklmnopqrstuv"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".dozjgNryP4J3jVmNHl0w5N"
TOKENS = {
    "airtable": AIRTABLE,
    "airtable_legacy": AIRTABLE_LEGACY,
    "openai": OPENAI,
    "stripe": STRIPE,
    "github": GITHUB,
    "github_pat": GITHUB_PAT,
    "gitlab": GITLAB,
    "slack": SLACK,
    "aws": AWS,
    "google": GOOGLE,
    "jwt": JWT,
}

SENSITIVE = [
    "password",
    "Password",
    "PASSWD",
    "DB_PASSWORD",
    "dbpassword",
    "userPwd",
    "passphrase",
    "secret",
    "client_secret",
    "clientSecret",
    "token",
    "accessToken",
    "ACCESS-TOKEN",
    "tokenValue",
    "refresh_tokens",
    "api_key",
    "apikey",
    "apiKey",
    "API key",
    "x-api-key",
    "airtable_api_key",
    "airtableApiKey",
    "access_key_id",
    "private_key",
    "privateKey",
    "authorization",
    "Proxy-Authorization",
    "cookie",
    "Set-Cookie",
    "credentials",
    "aws_credential",
    "pseudonym_key",
    "passwordless",
]
HARMLESS = [
    "token_count",
    "tokenCount",
    "tokens_used",
    "token-type",
    "token_expires_at",
    "passwordLength",
    "password_changed_at",
    "password_policy",
    "api_key_name",
    "cookie_name",
    "secret_size",
    "tokenizer",
    "tokenized",
    "secretary",
    "lead_key",
    "key",
    "keyboard",
    "monkey",
    "author",
    "compass",
    "passed",
    "name",
    "email",
    "",
]


@pytest.mark.parametrize("key", SENSITIVE)
def test_what_stands_under_a_sensitive_key_is_masked(key: str) -> None:
    """In any case, as part of a longer key, with or without separators."""
    assert is_sensitive(key)
    assert mask_secrets({key: "hunter2"}) == {key: MASK}
    assert may_contain_secret(orjson.dumps({key: "hunter2"}))


@pytest.mark.parametrize("key", HARMLESS)
def test_what_stands_under_a_harmless_key_stays(key: str) -> None:
    """It is a key about a secret, or one that only resembles a sensitive one."""
    assert not is_sensitive(key)
    event = {key: "hunter2"}
    assert mask_secrets(event) is event


def test_true_false_null_and_counts_are_no_secrets() -> None:
    """They reveal nothing; a number is a count only under a plural."""
    event = {"token": None, "has_password": True, "max_tokens": 4096, "secret": ""}
    assert mask_secrets(event) is event
    assert mask_secrets({"token": 4096, "pwd": 1.5}) == {"token": MASK, "pwd": MASK}


def test_what_is_nested_under_a_sensitive_key_is_masked_leaf_by_leaf() -> None:
    """The containers keep their form."""
    event = {
        "fields_changed": {"api_key": {"old": "a", "new": "b"}},
        "credentials": [{"user": "ana", "age": 3}, ("x", None, True)],
        "cookies": UserDict({"sid": b"1"}),
        "secret": object(),
    }
    assert mask_secrets(event) == {
        "fields_changed": {"api_key": {"old": MASK, "new": MASK}},
        "credentials": [{"user": MASK, "age": 3}, (MASK, None, True)],
        "cookies": {"sid": MASK},
        "secret": MASK,
    }


TEXTS = [
    ("postgresql://ana:s3cret@db:5432/leads", "postgresql://ana:***@db:5432/leads"),
    ("redis://:s3cret@cache", "redis://:***@cache"),
    ("amqp://a:p@ss@host/x", "amqp://a:***@host/x"),
    ("mysql://a:p/w?x@host/x", "mysql://a:***@host/x"),
    ("smtp://me@acme.com:pw@mail", "smtp://me@acme.com:***@mail"),
    ("two: http://a:b@c, http://d:e@f", "two: http://a:***@c, http://d:***@f"),
    ("Authorization: Bearer abc123", "Authorization: ***"),
    ("authorization: Basic dXNlcjpwdw==, next", "authorization: ***, next"),
    ("{'Authorization': 'Bearer abc'}", "{'Authorization': '***'}"),
    ('"authorization":"token abc","x":1', '"authorization":"***","x":1'),
    ('Authorization: Digest username="a", response="b"', "Authorization: ***"),
    ("Cookie: sid=1; theme=dark", "Cookie: ***"),
    ("Set-Cookie: sid=1; Path=/\nnext", "Set-Cookie: ***\nnext"),
    ("sent Bearer abc.def-123 to it", "sent Bearer *** to it"),
    ("password=hunter2", "password=***"),
    ("PASSWORD = hunter2, user=ana", "PASSWORD = ***, user=ana"),
    ("api_key: abc", "api_key: ***"),
    ("?token=abc&page=2", "?token=***&page=2"),
    ('{"token": "a b \\" c", "n": 1}', '{"token": "***", "n": 1}'),
    ('{\\"token\\": \\"abc\\", \\"n\\": 1}', '{\\"token\\": \\"***\\", \\"n\\": 1}'),
    ("{'db_password': b'x', 'n': 1}", "{'db_password': b'***', 'n': 1}"),
    ("connect(password='x', host='h')", "connect(password='***', host='h')"),
    ("connect(pwd=x)", "connect(pwd=***)"),
    ("Server=h;Password=x;Database=d", "Server=h;Password=***;Database=d"),
    ("env['API_KEY'] = 'x'", "env['API_KEY'] = '***'"),
    ("client_secret => 'x'", "client_secret => '***'"),
    ('"token": "cut in the mid', '"token": "***'),
    ("token: Bearer abc", "token: ***"),
    ('"credentials": ["a", "b"], "n": 1', '"credentials": ***, "n": 1'),
    ("psql --db-password hunter2 -h x", "psql --db-password *** -h x"),
    ("['psql', '--password', 'x', '-h']", "['psql', '--password', '***', '-h']"),
    ("ALTER ROLE ana PASSWORD 'x' LOGIN", "ALTER ROLE ana PASSWORD '***' LOGIN"),
    (
        "https://hooks.slack.com/services/T0/B0/XyZ failed",
        "https://hooks.slack.com/services/*** failed",
    ),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----!",
        "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----!",
    ),
    ("-----BEGIN PRIVATE KEY-----\nMIIB", "-----BEGIN PRIVATE KEY-----***"),
    (
        "(IntegrityError) UNIQUE\n[SQL: INSERT]\n[parameters: ('A]', 'a@b.com')]\n(Background: x)",
        "(IntegrityError) UNIQUE\n[SQL: INSERT]\n[parameters: ***]\n(Background: x)",
    ),
    ("x [parameters: {'name': 'An", "x [parameters: ***]"),
    (
        "duplicate key\nDETAIL:  Key (email)=(ana@acme.com) already exists.\nHINT: none",
        "duplicate key\nDETAIL: ***\nHINT: none",
    ),
    (
        "null value\nDETAIL:  Failing row contains (1, Ana,\nline two, null).\nHINT: none",
        "null value\nDETAIL: ***\nHINT: none",
    ),
    ("null value\nDETAIL:  Failing row contains (1, Ana,\nline t", "null value\nDETAIL: ***"),
]


@pytest.mark.parametrize(("text", "masked"), TEXTS)
def test_a_secret_in_a_text_is_masked_and_the_rest_stays(text: str, masked: str) -> None:
    """Of a URL the password is masked, of a pair the value, of a tail everything."""
    assert mask_text(text) == masked
    assert mask_secrets({"error": [text]}) == {"error": [masked]}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("around", ["{}", "it was {}.", "({})", "key {}, again", "x={}", '"{}"'])
def test_a_key_known_by_its_form_is_masked_anywhere(kind: str, around: str) -> None:
    """No name is needed next to it."""
    masked = mask_text(around.format(TOKENS[kind]))
    assert masked == around.format(MASK)


def test_a_key_right_behind_another_is_masked_too() -> None:
    """Its beginning is recognised only once the first is masked."""
    assert mask_text(AWS + AIRTABLE_LEGACY) == MASK + MASK


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Jaime Hayes",
        "Patrick of Key West, Secret Garden Inc",
        "Bearer token is missing",
        'WWW-Authenticate: Bearer realm="leads"',
        "the bearer of this",
        "https://black.com:8080/path?mail=a@b.com",
        "https://acme.com/in/jaime@x",
        "http://[::1]:8080/",
        "mailto:ana@acme.com",
        "token_count: 17, max_tokens=100",
        "password=None, token: null",
        "password='', token: \"\"",
        "password_changed_at: 2026-11-23",
        "task-force-2 risk-management-2025 disk_usage_percent_total",
        "keynote speakers, keyboardmaestrox",
        "patient.records and path.joinpath",
        "authorization failed",
        "secretary: Jane",
        "[SQL: SELECT 1]",
        "details: none",
        "UNIQUE constraint failed: lead_key.kind, lead_key.value",
    ],
)
def test_an_ordinary_text_stays_the_same_object(text: str) -> None:
    """This includes words that only resemble secrets."""
    assert mask_text(text) is text


def test_the_text_of_bytes_is_looked_into() -> None:
    """They are rendered as text later."""
    assert mask_secrets({"body": b"password=x"}) == {"body": "password=***"}
    event = {"body": b"\xff plain"}
    assert mask_secrets(event) is event


# ------------------------------------------------------------------------------------ properties

ordinary = st.text(max_size=20) | st.sampled_from(
    ["Jaime Hayes", "https://black.com/", "ana@acme.com", "Acme, Inc", "Key West", "2026-11-23"]
)
pieces = st.lists(
    ordinary
    | st.sampled_from(sorted(TOKENS.values()))
    | st.sampled_from([text for text, _ in TEXTS])
    | st.sampled_from(SENSITIVE + HARMLESS)
    | st.sampled_from(
        ["=", ": ", '"', "'", "\\", "\n", " ", "://", "@", "Bearer ", "[parameters: ", "DETAIL:",
         "\u212a", "\u017f", "eyJ", "pat", "sk-", "--", "]", "}", "é", "\x00", "\u2028", "***"]
    ),
    max_size=8,
).map("".join)  # fmt: skip
events = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | pieces,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(pieces | st.sampled_from(SENSITIVE + HARMLESS), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(events)
def test_the_quick_test_never_misses_a_secret(event: Any) -> None:
    """Whenever masking changes an event, its rendered bytes are suspicious, however rendered."""
    if mask_secrets(event) != event:
        assert may_contain_secret(orjson.dumps(event))
        assert may_contain_secret(json.dumps(event).encode())
        assert may_contain_secret(json.dumps(event, ensure_ascii=False, indent=1).encode())


@given(pieces)
def test_masking_twice_is_masking_once(text: str) -> None:
    """A masked text is not changed again, so two pipelines in a row do no harm."""
    once = mask_text(text)
    assert mask_text(once) == once


@given(events)
def test_masking_keeps_the_shape_and_its_argument(event: Any) -> None:
    """Only texts, numbers and keys change, in a copy; otherwise it is the same object."""
    before = json.dumps(event)
    masked = mask_secrets(event)
    assert json.dumps(event) == before
    assert masked is event or masked != event

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return [shape(item) for item in value.values()]
        return [shape(item) for item in value] if isinstance(value, list) else None

    assert shape(masked) == shape(event)


@given(ordinary, st.sampled_from(sorted(TOKENS.values())), ordinary)
def test_no_part_of_a_known_key_survives_in_any_text(before: str, token: str, after: str) -> None:
    """True if it is not part of a longer word."""
    assert token[-12:] not in mask_text(f"{before} {token} {after}")


@given(st.text(st.characters(codec="utf-8", exclude_characters='"\\'), min_size=1))
def test_the_value_of_a_quoted_pair_is_masked_whatever_it_is(value: str) -> None:
    """This includes blanks, commas and line breaks."""
    assume("DETAIL:" not in value and "[parameters: " not in value)  # they mask the rest too
    assert mask_text(f'x {{"password": "{value}", "n": 1}}') == 'x {"password": "***", "n": 1}'


@given(st.text(st.characters(categories=["L", "N"], include_characters="!$%&*+-_.~:"), min_size=1))
def test_the_password_of_a_url_is_masked_whatever_it_is(password: str) -> None:
    """This includes colons."""
    assert mask_text(f"postgresql://ana:{password}@db/leads") == "postgresql://ana:***@db/leads"


@pytest.mark.parametrize(
    "text",
    ["a" * 50_000, "://a:" * 9_000, "--" * 20_000 + "password", "password=" + ")" * 40_000,
     "api" + "-" * 40_000 + "key", "sk-" * 15_000, "[parameters: " * 4_000, 'token="' * 7_000,
     "eyJ" + "a." * 20_000, "DETAIL: Failing row contains (" * 1_500],
)  # fmt: skip
@pytest.mark.timeout(10)
def test_no_text_takes_long(text: str) -> None:
    """The time grows with the length, not with its square."""
    mask_text(text)


# ------------------------------------------------------------------------------------ odd events


class Unreadable(Mapping[str, Any]):
    """A mapping whose own code raises."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class UnreadableList(list[str]):
    """A list whose own code raises."""

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError


def test_what_cannot_be_looked_into_does_not_pass() -> None:
    """A cycle, a container that raises, and excessive nesting are replaced."""
    cycle: dict[str, Any] = {"password": "x"}
    cycle["again"] = [cycle]
    assert mask_secrets(cycle) == {"password": MASK, "again": ["<cycle>"]}
    assert mask_secrets({"m": Unreadable()}) == {"m": "<unreadable>"}
    assert mask_secrets({"m": UnreadableList("a")}) == {"m": "<unreadable>"}
    deep: Any = "password=x"
    for _ in range(400):
        deep = [deep]
    assert "password=x" not in repr(mask_secrets(deep))


def test_a_container_that_occurs_twice_is_no_cycle() -> None:
    """Only a container inside itself is a cycle."""
    shared = {"token": "x"}
    assert mask_secrets({"a": shared, "b": shared}) == {"a": {"token": MASK}, "b": {"token": MASK}}
    assert shared == {"token": "x"}


def test_keys_that_are_no_text_do_not_matter() -> None:
    """Their values are searched nevertheless."""
    assert mask_secrets({1: "pwd=x", None: {("a",): "y"}}) == {1: "pwd=***", None: {("a",): "y"}}


def test_sets_and_tuples_are_looked_into() -> None:
    """A changed set becomes a list, as it does when rendered."""
    assert mask_secrets({"a": {"pwd=x"}, "b": ("pwd=x", 1)}) == {
        "a": ["pwd=***"],
        "b": ("pwd=***", 1),
    }
    event = {"a": {"x"}, "b": (1, "y"), "c": frozenset()}
    assert mask_secrets(event) is event


@pytest.mark.parametrize(
    "lead",
    [
        {"name": "Jaime Hayes", "company": "Mays Inc", "email": "fstephens@shepherd.info"},
        {"name": "Patrick Park", "website": "https://black.com/", "email": "p@black.com"},
        {"linkedin_url": "https://www.linkedin.com/in/x", "phone": "001-307-937-7505x54026"},
        {"name": "Zoë Gonzalez", "company": "Dax & Xoom", "title": "Director", "n": [1, 2]},
    ],
)
def test_an_ordinary_lead_is_not_suspicious(lead: dict[str, Any]) -> None:
    """It needs no search of the event."""
    assert not may_contain_secret(orjson.dumps(lead))

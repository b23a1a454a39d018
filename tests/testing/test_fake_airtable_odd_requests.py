"""No request crashes the fake Airtable: it answers or refuses every one."""

import json
import socket
import subprocess
import sys

import orjson
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from leadlog import testing
from leadlog.testing import FakeAirtable

PROTOCOL = """
id name type fields records performUpsert fieldsToMergeOn typecast returnFieldsByFieldId offset
pageSize maxRecords sort field direction filterByFormula view options choices max timeZone
dateFormat timeFormat icon color precision description Text Number When Pick rec1 singleSelect
dateTime rating number singleLineText asc desc red
"""
WORDS = st.sampled_from(PROTOCOL.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)
FIELDS = {
    "Text": "singleLineText",
    "Number": "number",
    "When": "dateTime",
    "Pick": "singleSelect",
}
PLACES = [
    ("POST", "/v0/{base}/{table}"),
    ("PATCH", "/v0/{base}/{table}"),
    ("PUT", "/v0/{base}/{table}"),
    ("PATCH", "/v0/{base}/{table}/{record}"),
    ("POST", "/v0/{base}/{table}/listRecords"),
    ("POST", "/v0/meta/bases/{base}/tables/{table}/fields"),
    ("PATCH", "/v0/meta/bases/{base}/tables/{table}/fields/{field}"),
]


@pytest.fixture(scope="module")
def odd():
    """Provide one fake for all odd requests; its internal errors are raised at the end."""
    with (
        FakeAirtable(fields=FIELDS, per_base=None, per_token=None) as airtable,
        requests.Session() as client,
    ):
        client.headers["Authorization"] = f"Bearer {airtable.api_key}"
        yield airtable, client


def send(odd, method, path, record="recAAAAAAAAAAAAAA", **options):
    """Send a request to a place in the fake."""
    airtable, client = odd
    path = path.format(
        base=airtable.base_id,
        table=airtable.table_id,
        record=record,
        field=airtable.fields[0].id,
    )
    return client.request(method, f"{airtable.endpoint_url}{path}", timeout=5, **options)


@given(st.sampled_from(PLACES), st.dictionaries(WORDS, JSON, max_size=6) | JSON, st.booleans())
def test_any_json_is_answered(odd, place, body, there):
    """A body of any shape is answered with 200 or refused with a status below 500."""
    airtable, _ = odd
    record = airtable.create() if there else "recAAAAAAAAAAAAAA"
    answer = send(odd, *place, record, data=json.dumps(body))
    assert answer.status_code in {200, 403, 422}, answer.text
    assert all(orjson.dumps(one) for one in airtable.records())


@given(
    st.dictionaries(WORDS, st.text(max_size=20), max_size=5),
    st.sampled_from(["[]", "[0]", "[x]", "[0][a]"]),
)
def test_any_query_is_answered(odd, query, suffix):
    """Parameters of any shape are answered or refused."""
    query = {**query, **{f"{name}{suffix}": value for name, value in query.items()}}
    for method in ("GET", "DELETE"):
        answer = send(odd, method, "/v0/{base}/{table}", params=query)
        assert answer.status_code in {200, 422}, answer.text


@pytest.mark.parametrize(
    "lines",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /create HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: -5\r\n\r\n",
        b"POST /edit HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 4\r\n\r\n\xff\xfe=%",
        b"POST /v0/a/b HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
        b"BREW / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_hardly_http_does_no_harm(odd, lines):
    """Broken requests are refused or ignored, and the next one is answered."""
    airtable, _ = odd
    host, port = airtable.endpoint_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(lines)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    assert send(odd, "GET", "/v0/meta/whoami").ok


def test_the_fake_is_light():
    """Whoever tests against it needs neither SQLAlchemy nor structlog nor pyairtable."""
    code = (
        "import sys, leadlog.testing; assert 'http.server' not in sys.modules;"
        "leadlog.testing.FakeAirtable().close();"
        "print(*{'sqlalchemy', 'structlog', 'pyairtable', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_misspelt_names_are_errors():
    """A name that `leadlog.testing` does not have is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="FakeAirtabel"):
        _ = testing.FakeAirtabel

"""A fake Airtable on a clock that the test moves, and the real pyairtable to talk to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pyairtable
import pytest
import requests

from leadlog.testing import FakeAirtable


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[Callable[..., FakeAirtable]]:
    """Starts fake Airtables, by default without limits, and ends them with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> FakeAirtable:
            options = {
                "clock": clock,
                "epoch": datetime(2026, 3, 1, 12, tzinfo=UTC),
                "per_base": None,
                "per_token": None,
            } | options
            return stack.enter_context(FakeAirtable(**options))

        yield start


@pytest.fixture
def airtable(fake: Callable[..., FakeAirtable]) -> FakeAirtable:
    """A fake Airtable with the fields of leads and no limits."""
    return fake()


@pytest.fixture
def connect() -> Iterator[Callable[..., pyairtable.Table]]:
    """Makes pyairtable's table of a fake; nothing is sent twice unless the test asks for it."""
    with ExitStack() as stack:

        def table_of(airtable: FakeAirtable, **options: Any) -> pyairtable.Table:
            options = {
                "api_key": airtable.api_key,
                "endpoint_url": airtable.endpoint_url,
                "timeout": (5, 5),
                "retry_strategy": None,
            } | options
            api = pyairtable.Api(options.pop("api_key"), **options)
            stack.enter_context(api.session)
            return api.table(airtable.base_id, airtable.table_name)

        yield table_of


@pytest.fixture
def table(airtable: FakeAirtable, connect: Callable[..., pyairtable.Table]) -> pyairtable.Table:
    """pyairtable's table of the fake."""
    return connect(airtable)


@pytest.fixture
def raw(airtable: FakeAirtable) -> Iterator[Callable[..., requests.Response]]:
    """Sends a request with the token as it is, to the table or to a path of the API."""
    with requests.Session() as client:
        client.headers["Authorization"] = f"Bearer {airtable.api_key}"
        table = f"/v0/{airtable.base_id}/{airtable.table_id}"

        def send(method: str, path: str = table, **options: Any) -> requests.Response:
            return client.request(method, f"{airtable.endpoint_url}{path}", timeout=5, **options)

        yield send


@pytest.fixture
def refused() -> Callable[..., tuple[int, str]]:
    """Calls something that Airtable refuses; gives the status and Airtable's name of the error."""

    def call(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[int, str]:
        with pytest.raises(requests.HTTPError) as caught:
            function(*args, **options)
        answer = caught.value.response.json()
        if "errors" in answer:
            return caught.value.response.status_code, answer["errors"][0]["error"]
        error = answer["error"]
        kind = error if isinstance(error, str) else error["type"]
        return caught.value.response.status_code, kind

    return call

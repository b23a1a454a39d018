"""An OpenSearch, a log directory, and the command, for the tests of shipping."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from osmem_server import OsmemServer

from leadlog.cli import root
from tests.shipping_receivers import append, record

DAY = "2026-11-23"
AT = 1_795_428_000_000_000
"""2026-11-23T10:00:00Z"""


@pytest.fixture(scope="session")
def opensearch_base() -> Iterator[OsmemServer]:
    """Yield a real server with OpenSearch's API, in memory."""
    with OsmemServer.start(japanese=False) as server:
        server.freeze()
        yield server
    assert server.process.stdout is not None
    server.process.stdout.close()


@pytest.fixture
def opensearch(opensearch_base: OsmemServer) -> Iterator[Any]:
    """Yield an empty OpenSearch for one test."""
    with opensearch_base.clone() as clone:
        yield clone


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a log directory that does not exist yet."""
    return tmp_path / "database_logs"


@pytest.fixture
def fill(directory: Path) -> Callable[..., list[str]]:
    """Write records of a day: `fill("error_logs", 3)` returns their ids."""

    def write(category: str, count: int, day: int = 0, name: str = "") -> list[str]:
        at = AT + day * 86_400_000_000
        events = [record(category, at + number) for number in range(count)]
        file = name or f"{events[0]['timestamp'][:10]}.jsonl"
        return append(directory / category / file, *events)

    return write


@pytest.fixture
def leadlog() -> Callable[..., Result]:
    """Run `leadlog` in this process, with separate standard output and error."""
    return lambda *arguments, **environment: CliRunner().invoke(
        root, arguments, prog_name="leadlog", env=environment
    )

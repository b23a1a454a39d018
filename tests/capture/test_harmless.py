"""A captured application behaves exactly like an uncaptured one, process by process.

Each program of tests/capture/programs runs in two processes, one of them captured: same exit code,
same output, same rows, same locks, same end. By default each program runs twice, once without the
garbage collector; SOAK=1 runs every program on every database, both ways.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from leadlog.recording.sinks.recover import recover
from tests.capture.programs.programs import PROGRAMS
from tests.capture.programs.shop import eyes, fill

ROOT = Path(__file__).parents[2]
SQLITE = ("sqlite_file", "sqlite_memory", "sqlite_autocommit", "sqlite_begin", "aiosqlite")
POSTGRESQL = ("psycopg", "asyncpg")
KINDS = SQLITE + POSTGRESQL
SECONDS = 20


def runs() -> Iterator[Any]:
    """Yield program, database and whether the collector runs."""
    others = itertools.cycle(KINDS[1:])
    for name in PROGRAMS:
        if os.environ.get("SOAK"):
            chosen = list(itertools.product(KINDS, (False, True)))
        else:
            chosen = [("sqlite_file", False), (next(others), False)]
        for kind, collector in chosen:
            case = f"{name}-{kind}-{'collector' if collector else 'no_collector'}"
            yield pytest.param(name, kind, collector, id=case)


class Server:
    """A process that runs programs in processes of their own; see programs/server.py."""

    def __init__(self, *arguments: str) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if "LEADLOG_" not in name},
            "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path)]),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.capture.programs.server", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, **request: Any) -> int | str:
        """Run a program, and return its exit code, or `hangs`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({**request, "seconds": SECONDS})
        print(line, file=self._process.stdin, flush=True)
        answer: int | str = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process, which must exit normally."""
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


class Servers:
    """Two servers: one that has imported leadlog, and one that never does."""

    def __init__(self) -> None:
        self.cold, self.warm = Server(), Server("warm")

    def run(self, *, name: str, captured: bool, **request: Any) -> int | str:
        """Run a program where it may, or must not, be affected by the import of leadlog."""
        warm = captured and PROGRAMS[name].before is None
        server = self.warm if warm else self.cold
        return server.run(program=name, captured=captured, **request)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """The servers that run the programs."""
    servers = Servers()
    yield servers
    servers.cold.close()
    servers.warm.close()


@pytest.fixture(scope="module")
def postgres_seats(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database shared by these tests."""
    import psycopg

    name = f"seats_{uuid4().hex}"
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with filled tables, to be copied."""
    path = tmp_path_factory.mktemp("seats") / "seats.db"
    fill(sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool))
    return path


def said(output: Path) -> list[str]:
    """Return the output of a process, without places in its code and memory addresses."""
    lines = output.read_text().splitlines()
    return [re.sub("0x[0-9a-f]+", "0x", line) for line in lines if not line.startswith(" ")]


def writes(directory: Path) -> Counter[str]:
    """Return operation and outcome of each write in the log, counted."""
    recover(directory)
    found: Counter[str] = Counter()
    for path in (directory / "database_operations").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            details = json.loads(line)["operation_details"]
            if details["operation_type"] != "read":
                found[f"{details['operation_type']} {details['outcome']}"] += 1
    return found


@pytest.mark.parametrize(("name", "kind", "collector"), list(runs()))
def test_capture_changes_nothing(  # noqa: PLR0917 - pytest names them
    request: pytest.FixtureRequest,
    tmp_path: Path,
    servers: Servers,
    seats: Path,
    name: str,
    kind: str,
    collector: bool,
) -> None:
    """Exit code, output, rows, locks and end equal those of the uncaptured process."""
    url = f"sqlite:///{tmp_path}/seats.db"
    if kind in POSTGRESQL:
        url = request.getfixturevalue("postgres_seats")
        engine = sa.create_engine(url, poolclass=sa.NullPool)
    found = []
    for captured in (False, True):
        if kind in POSTGRESQL:
            fill(engine)
        else:
            shutil.copy(seats, tmp_path / "seats.db")
        output = tmp_path / f"output-{captured}"
        exit_code = servers.run(
            name=name,
            kind=kind,
            url=url,
            captured=captured,
            collector=collector,
            output=str(output),
            directory=str(tmp_path / "log"),
        )
        found.append((exit_code, said(output), eyes(kind, url)))
    plain, captured_run = found
    assert captured_run == plain
    assert plain[0] != "hangs"
    told = PROGRAMS[name].told
    if told is not None and kind in ("sqlite_file", "psycopg"):
        assert writes(tmp_path / "log") == Counter(told)


def test_the_table_of_programs_is_large() -> None:
    """There are at least forty, on three modes of SQLite and two drivers of PostgreSQL."""
    assert len(PROGRAMS) >= 40
    assert {sa.make_url("sqlite://").get_backend_name(), *KINDS} > {"psycopg", "asyncpg"}

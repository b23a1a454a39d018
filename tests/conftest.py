"""Shared by all tests: isolation, real PostgreSQL, jq and promtool, hypothesis profiles."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import jsonschema_rs
import pytest
import structlog
from hypothesis import HealthCheck, settings

from leadlog.core.layout import CATEGORIES
from leadlog.recording.sinks.storage import MEMORY, PATH_SUFFIX

IN_CI = os.environ.get("CI") == "true"

settings.register_profile("ci", max_examples=60, deadline=None, print_blob=True)
settings.register_profile(
    "soak",
    max_examples=5_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("soak" if os.environ.get("SOAK") else "ci")


def _inherit_no_signal_dispositions() -> None:
    """Let the children of tests start with the default dispositions and an empty mask.

    A script's background job ignores SIGINT, `nohup` SIGHUP, and so would every child. A handler
    that does nothing ignores the signal here just as well, and ends with exec.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # ignored by Python
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


_inherit_no_signal_dispositions()


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder and by fixture, so that no test can forget its marker."""
    for item in items:
        if "bench" in item.path.parts:
            item.add_marker("bench")
        if "faults" in item.path.parts:
            item.add_marker("fault")
        if item.path.parent.name == "browser":
            item.add_marker("browser")
        if item.path.parent.name in {"reading", "analytics"}:
            item.add_marker("handmade_lines")
        if "postgres_url" in getattr(item, "fixturenames", ()):
            item.add_marker("postgres")


def _unavailable(what: str) -> NoReturn:
    """Skip for want of a system program; in CI, where nothing may be skipped, fail."""
    reason = f"{what}; .ci/system-packages names what to install"
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# ------------------------------------------------------------------------------------- isolation


@pytest.fixture(autouse=True)
def isolated(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Give each test an empty working directory, no settings from outside and no open pipeline.

    Commands of the tested environment, `leadlog` above all, come first on PATH. Afterwards
    every line that the test logged is held against the record contract.
    """
    for name in list(os.environ):
        if name.startswith("LEADLOG_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    yield
    pipeline = sys.modules.get("leadlog.recording.pipeline")
    if pipeline is not None:
        pipeline.forget()
    structlog.reset_defaults()
    if request.node.get_closest_marker("handmade_lines") is None:
        _check_lines(tmp_path)
    for folder in _shared_memory_of(tmp_path):
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(PATH_SUFFIX).unlink(missing_ok=True)


@pytest.fixture
def captures_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Release what the test captures, as an application need not: its hooks reach other tests."""
    from leadlog.recording.capture.targets import Handle

    made: list[Handle] = []
    make = Handle.__init__

    def noted(self: Handle, *given: Any, **options: Any) -> None:
        make(self, *given, **options)
        made.append(self)

    monkeypatch.setattr(Handle, "__init__", noted)
    yield
    for handle in made:
        handle.release()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave nothing of this run's log directories in shared memory."""
    yield
    assert _shared_memory_of(tmp_path_factory.getbasetemp()) == []


def _shared_memory_of(above: Path) -> list[Path]:
    """Folders in shared memory of the log directories below a folder."""
    found = []
    notes: list[Path] = []
    for folder in MEMORY.glob("leadlog-*"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # removed meanwhile
            notes += folder.glob(f"*{PATH_SUFFIX}")
    for note in notes:
        try:
            directory = Path(os.fsdecode(note.read_bytes()))
        except OSError:
            continue  # removed meanwhile, or another user's
        if directory.is_relative_to(above.resolve()):
            found.append(note.with_suffix(""))
    return found


@cache
def _schemas() -> dict[str, Any]:
    from leadlog.core.records import RECORDS, json_schema

    return {name: jsonschema_rs.validator_for(json_schema(name)) for name in RECORDS}


def _check_lines(directory: Path) -> None:
    """Hold every line that the test's own code logged against the JSON Schema of its type."""
    for path in directory.rglob("*.jsonl"):
        if path.parent.name not in CATEGORIES:
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            record = json.loads(line)
            error = next(_schemas()[record["log_type"]].iter_errors(record), None)
            assert error is None, f"{path.name}:{number}: {error}: {record}"


# ------------------------------------------------------------------------------------------ logs


@pytest.fixture
def logged(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Provide `logged("error_logs")`, which returns that category's records in order."""

    def read(category: str, directory: Path = tmp_path / "database_logs") -> list[dict[str, Any]]:
        pipeline = sys.modules.get("leadlog.recording.pipeline")
        assert pipeline is None or pipeline.flush()
        files = sorted((directory / category).glob("*.jsonl"))
        return [json.loads(line) for path in files for line in path.read_bytes().splitlines()]

    return read


# -------------------------------------------------------------------------------------------- jq


@dataclass(frozen=True)
class Jq:
    """The jq on this machine, as a user runs it."""

    executable: str

    def __call__(
        self,
        program: str,
        *files: str | Path,
        stdin: str | None = None,
        options: tuple[str, ...] = (),
    ) -> list[Any]:
        """Run a jq program over files or `stdin` and return its outputs, decoded."""
        lines = self.text(program, *files, stdin=stdin, options=("-c", *options)).split("\n")
        return [json.loads(line) for line in lines if line]

    def text(
        self,
        program: str,
        *files: str | Path,
        stdin: str | None = None,
        options: tuple[str, ...] = (),
    ) -> str:
        """Run a jq program and return what it printed; a failure carries jq's own message."""
        command = [self.executable, *options, program, *map(str, files)]
        done = subprocess.run(
            command,
            input=stdin or "",
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"{command} exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout


@pytest.fixture(scope="session")
def jq() -> Jq:
    """Run the real jq: `jq('.level', path)` returns the decoded outputs."""
    executable = shutil.which("jq")
    if executable is None:
        _unavailable("jq is not installed")
    return Jq(executable)


@pytest.fixture(scope="session")
def promtool() -> Callable[..., tuple[int, str]]:
    """Run Prometheus' own checker: `promtool("check", "rules", path)` returns code and words."""
    executable = shutil.which("promtool")
    if executable is None:
        _unavailable("promtool is not installed")

    def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [executable, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


# ------------------------------------------------------------------------------------ PostgreSQL

# Owns the server's life: waits for the end of its own standard input, then stops the server.
# However a test process ends, killed or timed out, its side of the pipe closes, so no server
# outlives it.
_KEEPER = """
"$@" >server.log 2>&1 &
cat >/dev/null
kill -INT $!
wait
"""


def _postgres_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL server's programs, if there is one."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: float(path.parent.name),
    )
    on_path = shutil.which("initdb")
    candidates = [*reversed(debian), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((path for path in candidates if (path / "postgres").exists()), None)


def _unprivileged() -> dict[str, Any]:
    """Return Popen arguments that run a program as a user PostgreSQL accepts: anyone but root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    _unavailable("PostgreSQL refuses to run as root and there is no other user to run it as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Start a real PostgreSQL cluster, for this test process alone, and yield its URL.

    Tests want `postgres_database`, an empty database each; this is the cluster's own one.
    The server listens on loopback and a socket in its own folder, and syncs nothing to disk.
    """
    pytest.importorskip("psycopg", reason="needs the extra: leadlog[postgres]")
    programs = _postgres_programs()
    if programs is None:
        _unavailable("no PostgreSQL server is installed")
    as_user = _unprivileged()
    # Not tmp_path: only its owner may enter that, and a socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="leadlog-pg-"))
    try:
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        data = folder / "data"
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", "leadlog", "-A", "trust"),
                *("-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
            **as_user,
        )
        keeper, port = _start_postgres(programs, data, as_user)
        yield f"postgresql+psycopg://leadlog@127.0.0.1:{port}/postgres"
        keeper.communicate(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_postgres(
    programs: Path, data: Path, as_user: dict[str, Any]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server; another process may take the free port first, hence three tries."""
    log = data.parent / "server.log"
    for _ in range(3):
        port = _free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(data.parent),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "max_prepared_transactions": "4",
            "wal_level": "logical",
        }
        server = [programs / "postgres", "-D", data, "-p", str(port)]
        server += [f"--{name}={value}" for name, value in options.items()]
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", *server],
            cwd=data.parent,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the tests, and they end the server
            **as_user,
        )
        status = data / "postmaster.pid"
        for _ in range(600):
            # The file that pg_ctl too reads: its last line tells that connections are accepted.
            if status.exists() and status.read_text().rstrip().endswith("ready"):
                return keeper, port
            if log.exists() and "FATAL" in log.read_text():
                break
            time.sleep(0.05)
        keeper.communicate(timeout=30)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL database, dropped after the test."""
    import psycopg

    address = postgres_url.replace("+psycopg", "")
    name = f"test_{uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

"""Spark equals plain Python and DuckDB: real servers on loopback, and the commands."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.errors import ReadError
from leadlog.reading.analytics.queries import BUILT_IN
from leadlog.reading.analytics.spark import SparkEngine
from leadlog.reading.analytics.summary import count_days_on_spark
from tests.analytics import webhdfs
from tests.analytics.answers import DAYS, EVENTS, answers, plain, summaries

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(600),
    # PySpark's warnings about versions of other packages.
    pytest.mark.filterwarnings("default"),
]

MASTERS = ("local[2]", "local-cluster[2,1,1024]")
on_one_master = pytest.mark.parametrize("server", MASTERS[:1], indirect=True)
SETTINGS = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    # These settings speed up small queries and change no result.
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.memory": "512m",
}

# Ends the server and its workers with this process, when the pipe closes.
_KEEPER = """
trap : TERM
"$@" >server.log 2>&1 &
cat >/dev/null
kill -TERM 0
wait $!
"""


def _home() -> Path:
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        pytest.fail("PySpark is not installed; `make spark-tests` installs it", pytrace=False)
    if shutil.which("java") is None:
        pytest.fail(
            "Java 17 is not installed; `make spark-tests` installs it as root, as "
            "openjdk-17-jre-headless",
            pytrace=False,
        )
    return Path(found.origin).parent


@pytest.fixture(scope="session", params=MASTERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield the address of a local Spark Connect server, shared by all tests of a master."""
    home, folder = _home(), tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = SETTINGS | {"spark.connect.grpc.binding.port": str(port)}
    command = [str(home / "sbin" / "start-connect-server.sh"), "--master", request.param]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    environment = {
        "SPARK_HOME": str(home),
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_LOG_DIR": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", *command],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert keeper.poll() is None
            time.sleep(0.1)
        else:
            pytest.fail(f"no server: {(folder / 'server.log').read_text()[-3000:]}")
        yield f"sc://127.0.0.1:{port}"
    finally:
        keeper.communicate(timeout=60)


@pytest.fixture(scope="session")
def session(server: str) -> Iterator[Any]:
    """Yield a session at that server."""
    with SparkEngine("", server) as engine:
        yield engine._session


def _environment() -> dict[str, str]:
    """Return a user's environment: PySpark marks this process's own as a client."""
    found = {key: value for key, value in os.environ.items() if not key.startswith("SPARK_")}
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def leadlog(server: str) -> Callable[..., tuple[int, str, str]]:
    """Run `leadlog … --engine spark --remote <server>` as a user does; return its whole output."""

    def run(*arguments: str, remote: bool = True) -> tuple[int, str, str]:
        where = ["--engine", "spark", *(["--remote", server] if remote else [])]
        done = subprocess.run(
            [sys.executable, "-m", "leadlog", *arguments, *where],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_every_answer_has_the_hash_that_plain_python_has(
    session: Any, sealed: Path, expected: dict[str, str]
) -> None:
    """Every built-in query and the summary match, in one process and in several."""
    with SparkEngine(str(sealed / "archive"), session=session) as engine:
        found = answers(engine)
        found |= summaries(lambda *days: count_days_on_spark(engine, *days, exact=True))
    assert found == expected


@pytest.fixture
def storage(sealed: Path) -> Iterator[webhdfs.Server]:
    """Yield the sealed log in a storage that Spark reaches over HTTP."""
    with webhdfs.serve(sealed) as server:
        yield server


def test_an_archive_in_a_storage_far_away_gives_the_same_hashes(
    session: Any, storage: webhdfs.Server, expected: dict[str, str]
) -> None:
    """With a URL as source, each worker reads its parts directly and the hashes are the same."""
    with SparkEngine(f"{storage.url}/archive/", session=session) as engine:
        found = answers(engine)
        found |= summaries(lambda *days: count_days_on_spark(engine, *days, exact=True))
    assert found == expected
    assert storage.opened


@on_one_master
def test_in_a_storage_far_away_only_the_days_asked_for_are_opened(
    leadlog: Callable[..., tuple[int, str, str]], storage: webhdfs.Server
) -> None:
    """Only the requested days are opened; a missing archive and a missing connector differ."""
    asked = ("summary", "--date", DAYS[1], "--json", "--source")
    code, out, err = leadlog(*asked, f"{storage.url}/archive")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["summary_info"]["events_read"] == found["previous"]["events_read"] == EVENTS
    assert {path.split("date=")[1][:10] for path in storage.opened} == {DAYS[0], DAYS[1]}
    code, out, err = leadlog(*asked, f"{storage.url}/elsewhere")
    assert (code, out) == (3, "")
    assert f"no archive at {storage.url}/elsewhere" in err


def test_a_window_cuts_as_with_duckdb(session: Any, sealed: Path) -> None:
    """Only the events between since and until are counted."""
    window = f"{DAYS[1]}T00:00:00.000000Z", f"{DAYS[2]}T00:00:00.000000Z"
    with SparkEngine(str(sealed / "archive"), None, *window, session=session) as engine:
        volume = [plain(tuple(row.values())) for row in engine.rows(BUILT_IN["volume"])]
    assert {row[0] for row in volume} == {DAYS[1]}
    assert sum(row[2] for row in volume) == EVENTS


@on_one_master
def test_what_cannot_be_read_is_named(session: Any, sealed: Path) -> None:
    """A missing source, and a storage without a connector, are named in the error."""
    with (
        SparkEngine(f"{sealed}-not-there", session=session) as engine,
        pytest.raises(ReadError, match=r"no archive at .*-not-there.*`source=`"),
    ):
        engine.rows(BUILT_IN["volume"])
    with (
        SparkEngine("s3a://bucket/archive", session=session) as engine,
        pytest.raises(ReadError, match=r"no connector for that storage.*hadoop-aws"),
    ):
        engine.rows(BUILT_IN["volume"])


@on_one_master
def test_the_summary_on_a_server_is_that_of_duckdb(
    leadlog: Callable[..., tuple[int, str, str]], sealed: Path
) -> None:
    """`leadlog summary` prints the same JSON, except for values from files next to Parquet."""
    asked = ("summary", "--from", DAYS[1], "--to", DAYS[2], "--exact", "--json")
    embedded = subprocess.run(
        [sys.executable, "-m", "leadlog", *asked, "--directory", str(sealed)],
        env=_environment(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    wanted = json.loads(embedded.stdout)
    assert wanted["summary_info"]["sampled_events"] > 0
    for part in ("summary_info", "previous"):
        assert wanted[part]["events_read"] > 0
        wanted[part]["lines_skipped"] = None
    code, out, err = leadlog(*asked, "--source", str(sealed / "archive"))
    assert (code, err) == (0, "")
    assert json.loads(out) == wanted


@on_one_master
def test_the_reports_run_on_a_server_without_a_log_in_this_machine(
    leadlog: Callable[..., tuple[int, str, str]], sealed: Path, tmp_path: Path
) -> None:
    """`slow`, `batches` and `errors` need only the source."""
    for command in ("slow", "batches", "errors"):
        code, out, err = leadlog(command, "--json", "--source", str(sealed / "archive"))
        assert (code, err) == (1 if command == "errors" else 0, ""), command
        assert json.loads(out)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_said_at_once(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing server is reported at once, and another address does not start a Spark."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"sc://127.0.0.1:{probe.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(ReadError, match=r"no Spark Connect server answers at sc://127.0.0.1"):
        SparkEngine(str(sealed), nobody)
    assert time.monotonic() - began < 60
    monkeypatch.setenv("SPARK_REMOTE", "spark.example:7077")
    with pytest.raises(ReadError, match="write it like sc://host:15002"):
        SparkEngine(str(sealed))


@on_one_master
def test_without_a_server_spark_starts_in_this_machine(
    leadlog: Callable[..., tuple[int, str, str]], sealed: Path
) -> None:
    """Without other options, the archive in the log directory is read."""
    code, out, err = leadlog(
        "summary", "--date", DAYS[0], "--json", "--directory", str(sealed), remote=False
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["summary_info"]["events_read"] == EVENTS
    assert found["previous"]["events_read"] == 0

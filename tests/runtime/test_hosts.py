"""Systems that start and stop programs: cron, containers, systemd, AWS Lambda, Jupyter."""

import configparser
import itertools
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.storage import MEMORY, state_directories
from tests.runtime.balance import balance, lines
from tests.runtime.boxes import ROOT, box, container, in_a_box

pytestmark = [pytest.mark.handmade_lines, pytest.mark.fault]

HERE = Path(__file__).parent
JOB = [sys.executable, HERE / "job.py"]
USER = 64_105
EVENTS = 50


def _until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)


def _wanted(*jobs: str) -> Iterator[tuple[str, int]]:
    return itertools.product(jobs, range(EVENTS))


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Yield a log directory below a folder that USER may write to."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "volume"
    folder.mkdir()
    os.chown(folder, USER, USER)
    yield folder / "logs"
    for place in state_directories(folder / "logs"):
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Yield a folder of shared memory, as shared by several containers with `--ipc`."""
    folder = Path(tempfile.mkdtemp(prefix="leadlog-box-", dir=MEMORY))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@in_a_box
@pytest.mark.skipif(
    shutil.which("cron") is None and os.environ.get("CI") != "true",
    reason="there is no cron: .ci/system-packages installs it",
)
def test_cron_starts_jobs_with_next_to_no_environment(directory: Path, tmp_path: Path) -> None:
    """With Debian's cron, one job ends and one is killed; the files have all events of both."""
    table = "".join(
        f"@reboot {' '.join(map(str, JOB))} {directory} {EVENTS} {end}"
        f"; env >{tmp_path / end}.new; mv {tmp_path / end}.new {tmp_path / end}\n"
        for end in ("exit", "kill")
    )
    (tmp_path / "table").write_text(table)
    script = """set -e
        mount --make-rprivate /
        mount -t tmpfs none /run
        mount -t tmpfs none /var/spool
        mkdir -p /var/spool/cron/crontabs
        install -m 600 table /var/spool/cron/crontabs/root
        exec cron -f"""
    cron = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], cwd=tmp_path)
    try:
        _until(lambda: (tmp_path / "exit").exists() and (tmp_path / "kill").exists())
    finally:
        cron.terminate()
        cron.wait(30)
    environment = (tmp_path / "exit").read_text()
    assert {line.partition("=")[0] for line in environment.splitlines()} <= {
        *("HOME", "LOGNAME", "PATH", "SHELL", "PWD", "LANG", "SHLVL", "_"),
    }
    seen = balance(directory, _wanted("exit", "kill"), "job", "number")
    assert len(seen) == 2 * EVENTS


@in_a_box
def test_a_container_with_eight_processes_and_docker_s_64_mb(directory: Path) -> None:
    """As process 1 of a nameless user on a read-only root, it loses nothing at `docker stop`."""
    job = [*JOB, directory, str(EVENTS), "wait", "8"]
    options = {"writable": [directory.parent], "memory": "64m", "user": USER}
    with container(job, **options) as (process, running):
        os.kill(process, signal.SIGTERM)
        assert running.wait(30) == 0
    jobs = ["wait", *(f"child {number}" for number in range(1, 8))]
    assert lines(directory, "job", "number").keys() == set(_wanted(*jobs))
    assert {path.stat().st_uid for path in directory.rglob("*")} == {USER}


@in_a_box
def test_the_next_container_brings_home_what_docker_kill_left(
    directory: Path, memory: Path
) -> None:
    """A container that shares the memory of a killed one recovers its lines, as process 1, too."""
    job = [*JOB, directory, str(EVENTS)]
    options = {"writable": [directory.parent], "memory": memory, "user": USER}
    with container([*job, "wait"], **options) as (process, running):
        os.kill(process, signal.SIGKILL)
        running.wait(30)
    assert not lines(directory, "job", "number")
    subprocess.run(box([*job, "exit"], init=True, **options), check=True, timeout=60)
    assert lines(directory, "job", "number").keys() == set(_wanted("wait", "exit"))


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit of the how-to page, with an installed program instead of its application."""
    page = ROOT.joinpath("docs/how-to/run.md").read_text()
    text, sidecar = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    command = f"ExecStart={sys.executable} -m leadlog drain"
    sidecar = re.sub("^ExecStart=.*$", command, sidecar, flags=re.MULTILINE)
    (tmp_path / "leadlog-drain.service").write_text(sidecar.replace("User=app", "User=daemon"))
    command = f"ExecStart={sys.executable} {HERE / 'job.py'} /var/log/app/logs {EVENTS} exit"
    text, count = re.subn("^ExecStart=.*$", command, text, flags=re.MULTILINE)
    assert count == 1
    path = tmp_path / "app.service"
    text = text.replace("User=app", "User=daemon")  # a user that every system has
    path.write_text(f"[Unit]\nDescription=An application\n{text}")
    return path


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and os.environ.get("CI") != "true",
    reason="there is no systemd-analyze: .ci/system-packages installs systemd",
)
def test_systemd_understands_the_unit(unit: Path) -> None:
    """The unit has no misspelt key, and grants no permission that leadlog does not need."""
    for command in (
        ["verify", "--man=no", unit],
        ["verify", "--man=no", unit.with_name("leadlog-drain.service")],
        ["security", "--offline=yes", "--threshold=45", "--no-pager", unit],
    ):
        done = subprocess.run(
            ["systemd-analyze", *command], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


@in_a_box
def test_a_service_with_the_unit_s_hardening(unit: Path, directory: Path, memory: Path) -> None:
    """After a kill its memory stays (RemoveIPC=no), and a restarted service writes the lines."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    service = dict(parser["Service"])
    for asked, value in {
        "ProtectSystem": "strict",
        "PrivateTmp": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectKernelTunables": "yes",
        "ProtectHome": "yes",
        "UMask": "0077",
        "RemoveIPC": "no",
    }.items():
        assert service[asked] == value, f"this test has to do what {asked} asks for"
    for end in ("kill", "exit"):
        command = box(
            ["sh", "-c", 'umask 0077; exec "$@"', "sh", *JOB, directory, str(EVENTS), end],
            writable=[directory.parent],
            memory=memory,
            user=USER,
            private=["/tmp", "/var/tmp", "/home", "/root"],
        )
        done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
        assert done.stderr == ""
        assert done.returncode == (0 if end == "exit" else -signal.SIGKILL)
    assert lines(directory, "job", "number").keys() == set(_wanted("kill", "exit"))


class _RuntimeApi(BaseHTTPRequestHandler):
    """The interface through which AWS Lambda passes events to a function, on loopback."""

    events: "queue.Queue[int]"
    answers: "queue.Queue[dict[str, int]]"

    def do_GET(self) -> None:
        request = self.events.get()
        if request < 0:
            return  # no further events: the instance is gone
        body = json.dumps({"request": request}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Lambda-Runtime-Aws-Request-Id", f"request-{request}")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(2**42))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::function:f")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.put({"path": self.path, **json.loads(body)})
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


@in_a_box
def test_a_lambda_function_is_frozen_between_two_calls(directory: Path) -> None:
    """With the real runtime client and no shared memory, the files have every answered event."""
    pytest.importorskip("awslambdaric", reason="there is no AWS runtime client for this system")
    _RuntimeApi.events, _RuntimeApi.answers = queue.Queue(), queue.Queue()
    with HTTPServer(("127.0.0.1", 0), _RuntimeApi) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        instance = subprocess.Popen(
            box(
                [sys.executable, "-m", "awslambdaric", "function.handler"],
                writable=[directory.parent],
                memory=None,
                user=USER,
            ),
            env={
                "PATH": os.environ["PATH"],
                "LOGS": str(directory),
                "PYTHONPATH": str(HERE),
                "LAMBDA_TASK_ROOT": str(HERE),
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            },
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            for request in range(3):
                _RuntimeApi.events.put(request)
                answer = _RuntimeApi.answers.get(timeout=30)
                assert answer["path"].endswith(f"/request-{request}/response"), answer
                os.kill(instance.pid, signal.SIGSTOP)
                wanted = itertools.product(range(request + 1), range(20))
                assert lines(directory, "request", "number").keys() == set(wanted)
                os.kill(instance.pid, signal.SIGCONT)
        finally:
            instance.kill()
            _RuntimeApi.events.put(-1)
            _out, err = instance.communicate(timeout=30)
            server.shutdown()
            thread.join()
    assert set(lines(directory, "request", "number").values()) == {1}
    (told,) = err.splitlines()
    assert "lie in this process's own memory" in told


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that survives")
def test_a_kernel_of_jupyter_is_restarted_and_killed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that calls `configure` may run repeatedly; no event is lost or repeated."""
    manager = pytest.importorskip("jupyter_client.manager")
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(directory.parent))
    kernel = manager.KernelManager(kernel_name="python3")
    first = f"import leadlog; leadlog.configure(directory={str(directory)!r}, poll_seconds=30.0)"
    cell = "for number in range(50): leadlog.get_logger().info('line', job={job!r}, number=number)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        kernel.start_kernel()
    client = kernel.blocking_client()
    client.start_channels()
    try:
        for job in ("begun", "restarted"):
            client.wait_for_ready(timeout=60)
            for code in (first, first, cell.format(job=job)):
                reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
                assert reply["content"]["status"] == "ok", reply
            if job == "begun":
                kernel.restart_kernel(now=True)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
        kernel.cleanup_resources()
        client.context.destroy()
    assert sum(one.in_ring for one in ring_reports(directory)) > 0
    seen = balance(directory, _wanted("begun", "restarted"), "job", "number")
    assert len(seen) == 2 * EVENTS

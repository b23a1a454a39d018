"""README, as a stranger follows it: its application with two workers, its commands, its answers."""

import contextlib
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
ANSWERS = {
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?": "TIME",
    r"(session )[0-9a-z]{8}\b": r"\1ID",
    r"(event )[0-9a-f]{30}\b": r"\1ID",
    r"^[0-9a-f]{16}\b": "FINGERPRINT",
    r"\S*shop\.py:\d+": "shop.py:LINE",
}
"""What differs from one run to the next."""


def settled(text: str) -> str:
    """Return a command's output without the parts that vary."""
    for found, put in ANSWERS.items():
        text = re.sub(found, put, text, flags=re.MULTILINE)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def shown() -> Iterator[tuple[str, str]]:
    """Each command of README, and the output that it shows."""
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command.partition("  #")[0].strip(), output


@pytest.fixture
def answered(tmp_path: Path) -> None:
    """README's application, run with its own command, after README's requests."""
    (block,) = re.findall(r"```py\n# shop.py\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "shop.py").write_text(block, encoding="utf-8")
    commands = [command for command, _ in shown()]
    assert "python shop.py" in commands
    subprocess.run([sys.executable, "shop.py"], check=True, timeout=60)
    (serve,) = (command for command in commands if command.startswith("uvicorn "))
    assert "--workers 2" in serve
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # A busy machine's worker is no reason for uvicorn to start another one.
    options = ["--port", port, "--log-level", "critical", "--timeout-worker-healthcheck", "60"]
    server = subprocess.Popen([*shlex.split(serve), *options])
    try:
        wait_for(f"http://127.0.0.1:{port}/openapi.json")
        for command in commands:
            if command.startswith("curl "):
                ask(shlex.split(command)[1:], port)
        server.send_signal(signal.SIGINT)
        server.wait(30)
    finally:
        server.kill()
        server.wait()


def wait_for(url: str) -> None:
    """Wait until a worker answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url, timeout=30)
            return
        time.sleep(0.1)
    pytest.fail("the application of README did not start")


def ask(arguments: list[str], port: str) -> None:
    """Send the request of a curl command in README."""
    method, headers, url = "GET", {}, ""
    words = iter(arguments)
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        else:
            url = word
    address = url.replace("localhost:8000", f"127.0.0.1:{port}")
    httpx.request(method, f"http://{address}", headers=headers, timeout=60)


@pytest.mark.usefixtures("answered")
def test_the_questions_of_readme_have_its_answers(jq: object) -> None:
    """Who changed deal 3, what failed and at which line: word for word but ids and times."""
    asked = 0
    for command, output in shown():
        if command.startswith(("leadlog errors", "leadlog history 3", "leadlog tail --where")):
            done = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False
            )
            assert settled(done.stdout) == settled(output), command + done.stderr
            asked += 1
    assert asked == 3
    slow = subprocess.run(["leadlog", "slow"], capture_output=True, text=True, check=True).stdout
    assert "GET /report" in slow
    assert "PATCH /deals/{deal_id}" in slow
    assert re.search(r"ms at most, once \(session [0-9a-z]{8}\)\n +WITH RECURSIVE n", slow)
    (session,) = re.findall(r"session ([0-9a-z]{8})", errors())
    story = subprocess.run(
        ["leadlog", "session", session], capture_output=True, text=True, check=True
    ).stdout
    for told in ("user=cy", "contact.create", "http.request", "POST /contacts  500", "1 error"):
        assert told in story, story
    page = (README.parent / "docs" / "how-to" / "instrument.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"^\$ (leadlog query .*)$", page, re.MULTILINE)
    found = subprocess.run(["sh", "-c", query], capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == [{"operation_name": "POST /contacts", "count_star()": 1}]


def errors() -> str:
    """Return the output of `leadlog errors`."""
    return subprocess.run(["leadlog", "errors"], capture_output=True, text=True, check=False).stdout


def test_the_eight_lines_of_readme_have_its_history(tmp_path: Path) -> None:
    """`leadlog history` prints what README shows."""
    block = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, timeout=60)
    (pair,) = ((c, o) for c, o in shown() if c.startswith("leadlog history 1"))
    done = subprocess.run(shlex.split(pair[0]), capture_output=True, text=True, check=True)
    assert settled(done.stdout) == settled(pair[1])


def test_what_readme_measures_stands_in_a_table_of_a_benchmark() -> None:
    """Every figure in "What it costs" is in a table written by a benchmark."""
    part = TEXT.partition("## What it costs")[2].partition("\n## ")[0]
    docs = README.parent / "docs" / "explanation"
    tables = (docs / "performance.md").read_text() + (docs / "capture.md").read_text()
    measured = [float(one.replace(",", "")) for one in re.findall(r"\d[\d,]*\.?\d*", tables)]
    for text, unit in re.findall(r"(\d[\d.]*) (µs|ms)\b", part):
        value = float(text) * (1000 if unit == "ms" and float(text) < 50 else 1)
        assert any(abs(value - one) <= 0.5 + 0.01 * value for one in measured), (text, unit)

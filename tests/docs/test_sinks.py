"""docs/how-to/sinks.md, run as a reader runs it: against a receiver and a database."""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from tests.docs.conftest import HOW_TO

Run = Callable[..., CompletedProcess[str]]


def test_a_syslog_receiver_gets_the_lines_of_the_files(
    files_of: Callable[[str], None], run: Run, tmp_path: Path
) -> None:
    """A syslog receiver gets every line with its severity and length, over one connection."""
    files_of("sinks.md")
    got = bytearray()

    def receive() -> None:
        connection, _ = server.accept()
        with connection:
            while piece := connection.recv(65536):
                got.extend(piece)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=receive)
        thread.start()
        port = server.getsockname()[1]
        run(sys.executable, "with_syslog.py", SYSLOG=f"127.0.0.1:{port}")
        thread.join(10)
    frames = {}
    content = bytes(got)
    while content:
        length, _, rest = content.partition(b" ")
        message, content = rest[: int(length)], rest[int(length) :]
        head = re.fullmatch(rb"<(\d+)>1 (\S+) \S+ leadlog \d+ (\S+) - (\{.*)", message)
        assert head is not None
        assert json.loads(head[4])["timestamp"].encode() == head[2]
        frames[head[3].decode()] = (int(head[1]), head[4] + b"\n")
    assert {category: priority for category, (priority, _) in frames.items()} == {
        "monitoring_data": 16 * 8 + 6,
        "error_logs": 16 * 8 + 3,
    }
    for category, (_, line) in frames.items():
        (file,) = (tmp_path / "database_logs" / category).iterdir()
        assert file.read_bytes() == line


def test_a_database_keeps_the_errors(files_of: Callable[[str], None], run: Run) -> None:
    """The SQLite sink stores the errors and nothing else."""
    files_of("sinks.md")
    said = run(sys.executable, "with_sqlite.py").stdout
    assert said.startswith("[('import.failed', \"invalid literal for int()")
    assert said.count("import.") == 1


def test_each_sink_takes_less_than_eighty_lines() -> None:
    """Each sink of the page has less than eighty lines, as the contract promises."""
    text = (HOW_TO / "sinks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```py\n# (\w+_sink.py)\n(.*?)```", text, re.DOTALL)
    assert {name for name, _ in blocks} == {"syslog_sink.py", "sqlite_sink.py"}
    assert all(block.count("\n") < 80 for _, block in blocks)

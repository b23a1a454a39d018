"""The page on workers: a real Celery worker with several processes runs the page's tasks."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A broker of files, which needs no server; the page's own module is run as it stands.
BROKER = """
import tasks

app = tasks.app
app.conf.broker_transport_options = {
    "data_folder_in": "broker", "data_folder_out": "broker", "control_folder": "broker"
}
"""

SEND = """
import json
import broker, tasks

tasks.Base.metadata.create_all(tasks.engine)
addresses = [f"a{i}@acme.com" for i in range(12)] + ["nobody"]
print(json.dumps([tasks.import_customer.delay(address).id for address in addresses]))
"""


def test_each_task_has_a_session_of_its_own(
    tmp_path: Path,
    files_of: Callable[[str], None],
    run: Callable[..., Any],
    logged: Callable[..., list[dict[str, Any]]],
) -> None:
    """Thirteen tasks in two processes: one record each, with the task's id and its outcome."""
    files_of("capture-worker.md")
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker.py").write_text(BROKER)
    (tmp_path / "send.py").write_text(SEND)
    sent = json.loads(run("python", "send.py", BROKER="filesystem://").stdout)
    command = [
        *("celery", "-A", "broker", "-b", "filesystem://", "worker", "--concurrency", "2"),
        *("--pool", "prefork", "--without-gossip", "--without-mingle", "--loglevel", "ERROR"),
    ]
    with (tmp_path / "worker.log").open("wb") as output:
        worker = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
    try:
        records = written(logged, len(sent))
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    finally:
        worker.kill()
        worker.wait()
    assert len(records) == len(sent), (tmp_path / "worker.log").read_text()
    assert {record["context"]["task_id"] for record in records} == set(sent)
    assert len({record["session_id"] for record in records}) == len(sent)
    assert len({record["process_id"] for record in records}) == 2
    outcomes = {
        record["context"]["task_id"]: record["operation_details"]["outcome"] for record in records
    }
    assert [outcomes[task] for task in sent] == ["committed"] * 12 + ["rolled_back"]
    assert {record["context"]["task"] for record in records} == {"tasks.import_customer"}


def written(logged: Callable[..., list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    """The worker's records, once there are so many: its processes write them on their own."""
    deadline = time.monotonic() + 60
    while True:
        found = logged("database_operations")
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)

"""After `shutdown` an event is written where it would have been before, under the same policy."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadlog

Logged = Callable[..., list[dict[str, Any]]]

APPLICATION = """
import atexit, threading

class Late:
    def __del__(self):
        leadlog.get_logger().info("finalised", email="ann@field.example")

@atexit.register
def goodbye():
    leadlog.get_logger().info("goodbye", email="ann@field.example")
    leadlog.get_logger().error("goodbye.twice", email="ann@field.example")
    with leadlog.LeadDatabase("leads.db") as db:
        db.add_lead({"name": "Ann Field", "company": "Acme", "email": "ann@field.example"})
    print(sorted(t.name for t in threading.enumerate() if t.name.startswith("leadlog")))

import leadlog

leadlog.configure(directory="configured", pii="masked", **OPTIONS)
leadlog.get_logger().info("hello", email="ann@field.example")
late = Late()
if SHUTDOWN:
    leadlog.shutdown()
    leadlog.get_logger().info("after.shutdown", email="ann@field.example")
"""


@pytest.mark.parametrize("enrich", ["drain", "caller"])
@pytest.mark.parametrize("shutdown", [True, False])
def test_events_at_exit_are_in_the_log(tmp_path: Path, shutdown: bool, enrich: str) -> None:
    """Exit functions registered before leadlog's: no other directory, no address, no thread."""
    code = f"OPTIONS = {{'enrich': {enrich!r}}}; SHUTDOWN = {shutdown}\n{APPLICATION}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert done.stdout == "[]\n"
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith("leads.db")}
    assert names == {"configured"}
    log = "".join(path.read_text() for path in sorted(tmp_path.rglob("*.jsonl")))
    assert "ann@field.example" not in log
    assert "Ann Field" not in log
    for name in ("hello", "goodbye", "goodbye.twice", "lead.add", *["after.shutdown"] * shutdown):
        assert f'"{name}"' in log


def test_the_closed_pipelines_settings_stay(tmp_path: Path, logged: Logged) -> None:
    """Directory, policy, level and processors are kept, however often it is closed."""

    def add(logger: Any, name: str, event: Any) -> Any:
        event.setdefault("extra", {})["region"] = "eu"
        return event

    leadlog.configure(directory="mine", pii="masked", level="warning", processors=[add])
    for number in range(3):
        leadlog.shutdown()
        leadlog.get_logger().info("quiet")
        leadlog.get_logger().warning(f"late.{number}", email="ann@field.example")
    records = logged("monitoring_data", tmp_path / "mine")
    assert [record["event_name"] for record in records] == ["late.0", "late.1", "late.2"]
    assert {record["extra"]["region"] for record in records} == {"eu"}
    assert "ann@field.example" not in json.dumps(records)
    assert not (tmp_path / "database_logs").exists()


def test_threads_that_log_after_shutdown_open_one_pipeline(logged: Logged) -> None:
    """The first thread opens it; no line is lost."""
    leadlog.configure()
    leadlog.shutdown()
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        leadlog.get_logger().info("late", number=number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(logged("monitoring_data")) == 4
    drains = [t for t in threading.enumerate() if t.name == "leadlog-drain"]
    assert len(drains) == 1


def test_configure_after_shutdown_takes_what_it_is_given(tmp_path: Path) -> None:
    """The closed pipeline's settings apply to late events only."""
    leadlog.configure(directory="first", pii="masked")
    leadlog.shutdown()
    pipeline = leadlog.configure(directory="second")
    assert pipeline.loaded.settings.pii == "plain"
    assert pipeline.loaded.settings.directory == tmp_path / "second"

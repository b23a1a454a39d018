"""Instrumented Celery and Dramatiq: eager tasks, and real workers with serverless brokers."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import dramatiq
import pytest
import sqlalchemy as sa
import structlog
from dramatiq.brokers.stub import StubBroker
from fastapi import FastAPI
from sqlalchemy.orm import Session

import leadlog
from tests.instrument.conftest import Serve
from tests.instrument.models import Base, Deal

Logged = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def tasks(engine: sa.Engine) -> Iterator[celery.Celery]:
    """Provide an instrumented Celery application that runs its tasks eagerly."""
    app = celery.Celery("tasks", set_as_current=False)
    app.conf.update(task_always_eager=True, task_store_eager_result=False)

    @app.task(name="deals.rename", shared=False)
    def rename(deal_id: int, title: str) -> None:
        structlog.contextvars.bind_contextvars(tenant="acme")
        with Session(engine) as session:
            session.get_one(Deal, deal_id).title = title
            session.commit()

    @app.task(name="deals.fail", shared=False)
    def fail() -> None:
        raise ValueError("no price")

    @app.task(name="deals.again", shared=False, bind=True, max_retries=1)
    def again(self: Any) -> None:
        try:
            raise OSError("not yet")
        except OSError as error:
            raise self.retry(exc=error, countdown=0) from None

    instrumented = leadlog.instrument(app, engine, Base, operations="update")
    yield app
    instrumented.release()


def test_a_task_is_one_record_with_its_changes(
    tasks: celery.Celery, requests: Logged, logged: Logged
) -> None:
    """The record has name, id and CPU time, the change the task's id; bound values end with it."""
    result = tasks.tasks["deals.rename"].delay(3, "sold")
    (task,) = requests()
    (change,) = logged("database_operations")
    assert task["event_name"] == "task.run"
    assert task["operation_info"]["operation_name"] == "deals.rename"
    info = task["request_info"]
    assert (info["framework"], info["outcome"], info["retries"]) == ("celery", "completed", 0)
    assert info["task_id"] == result.id
    assert task["performance_data"]["cpu_time_ms"] > 0
    assert change["session_id"] == task["session_id"]
    expected = {"task": "deals.rename", "task_id": result.id, "tenant": "acme"}
    assert change["context"] == task["context"] == expected
    assert structlog.contextvars.get_contextvars() == {}


def test_a_failed_task_is_an_error_and_a_retried_one_is_none(
    tasks: celery.Celery, requests: Logged, logged: Logged
) -> None:
    """A retried run is not an error; the failure of the last run is one."""
    tasks.tasks["deals.fail"].delay()
    tasks.tasks["deals.again"].delay()
    found = sorted(
        (r["operation_info"]["operation_name"], r["request_info"]["outcome"], r["level"])
        for r in requests(3)
    )
    assert found == [
        ("deals.again", "failed", "error"),
        ("deals.again", "retried", "warning"),
        ("deals.fail", "failed", "error"),
    ]
    errors = logged("error_logs")
    assert sorted(r["error_details"]["exception_class"] for r in errors) == [
        "OSError",
        "ValueError",
    ]
    assert {r["event_name"] for r in errors} == {"error.task"}


def test_a_task_that_a_request_runs_at_once_belongs_to_the_request(
    tasks: celery.Celery, engine: sa.Engine, serve: Serve, requests: Logged
) -> None:
    """Task and request share a session and a trace; the request is the parent operation."""
    app = FastAPI()

    @app.post("/sell")
    def sell() -> None:
        tasks.tasks["deals.rename"].delay(1, "sold")

    leadlog.instrument(app)
    assert serve(app).post("/sell").status_code == 200
    task, request = requests(2)
    assert task["session_id"] == request["session_id"]
    assert task["trace_id"] == request["trace_id"]
    outer = request["operation_info"]["operation_id"]
    assert task["operation_info"]["parent_operation_id"] == outer


WORKER = """
import celery
import leadlog
from tests_models import engine, Base, Deal
from sqlalchemy.orm import Session

app = celery.Celery("worker", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "broker", "data_folder_out": "broker", "control_folder": "broker"
}
leadlog.configure(directory="database_logs")
leadlog.instrument(app, engine, Base, operations=["update"])


@app.task
def rename(deal_id, title):
    with Session(engine) as session:
        session.get_one(Deal, deal_id).title = title
        if not title:
            raise ValueError("no title")
        session.commit()


if __name__ == "__main__":
    import click

    @click.command()
    def send():
        for n in (1, 2, 3):
            rename.delay(n, "" if n == 2 else f"sold {n}")

    leadlog.instrument(send)
    send(standalone_mode=False)
"""


def test_a_real_worker_goes_on_with_the_senders_trace(
    engine: sa.Engine, tmp_path: Path, requests: Logged, logged: Logged
) -> None:
    """Three tasks of a command run in two workers, in separate sessions and the same trace."""
    models = Path(__file__).with_name("models.py").read_text()
    more = "import sqlalchemy as sa\nengine = sa.create_engine('sqlite:///deals.db')\n"
    (tmp_path / "tests_models.py").write_text(models + more)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "broker").mkdir()
    subprocess.run([sys.executable, "worker.py"], check=True, timeout=60)
    command = ["celery", "-A", "worker", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
    with (tmp_path / "worker.log").open("wb") as output:
        worker = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 60
        while len(logged("error_logs")) < 1 or len(logged("performance_metrics")) < 4:
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    finally:
        worker.kill()
        worker.wait()
    found = requests(4)
    (sent,) = [r for r in found if r["request_info"]["kind"] == "command"]
    tasks = [r for r in found if r["request_info"]["kind"] == "task"]
    assert {r["trace_id"] for r in tasks} == {sent["trace_id"]}
    assert {r["request_info"]["parent_span_id"] for r in tasks} == {sent["span_id"]}
    assert len({r["session_id"] for r in found}) == 4
    outcomes = {r["operation_details"]["outcome"] for r in logged("database_operations")}
    assert outcomes == {"committed"}
    assert sorted(r["request_info"]["outcome"] for r in tasks) == [
        "completed",
        "completed",
        "failed",
    ]


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    """Provide a broker in memory, with a worker's threads."""
    broker = StubBroker()
    yield broker
    broker.close()


def test_dramatiq_actors_are_recorded_in_the_senders_trace(
    engine: sa.Engine, broker: StubBroker, requests: Logged, logged: Logged
) -> None:
    """A real worker with two threads records a change, a retry and a failure, in one trace."""
    ran = threading.Event()

    @dramatiq.actor(broker=broker, max_retries=0)
    def rename(deal_id: int, title: str) -> None:
        with Session(engine) as session:
            session.get_one(Deal, deal_id).title = title
            session.commit()

    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=1, max_backoff=1)
    def fail() -> None:
        ran.set()
        raise ValueError("no price")

    instrumented = leadlog.instrument(broker, engine, Base, operations="update")
    worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=2)
    worker.start()
    try:
        import click

        @click.command()
        def send() -> None:
            rename.send(3, "sold")
            fail.send()

        leadlog.instrument(send)
        send(args=[], standalone_mode=False)
        found = requests(4)
    finally:
        worker.stop()
        instrumented.release()
    assert ran.is_set()
    by_outcome = {
        (r["operation_info"]["operation_name"], r["request_info"]["outcome"]): r for r in found
    }
    assert set(by_outcome) >= {
        ("rename", "completed"),
        ("fail", "retried"),
        ("fail", "failed"),
    }
    assert len({r["trace_id"] for r in found}) == 1
    assert by_outcome["fail", "failed"]["request_info"]["retries"] == 1
    (error,) = logged("error_logs")
    assert error["error_details"]["error_message"] == "no price"
    (change,) = logged("database_operations")
    assert change["session_id"] == by_outcome["rename", "completed"]["session_id"]

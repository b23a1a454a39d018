"""Logger calls: no name conflicts, no exceptions, and structlog's features work."""

import asyncio
import inspect
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.core.records import RECORDS
from leadlog.core.records.hints import all_keys_of
from leadlog.recording.pipeline.logger import BoundLogger
from leadlog.recording.sinks import MemorySink
from leadlog_processors.masking import mask_secrets
from leadlog_processors.session import bound_values

Logged = Callable[..., list[dict[str, Any]]]

NAMES = sorted(
    {"function", "line", "logger", "level", "self", "timestamp", "event", "method", "name", "args"}
    | {"kw", "slot", "values", "facts", "context", "exc_infos", "id", "kind", "session", "rank"}
    | {key for record in RECORDS.values() for key in all_keys_of(record)} - {"log_type"}
)


@pytest.fixture
def handler() -> Iterator[logging.Logger]:
    """A standard library logger that writes to leadlog."""
    logger = logging.getLogger("shop")
    logger.setLevel(logging.INFO)
    handler = leadlog.LoggingHandler()
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_may_have_any_name(name: str, handler: logging.Logger, logged: Logged) -> None:
    """Keyword, bound or `extra` values are logged; name, time and level are the event's."""
    leadlog.get_logger().info("order.sent", **{name: "keyword-1"})
    leadlog.get_logger().bind(**{name: "bound-1"}).info("order.sent")
    if name not in {"name", "args"}:  # which `logging` itself refuses
        handler.info("order.sent", extra={name: "extra-1"})
    log = logged("monitoring_data")
    text = json.dumps(log)
    for value in ("keyword-1", "bound-1", *(("extra-1",) if len(log) == 3 else ())):
        assert value in text
    for record in log:
        assert record["event_name"] == "order.sent"
        assert record["level"] == "info"
        datetime.fromisoformat(record["timestamp"])
        assert len(record["event_id"]) == 30
    assert leadlog.stats().failures == 0


@given(st.dictionaries(st.text(max_size=12), st.integers(-9, 9), max_size=4))
def test_a_call_never_raises_whatever_the_names(values: dict[str, int]) -> None:
    """Property: every value of every name is in the record, except secrets."""
    sink = MemorySink()
    leadlog.configure(sink=sink)
    kept = {key: value for key, value in values.items() if not key.startswith("_")}
    kept.pop("exc_info", None)
    leadlog.get_logger().info("x", **values)
    ((_, line),) = sink.lines
    found = json.loads(line)["monitoring_info"]["data_points"] or {}
    assert found == mask_secrets(kept)


def test_an_event_may_be_given_by_its_name(logged: Logged) -> None:
    """`log.info(event="x")` is accepted, as in structlog."""
    leadlog.get_logger().info(event="x", a=1)
    (record,) = logged("monitoring_data")
    assert record["event_name"] == "x"
    assert record["monitoring_info"]["data_points"] == {"a": 1}


class Base(DeclarativeBase):
    """Base of the class below."""


class Note(Base):
    """A captured class."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@pytest.fixture
def bound() -> Iterator[None]:
    """A value bound with `structlog.contextvars`."""
    structlog.contextvars.bind_contextvars(request_id="r-17")
    yield
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("bound")
def test_context_variables_are_on_every_record(handler: logging.Logger, logged: Logged) -> None:
    """Loggers, handlers, captured calls, errors, measurements, the store, and `take_over`."""
    leadlog.configure(take_over=True)
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Note)
    with Session(engine) as session:
        session.add(Note(id=1, text="hello"))
        session.commit()
    handle.release()
    engine.dispose()
    with leadlog.LeadDatabase(":memory:") as db:
        db.add_lead({"name": "Ann Field", "company": "Acme"})
    with leadlog.monitor_performance("work"):
        pass
    leadlog.get_logger().error("by.leadlog")
    structlog.get_logger().info("by.structlog")
    handler.info("by.logging")
    leadlog.log_database_event("database_operation", {"name": "Ann"}, {"success": True})
    log = [
        record
        for category in (
            "database_operations",
            "monitoring_data",
            "error_logs",
            "performance_metrics",
        )
        for record in logged(category)
    ]
    assert len(log) >= 7
    for record in log:
        assert (record.get("context") or {}).get("request_id") == "r-17", record


@pytest.mark.usefixtures("bound")
def test_what_the_session_binds_comes_before_context_variables(logged: Logged) -> None:
    """Both are present; for equal names the session's value is used."""
    with leadlog.session(user="ana", request_id="mine"):
        leadlog.get_logger().info("x")
    assert logged("monitoring_data")[0]["context"] == {"request_id": "mine", "user": "ana"}


def test_context_variables_follow_tasks_and_threads(logged: Logged) -> None:
    """As merged by structlog: each task has its own, a bare thread has none."""

    async def task(number: int) -> None:
        structlog.contextvars.bind_contextvars(number=number)
        await asyncio.sleep(0)
        leadlog.get_logger().info("task", number=number)

    async def main() -> None:
        await asyncio.gather(*(task(number) for number in range(5)))

    asyncio.run(main())
    with structlog.contextvars.bound_contextvars(number=9):
        thread = threading.Thread(target=lambda: leadlog.get_logger().info("thread"))
        thread.start()
        thread.join()
    *tasks, bare = logged("monitoring_data")
    assert len(tasks) == 5
    for record in tasks:
        assert record["context"] == record["monitoring_info"]["data_points"]
    assert "context" not in bare


def test_nothing_bound_is_found_as_structlog_finds_it() -> None:
    """Pin of the private name: `bound_values` agrees with structlog before and after binding."""
    assert bound_values() == structlog.contextvars.get_contextvars()
    with structlog.contextvars.bound_contextvars(a=1):
        assert bound_values() == structlog.contextvars.get_contextvars() == {"a": 1}
    assert bound_values() == structlog.contextvars.get_contextvars()


@pytest.mark.parametrize("take_over", [False, True])
def test_the_asynchronous_methods_are_structlogs(take_over: bool, logged: Logged) -> None:
    """Every `a…` method of structlog's own logger exists and logs at its level."""
    leadlog.configure(take_over=take_over, level="debug")
    log = structlog.get_logger() if take_over else leadlog.get_logger()

    async def main() -> None:
        await log.adebug("1")
        await log.ainfo("2 %s", "two", a=1)
        await log.awarning("3")
        await log.awarn("4")
        await log.alog(logging.INFO, "5")
        await log.aerror("6")
        await log.acritical("7")
        await log.afatal("8")
        try:
            raise KeyError("k")
        except KeyError:
            await log.aexception("9")

    asyncio.run(main())
    found = [(r["event_name"], r["level"]) for r in logged("monitoring_data")]
    assert found == [
        ("1", "debug"),
        ("2 two", "info"),
        ("3", "warning"),
        ("4", "warning"),
        ("5", "info"),
    ]
    errors = logged("error_logs")
    assert [r["level"] for r in errors] == ["error", "critical", "critical", "error"]
    assert errors[-1]["error_details"]["exception_class"] == "KeyError"


def test_no_method_of_structlogs_logger_is_missing() -> None:
    """If a later structlog has more methods, this test names them."""
    theirs = structlog.make_filtering_bound_logger(0)
    public = {name for name, _ in inspect.getmembers(theirs) if not name.startswith("_")}
    assert public <= set(dir(BoundLogger))


def test_structlogs_own_test_helper_works_under_take_over() -> None:
    """`capture_logs` replaces leadlog's processor by its own."""
    leadlog.configure(take_over=True)
    log = structlog.get_logger()
    with structlog.testing.capture_logs() as captured:
        log.info("x", a=1)
    assert captured == [{"event": "x", "a": 1, "log_level": "info"}]

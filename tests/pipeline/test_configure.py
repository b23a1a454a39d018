"""Configure once, log from anywhere; reconfiguring loses nothing; nothing raises."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import leadlog
from leadlog.recording.sinks import MemorySink

Logged = Callable[..., list[dict[str, Any]]]


def test_logging_before_configure_configures_the_defaults(tmp_path: Path, logged: Logged) -> None:
    """The first event creates a pipeline with default settings, in the working directory."""
    leadlog.get_logger().info("import.started", file="a.csv")
    leadlog.flush()
    (event,) = logged("monitoring_data")
    assert event["event_name"] == "import.started"
    assert event["monitoring_info"]["monitoring_type"] == "application_event"
    assert event["monitoring_info"]["data_points"] == {"file": "a.csv"}
    assert (tmp_path / "database_logs" / "error_logs").is_dir()


def test_configuring_again_with_the_same_settings_changes_nothing() -> None:
    """Idempotent: the current pipeline stays."""
    assert leadlog.configure(level="warning") is leadlog.configure(level="warning")


def test_reconfiguring_under_load_loses_no_line(tmp_path: Path, logged: Logged) -> None:
    """Four threads log through earlier loggers; ten reconfigurations lose nothing."""
    log = leadlog.get_logger()
    leadlog.configure(directory="a")

    def work(name: int) -> None:
        bound = log.bind(thread=name)
        for i in range(500):
            bound.info("event", i=i)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for i in range(10):
        leadlog.configure(directory="ab"[i % 2 == 0])
    for thread in threads:
        thread.join()
    leadlog.shutdown()
    found = [
        (e["monitoring_info"]["data_points"]["thread"], e["monitoring_info"]["data_points"]["i"])
        for name in "ab"
        for e in logged("monitoring_data", tmp_path / name)
        if e["monitoring_info"]["monitoring_type"] == "application_event"
    ]
    assert len(found) == 2000
    assert len(set(found)) == 2000


def test_threads_that_configure_at_once_get_one_pipeline() -> None:
    """Thread-safe: the first thread builds it, the others get the same one."""
    found: list[Any] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        found.append(leadlog.configure())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_a_pipeline_is_a_context_manager(logged: Logged) -> None:
    """It is closed at the end of its block, with every line written."""
    with leadlog.configure() as pipeline:
        leadlog.get_logger().info("inside")
    assert pipeline.flush()
    assert [event["event_name"] for event in logged("monitoring_data")] == ["inside"]


@pytest.fixture
def own_structlog() -> Iterator[list[Any]]:
    """An application with its own structlog configuration."""
    written: list[Any] = []
    structlog.configure(
        processors=[lambda logger, name, event: event],
        logger_factory=lambda *_: type("L", (), {"info": lambda _, **kw: written.append(kw)})(),
        cache_logger_on_first_use=False,
    )
    yield written
    structlog.reset_defaults()


def test_the_applications_structlog_is_left_alone(own_structlog: list[Any], logged: Logged) -> None:
    """Both work at the same time, unless `take_over` is requested."""
    leadlog.configure()
    structlog.get_logger().info("theirs", a=1)
    leadlog.get_logger().info("ours")
    assert own_structlog == [{"event": "theirs", "a": 1}]
    leadlog.configure(take_over=True)
    structlog.get_logger().info("now ours", a=1)
    assert [e["event_name"] for e in logged("monitoring_data")] == ["ours", "now ours"]


def test_records_of_logging_can_be_routed_in(logged: Logged) -> None:
    """A handler takes records of `logging`: errors to error_logs, others to monitoring_data."""
    logger = logging.getLogger("app.import")
    handler = leadlog.LoggingHandler()
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        logger.info("read %d rows", 3, extra={"file": "a.csv"})
        try:
            raise KeyError("email")
        except KeyError:
            logger.exception("row failed")
    finally:
        logger.removeHandler(handler)
    (info,) = logged("monitoring_data")
    (error,) = logged("error_logs")
    assert info["event_name"] == "read 3 rows"
    assert info["monitoring_info"]["data_points"]["file"] == "a.csv"
    assert info["monitoring_info"]["data_points"]["logger"] == "app.import"
    assert error["error_details"]["exception_class"] == "KeyError"
    assert error["error_details"]["fingerprint"]


def test_levels_below_the_setting_are_not_written(logged: Logged) -> None:
    """`level` applies to every logger, including those fetched before."""
    log = leadlog.get_logger()
    leadlog.configure(level="warning")
    log.info("quiet")
    log.warning("loud")
    log.log("error", "louder")
    log.log(10, "quieter")
    assert [e["event_name"] for e in logged("monitoring_data")] == ["loud"]
    assert [e["event_name"] for e in logged("error_logs")] == ["louder"]


def test_arguments_are_merged_into_the_text(logged: Logged) -> None:
    """As in `logging`; a text that does not fit its arguments is written with both."""
    log = leadlog.get_logger()
    log.info("read %d rows of %s", 3, "a.csv")
    log.info("read %d rows", "three")
    names = [event["event_name"] for event in logged("monitoring_data")]
    assert names == ["read 3 rows of a.csv", "read %d rows ('three',)"]


def test_disabled_means_nothing_is_written(tmp_path: Path) -> None:
    """`enabled=False` writes no line and creates no folder."""
    leadlog.configure(enabled=False)
    leadlog.get_logger().critical("anything")
    assert list(tmp_path.iterdir()) == []


def test_a_processor_that_raises_costs_only_itself(logged: Logged) -> None:
    """The event is written and marked; the processors after it have run."""

    def broken(logger: Any, name: str, event: Any) -> Any:
        raise RuntimeError("broken processor, password=hunter2")

    def nothing(logger: Any, name: str, event: Any) -> Any:
        return None

    def marker(logger: Any, name: str, event: Any) -> Any:
        event["extra"] = {"marked": True}
        return event

    leadlog.configure(processors=[broken, nothing, marker])
    leadlog.get_logger().info("x")
    (event,) = logged("monitoring_data")
    assert event["extra"] == {"marked": True}
    assert len(event["processor_errors"]) == 2
    assert "RuntimeError" in event["processor_errors"][0]
    assert "hunter2" not in event["processor_errors"][0]
    assert leadlog.stats().processor_errors == 2


def test_a_processor_of_the_users_own_may_drop_an_event(logged: Logged) -> None:
    """structlog's DropEvent drops the event, which is counted."""

    def drop(logger: Any, name: str, event: Any) -> Any:
        raise structlog.DropEvent

    leadlog.configure(processors=[drop])
    leadlog.get_logger().info("x")
    assert logged("monitoring_data") == []
    assert leadlog.stats().sampled_out == 1


def test_an_exception_is_an_error_log(logged: Logged) -> None:
    """`log.exception` writes message, class, code and trace; the values are its context."""
    try:
        open("/does/not/exist")  # noqa: PTH123, SIM115 - any failing call
    except OSError:
        leadlog.get_logger().exception("import failed", file="a.csv")
    (event,) = logged("error_logs")
    assert event["error_details"]["error_type"] == "application_error"
    assert event["error_details"]["error_code"] == "ENOENT"
    assert "test_configure.py" in event["error_details"]["stack_trace"]
    assert event["context"]["file"] == "a.csv"


def test_a_record_written_by_hand_gets_the_keys_it_lacks(logged: Logged) -> None:
    """An event with one of leadlog's log types is completed; unknown keys are put into `extra`."""
    leadlog.get_logger().info(
        "lead.get",
        log_type="database_operation",
        operation_details={"operation_type": "get_lead", "operation_id": "o1"},
        mine=1,
    )
    (event,) = logged("database_operations")
    assert event["operation_details"]["outcome"] is None
    assert event["extra"] == {"mine": 1}
    assert event["training_labels"]["complexity_level"] == "low"


def test_bound_session_values_are_on_every_event(logged: Logged) -> None:
    """`leadlog.session` yields an id and puts its values under `context`."""
    with leadlog.session(user="ana") as session_id:
        leadlog.get_logger().info("x")
        leadlog.get_logger().error("y")
    (info,), (error,) = logged("monitoring_data"), logged("error_logs")
    assert info["session_id"] == error["session_id"] == session_id
    assert info["context"] == {"user": "ana"}
    assert error["context"]["user"] == "ana"


def test_a_sink_of_ones_own_takes_the_lines() -> None:
    """`sink=` replaces the files, and stats are the sink's."""
    sink = MemorySink()
    leadlog.configure(sink=sink)
    leadlog.get_logger().info("x")
    ((category, line),) = sink.lines
    assert category == "monitoring_data"
    assert json.loads(line)["event_name"] == "x"
    assert leadlog.stats().accepted == {"monitoring_data": 1}


def test_a_sink_that_raises_does_not_reach_the_application() -> None:
    """Whatever a sink does, the logging call returns, and the failure is counted."""

    class Broken(MemorySink):
        def write(self, category: str, line: bytes) -> bool:
            raise RuntimeError("sink")

    leadlog.configure(sink=Broken())
    leadlog.get_logger().info("x")
    assert leadlog.stats().failures >= 1


def test_a_directory_that_cannot_be_written_warns_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The application continues, lines wait in memory, and one line names the problem."""
    (tmp_path / "file").write_text("")
    leadlog.configure(directory=str(tmp_path / "file" / "logs"))
    for _ in range(3):
        leadlog.get_logger().info("x")
    assert not leadlog.flush(0.2)
    stats = leadlog.stats()
    assert stats.in_ring["monitoring_data"] >= 3  # plus the sink's own health events
    leadlog.shutdown(0.1)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "leadlog" in line]
    assert len(warnings) == 1
    assert str(tmp_path / "file" / "logs") in warnings[0]


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import leadlog", {"leadlog"}),
        (
            "from leadlog.cli import root; root(['--help'], standalone_mode=False)",
            {"leadlog", "click"},
        ),
    ],
)
def test_starting_loads_nothing_heavy(code: str, loaded: set[str]) -> None:
    """Neither the package nor `leadlog --help` imports a dependency that it does not need."""
    show = (
        "import sys; print('\\n', *{name.partition('.')[0] for name in sys.modules "
        "if getattr(sys.modules[name], '__file__', None)} - sys.stdlib_module_names - before)"
    )
    before = "import sys; before = {name.partition('.')[0] for name in sys.modules}"
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{code}\n{show}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.splitlines()[-1].split()) == loaded


def test_the_facade_has_exactly_what_it_promises() -> None:
    """Every name of `__all__` exists, sorted, and an unknown one is an AttributeError."""
    assert leadlog.__all__ == sorted(leadlog.__all__)
    for name in leadlog.__all__:
        assert getattr(leadlog, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        leadlog.nope  # noqa: B018 - the access is what is tested

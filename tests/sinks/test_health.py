"""Changes of the sink's health are reported, at a limited rate."""

from pathlib import Path
from typing import Any

from leadlog.recording.sinks.counts import Counts
from leadlog.recording.sinks.health import SinkHealth


class Told:
    """A health monitor with a controlled clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self._health = SinkHealth(
            Path("logs"), self.events.append, self.warnings.append, lambda: self.now
        )

    def look(
        self, dropped: int = 0, waiting: int = 0, degraded: int = 0, error: Exception | None = None
    ) -> list[tuple[str, str, int]]:
        """Report these counts a second later, and return the events."""
        self.now += 2
        before = len(self.events)
        causes = {"ring_full": dropped} if dropped else {}
        counts = Counts(100, 50, waiting, causes, degraded)
        self._health.look("error_logs", counts, error, "")
        return [(e["condition"], e["state"], e["lines"]) for e in self.events[before:]]


def test_a_failure_and_its_end_are_told_once_each() -> None:
    """The event has the error and the number of waiting lines."""
    told = Told()
    full = OSError(28, "No space left on device")
    assert told.look() == []
    assert told.look(waiting=5, error=full) == [("failing", "began", 5)]
    assert told.look(waiting=9, error=full) == []
    assert told.look() == [("failing", "ended", 9)]
    assert told.events[0]["detail"] == "No space left on device"
    assert told.events[1]["seconds"] == 2
    (warning,) = told.warnings
    assert "5 events wait" in warning


def test_dropped_lines_are_told_with_their_number_and_cause() -> None:
    """At the beginning the number so far, at the end the total."""
    told = Told()
    assert told.look(dropped=3) == [("dropping", "began", 3)]
    assert told.look(dropped=10) == []
    assert told.look(dropped=10) == [("dropping", "ended", 10)]
    assert told.events[0]["detail"] == "ring_full"
    told.now += 60
    assert told.look(dropped=14) == [("dropping", "began", 4)]
    assert told.look(dropped=14) == [("dropping", "ended", 4)]


def test_a_condition_that_comes_and_goes_is_told_once_a_minute() -> None:
    """If its beginning is not reported, its end is not reported either."""
    told = Told()
    count = 0
    for number in range(60):
        count += len(told.look(dropped=number // 2 + 1))
    assert count == 2 * 2
    assert len(told.warnings) == 2


def test_degraded_lines_have_a_line_of_their_own_once_a_minute() -> None:
    """They are not lost yet: the warning about lost lines must not suppress it."""
    told = Told()
    assert told.look(degraded=3) == [("degraded", "began", 3)]
    assert told.look(degraded=3) == [("degraded", "ended", 3)]
    assert told.look(degraded=4) == []
    (line,) = told.warnings
    assert "a kill would lose them (the ring was full" in line
    told.look(degraded=4, dropped=1)
    assert len(told.warnings) == 2
    told.now += 60
    told.look(degraded=5)
    assert len(told.warnings) == 3


def test_that_there_is_no_memory_that_survives_is_said_once() -> None:
    """Every line is degraded then, as on macOS: no process repeats that every minute."""
    warnings: list[str] = []
    now = [100.0]
    health = SinkHealth(Path("logs"), None, warnings.append, lambda: now[0])
    for degraded in range(1, 6):
        health.look("error_logs", Counts(9, 9, 0, {}, degraded), None, "no memory file system")
        now[0] += 120
    (line,) = warnings
    assert "no memory file system" in line


def test_nobody_can_break_the_health(capsys: Any) -> None:
    """Exceptions of `notify` and `warn` are ignored; the default is standard error."""

    def fail(_: object) -> None:
        raise RuntimeError("on purpose")

    for warn in (fail, None):
        health = SinkHealth(Path("logs"), fail, warn)
        health.look("error_logs", Counts(1, 0, 0, {"ring_full": 1}), None, "")
        health.trouble("it is broken")
        health.unusable(ValueError("no text"))
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "on purpose" in error

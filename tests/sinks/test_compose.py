"""Sinks can be composed from other sinks."""

from leadlog.recording.sinks import Filter, MemorySink, Tee


def test_a_tee_hands_on_copies_and_a_filter_only_what_it_lets_through() -> None:
    """The first sink's answers count, the others get copies."""
    first, second = MemorySink(), MemorySink()
    tee = Tee(first, Filter(second, lambda category, line: category == "error_logs"))
    tee.write("error_logs", b"a\n")
    tee.write("sync_operations", b"b\n")
    assert first.lines == [("error_logs", b"a\n"), ("sync_operations", b"b\n")]
    assert second.lines == [("error_logs", b"a\n")]
    assert tee.stats().accepted == {"error_logs": 1, "sync_operations": 1}
    assert tee.flush(1)
    tee.close(1)
    assert tee.write("error_logs", b"late\n") is False
    assert len(second.lines) == 1


class Broken(MemorySink):
    """A sink that always raises."""

    def write(self, category: str, line: bytes) -> bool:
        """Raise."""
        raise RuntimeError("on purpose")

    def flush(self, timeout: float) -> bool:
        """Raise."""
        raise RuntimeError("on purpose")

    def close(self, timeout: float) -> None:
        """Raise."""
        raise RuntimeError("on purpose")


def test_a_sink_of_a_tee_that_raises_costs_the_others_nothing() -> None:
    """Sinks before and after it and the caller are unaffected; the error is counted."""
    first, last = MemorySink(), MemorySink()
    tee = Tee(first, Broken(), last)
    for _ in range(3):
        assert tee.write("error_logs", b"a\n")
    assert first.lines == last.lines == [("error_logs", b"a\n")] * 3
    assert tee.flush(1) is False
    tee.close(1)
    assert last.write("error_logs", b"late\n") is False
    assert tee.errors == [5, 0]

"""Sinks made of sinks."""

from leadlog.recording.sinks import Filter, MemorySink, Tee


def test_a_tee_hands_on_copies_and_a_filter_only_what_it_lets_through() -> None:
    """Composition: the first sink's answers count, the others get copies."""
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

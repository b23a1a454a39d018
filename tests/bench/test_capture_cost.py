"""The cost that capture adds to an application's ORM calls, compared with uncaptured calls."""

from pathlib import Path
from typing import Any

import leadlog
from tests.bench import orm_calls
from tests.bench.capture_rounds import CALLS, ROUNDS, added, measure
from tests.bench.compare import Comparison
from tests.bench.publish import publish

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "capture.md"


def table(found: dict[str, Comparison]) -> str:
    """Return the measurements as markdown."""
    rows = [
        "| call | not captured, µs | captured, µs | added, µs | added, µs of CPU | added, median |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        plain, captured = one.best_us["not captured"], one.best_us["captured"]
        numbers = (plain, captured, captured - plain, added(one.cpu_us))
        cells = [f"{number:.1f}" for number in numbers]
        rows.append(f"| {name} | {' | '.join(cells)} | {one.ratios['captured'] - 1:.1%} |")
    return "\n".join(rows)


def records_of(name: str) -> int:
    """Return the number of records of a call; a flush has one for each object."""
    return orm_calls.OBJECTS if name == orm_calls.FLUSH else 1


def test_capture_costs_an_orm_call_little(tmp_path: Path, capsys: Any) -> None:
    """Capture adds at most 30 µs or 8 % to a call, or to an object of a flush, in memory."""
    leadlog.configure(directory=tmp_path / "logs")
    spare = CALLS * (ROUNDS + 1)
    plain, captured = (orm_calls.Application(orm_calls.memory(), spare) for _ in range(2))
    handle = leadlog.capture(captured.engine, captured.contact)
    found = measure(plain, captured, leadlog.flush)
    handle.release()
    publish(PAGE, table(found), "made by `make bench`, in memory")
    with capsys.disabled():
        print(f"\n{table(found)}")
    stats = leadlog.stats()
    assert stats.failures == 0
    assert stats.dropped == {}
    assert sum(stats.written.values()) >= CALLS * ROUNDS * len(orm_calls.WRITES)
    for name, one in found.items():
        assert added(one.best_us) <= 30 * records_of(name) or one.ratios["captured"] <= 1.08, name


def test_capture_hardly_shows_beside_a_disk(tmp_path: Path, capsys: Any) -> None:
    """Capture adds at most 5 % to a call that commits to a SQLite file with synchronous=FULL."""
    leadlog.configure(directory=tmp_path / "logs")
    rounds = 300
    plain, captured = (
        orm_calls.Application(orm_calls.file(tmp_path / f"{name}.db"), rounds + 1)
        for name in ("plain", "captured")
    )
    handle = leadlog.capture(captured.engine, captured.contact)
    found = measure(plain, captured, leadlog.flush, calls=1, rounds=rounds, names=orm_calls.WRITES)
    handle.release()
    publish(PAGE, table(found), "made by `make bench`, on a file")
    with capsys.disabled():
        print(f"\n{table(found)}")
    assert leadlog.stats().failures == 0
    for name, one in found.items():
        assert one.ratios["captured"] <= 1.05, name

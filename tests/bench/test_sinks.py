"""The caller's cost of handing over a line: leadlog's rings and three common alternatives."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.publish import publish

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "durability.md"
BEGIN, END = "<!-- made by `make bench`: begin -->", "<!-- made by `make bench`: end -->"
SOAK = bool(os.environ.get("SOAK"))

CONTENDERS = {
    "ring": "leadlog",
    "os.write": "`os.write` per line",
    "queue": "QueueHandler + QueueListener",
    "loguru": "loguru `enqueue=True`",
}
CONDITIONS = {
    "idle": "idle",
    "busy": "beside one CPU-bound thread",
    "stalled": "disk stalled for 3 s",
}
FIGURES = ("median", "p99", "p99.9", "worst")
ROUNDS = 3

Figures = dict[str, float]


def _run(script: str, *arguments: object) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, HERE / f"{script}.py", *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=300)
    return dict(json.loads(done.stdout))


def _measure(folder: Path) -> dict[str, dict[str, Figures]]:
    """Return nanoseconds by condition, contender and figure: medians of rounds in turns."""
    found: dict[str, dict[str, list[Figures]]] = {
        condition: {contender: [] for contender in CONTENDERS} for condition in CONDITIONS
    }
    for _ in range(ROUNDS):
        for condition in CONDITIONS:
            for contender in CONTENDERS:
                folder.mkdir()
                figures = _run("handover", folder, contender, condition, 5_000)
                found[condition][contender].append(figures)
                shutil.rmtree(folder)
    return {
        condition: {
            contender: {
                figure: statistics.median(one[figure] for one in rounds) for figure in FIGURES
            }
            for contender, rounds in contenders.items()
        }
        for condition, contenders in found.items()
    }


def _duration(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.1f} {unit}"
    return f"{nanoseconds / 1e3:.1f} µs"


def table(measured: dict[str, dict[str, Figures]], sustained: dict[str, Any]) -> str:
    """Return the measurements as markdown."""
    rows = [
        f"| hand-over of one line | | {' | '.join(FIGURES)} |",
        f"|---|---|{'---|' * len(FIGURES)}",
    ]
    for condition, contenders in measured.items():
        for contender, figures in contenders.items():
            cells = " | ".join(_duration(figures[figure]) for figure in FIGURES)
            rows.append(f"| {CONDITIONS[condition]} | {CONTENDERS[contender]} | {cells} |")
    sentence = (
        f"Four threads of one process, as fast as they can: "
        f"{sustained['events_per_second']:,.0f} enriched events a second "
        f"({sustained['bytes_per_second'] / 1e6:.0f} MB/s), "
        f"{sum(map(len, sustained['dropped'].values()))} dropped, at most "
        f"{sustained['most_waiting']:,} waiting, {sustained['grown_mb']:.0f} MB more memory; "
        f"the drain used {sustained['drain_cpu']:.0%} of one core."
    )
    return "\n".join([*rows, "", sentence])


@pytest.mark.handmade_lines
@pytest.mark.timeout(1200)
def test_the_hand_over_and_the_sustained_rate(tmp_path: Path, capsys: Any) -> None:
    """Median ≤ 2 µs; p99 ≤ 100 µs next to a busy thread; p99.9 ≤ 1 ms with a stalled disk."""
    measured = _measure(tmp_path / "bench")
    folder = tmp_path / "sustained"
    folder.mkdir()
    sustained = _run("throughput", folder, 60 if SOAK else 10)
    text = table(measured, sustained)
    publish(PAGE, text)
    with capsys.disabled():
        print(f"\n{text}\n")
    assert sustained["all_written"]
    assert sustained["dropped"] == {}
    assert sustained["grown_mb"] < 64 + 6 + 20
    assert measured["idle"]["ring"]["median"] <= 2_000
    assert measured["busy"]["ring"]["p99"] <= 100_000
    assert measured["stalled"]["ring"]["p99.9"] <= 1_000_000


@pytest.mark.handmade_lines
def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    """Text before and after the markers is kept; a page without markers is unchanged."""
    page = tmp_path / "page.md"
    assert not publish(page, "x")
    page.write_text("a\n")
    assert not publish(page, "x")
    page.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    assert publish(page, "new")
    assert page.read_text() == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"

"""The cost of a new captured engine, with few and with many mapped classes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.publish import publish

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "capture.md"
FEW, MANY = 10, 1000


def measured(number: int, folder: Path) -> dict[str, list[float]]:
    """Return CPU time and memory of an engine, not captured and captured."""
    command = [sys.executable, "-m", "tests.bench.engine_rounds", str(number), str(folder)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    found: dict[str, list[float]] = json.loads(ran.stdout)
    return found


def test_a_new_engine_costs_the_same_with_many_classes(tmp_path: Path, capsys: Any) -> None:
    """With 1,000 captured classes an engine costs at most a quarter more than with 10."""
    found = {number: measured(number, tmp_path) for number in (FEW, MANY)}
    rows = [
        "| classes | not captured, ms of CPU | added, ms | not captured, KiB | added, KiB |",
        "|---|---|---|---|---|",
    ]
    added = {}
    for number, one in found.items():
        time, memory = one["cpu_ms"], one["kept_kib"]
        added[number] = time[1] - time[0], memory[1] - memory[0]
        rows.append(
            f"| {number:,} | {time[0]:.2f} | {added[number][0]:.2f} "
            f"| {memory[0]:.0f} | {added[number][1]:.0f} |"
        )
    table = "\n".join(rows)
    publish(PAGE, table, "made by `make bench`, an engine")
    with capsys.disabled():
        print(f"\n{table}")
    for few, many in zip(added[FEW], added[MANY], strict=True):
        assert many <= few * 1.25

"""The cost of capture per ORM call, compared with OpenTelemetry's SQLAlchemy instrumentation."""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.bench import orm_calls
from tests.bench.publish import publish

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "capture.md"
REQUIREMENTS = Path(__file__).with_name("peers.txt")
TURNS = 3
OURS = "leadlog"
PEERS = {
    "otel-simple": "OpenTelemetry, SimpleSpanProcessor",
    "otel-batch": "OpenTelemetry, BatchSpanProcessor",
}
Costs = dict[str, list[float]]


@pytest.fixture(scope="module")
def peer_python() -> Path:
    """Return the Python of an environment with the peer, created once in the cache folder."""
    wanted = REQUIREMENTS.read_bytes() + sys.version.encode()
    digest = hashlib.sha256(wanted).hexdigest()[:12]
    folder = ROOT / ".cache" / "bench-peers" / digest
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        try:
            venv.create(folder, clear=True, with_pip=True)
            pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
            subprocess.run([*pip, "-r", REQUIREMENTS], check=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"the peer's environment cannot be made: {error}")
        (folder / "complete").touch()
    return python


def measured(python: str | Path, way: str, folder: Path) -> Costs:
    """Return the measurements of `capture_rounds`, run in a separate process."""
    folder.mkdir()
    done = subprocess.run(
        [python, "-m", "tests.bench.capture_rounds", way, folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.timeout(1800)
def test_capture_adds_less_than_opentelemetry(
    peer_python: Path, tmp_path: Path, capsys: Any
) -> None:
    """Capture adds less to each call than OpenTelemetry, though only its records have the changes.

    Also shown: a flush of many objects, for which the peer makes one span, and capture a record
    for each object.
    """
    turns: dict[str, list[Costs]] = {OURS: [], **{way: [] for way in PEERS}}
    for turn in range(TURNS):
        for way, costs in turns.items():
            python = sys.executable if way == OURS else peer_python
            costs.append(measured(python, way, tmp_path / f"{way}-{turn}"))
    found = {
        way: {
            name: [
                statistics.median(column) for column in zip(*(c[name] for c in costs), strict=True)
            ]
            for name in (*orm_calls.SINGLE_CALLS, orm_calls.FLUSH)
        }
        for way, costs in turns.items()
    }
    publish(PAGE, table(found), "made by `make bench-peers`")
    with capsys.disabled():
        print(f"\n{table(found)}")
    for name in orm_calls.SINGLE_CALLS:
        for way in PEERS:
            assert found[OURS][name][1] < found[way][name][1], (name, way)


def table(found: dict[str, Costs]) -> str:
    """Return the time that each way adds to each call, as markdown."""
    rows = [f"| µs added to | {' | '.join({OURS: OURS, **PEERS}.values())} |", "|---|---|---|---|"]
    for name in found[OURS]:
        cells = [
            f"{added:.1f} ({cpu:.1f} of CPU) to {bare:.0f}"
            for bare, added, cpu in (found[way][name] for way in (OURS, *PEERS))
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)

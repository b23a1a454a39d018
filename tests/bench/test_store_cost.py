"""The cost of logging for the lead store, and the start-up cost of a command."""

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import leadlog
from tests.bench.compare import compare
from tests.bench.stock import events, finished, stock, typical


def test_logging_costs_the_store_little(tmp_path: Path, capsys: Any) -> None:
    """Logging slows add, get, update and delete on in-memory SQLite by at most 15 %.

    Also shown: logging off, and a stock structlog call after each of the four, which logs a
    finished record. Its cost is the minimum for any line of that size.
    """
    leadlog.configure(directory=tmp_path / "logs")
    numbers = itertools.count()
    records = itertools.cycle([*finished(events(typical(), 1000))])

    def cycle(db: leadlog.LeadDatabase, then: Callable[[], None] = lambda: None) -> None:
        i = next(numbers)
        key = db.add_lead({"name": f"Ana {i}", "company": "Acme", "email": f"a{i}@acme.com"})
        then()
        db.get_lead(key)
        then()
        db.update_lead(key, {"title": "CTO"})
        then()
        db.delete_lead(key)
        then()

    with (
        leadlog.LeadDatabase("sqlite://", capture=False) as off,
        leadlog.LeadDatabase("sqlite://") as on,
        (tmp_path / "stock.jsonl").open("wb") as file,
    ):
        plain = stock(file)
        found = compare(
            {
                "logging off": lambda: cycle(off),
                "stock structlog, by hand": lambda: cycle(
                    off, lambda: plain.info("lead", **next(records))
                ),
                "logging on": lambda: cycle(on),
            },
            calls=50,
            between=leadlog.flush,
        )
    with capsys.disabled():
        print(f"\n{found.table()}")
        for name, us in found.cpu_us.items():
            print(f"{name}: {us:.0f} µs of the caller's CPU time")
    assert found.ratios["logging on"] <= 1.15


BARE = """
import click
@click.group()
def main(): pass
for name in {names!r}:
    main.command(name, help="Does something.")(lambda: None)
main(["--help"])
"""


def test_help_is_hardly_slower_than_a_bare_group(tmp_path: Path, capsys: Any) -> None:
    """`leadlog --help` costs at most 1.3 times a bare click group with as many commands."""
    from leadlog.cli.root import COMMANDS

    script = tmp_path / "bare.py"
    script.write_text(BARE.format(names=list(COMMANDS)))
    commands = {
        "bare click group": [sys.executable, str(script)],
        "leadlog --help": [sys.executable, "-m", "leadlog", "--help"],
    }
    costs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(25):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            costs[name].append(time.perf_counter() - started)
    bare, ours = (statistics.median(values) for values in costs.values())
    with capsys.disabled():
        print(f"\nbare {bare * 1e3:.1f} ms, leadlog --help {ours * 1e3:.1f} ms: {ours / bare:.2f}")
    assert ours / bare <= 1.3

"""The sidecar and the owners of its rings, killed at any moment."""

import os
import random
from typing import Any

import pytest

from tests.faults.lines import finisher_of

SOAK = bool(os.environ.get("SOAK"))

pytestmark = pytest.mark.handmade_lines


@pytest.mark.timeout(3000 if SOAK else 300)
def test_killed_sidecars_and_owners_lose_nothing(log: Any) -> None:
    """Rings change between owner and sidecar while both are killed: each line is there once."""
    lives = 150 if SOAK else 4
    killer = log.start("sidecars", random.randrange(1 << 30), 0.8)
    workers = [
        log.start("churn", log.notes, f"n{number}", lives, random.randrange(1 << 30), "lent")
        for number in range(2)
    ]
    for worker in workers:
        worker.communicate(timeout=2500 if SOAK else 250)
        assert worker.returncode == 0
    out, _ = killer.communicate("end\n", timeout=60)
    assert killer.returncode == 0
    assert int(out) >= 2
    assert log.recover(finisher_of=finisher_of).errors == []
    assert log.rings() == []
    taken = log.balanced()
    assert sum(taken.values()) > 100 * lives
    print(f"{out.strip()} sidecars, {2 * lives} owners killed; {sum(taken.values())} lines")

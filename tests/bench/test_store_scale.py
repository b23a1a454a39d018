"""The growth of the store's costs, with the size of batches and with the number of leads.

`STORE_LEADS=1000000 make bench ARGS="tests/bench/test_store_scale.py"` measures at a million.
"""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from leadlog.leads.store import LeadDatabase

LEADS = int(os.environ.get("STORE_LEADS", "20000"))
SMALL = 1000


def people(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield leads without duplicates, ten in each company."""
    for n in range(first, first + count):
        yield {
            "id": f"lead-{n:08}",
            "name": f"Ada{n} Lovelace",
            "company": f"Company {n // 10}",
            "email": f"ada{n}@acme.example",
            "title": "CTO",
            "status": f"stage {n % 7}",
        }


def median_ms(call: Callable[[], object], calls: int = 300) -> float:
    """Return the median of many calls, milliseconds."""
    costs = []
    for _ in range(calls):
        started = time.perf_counter_ns()
        call()
        costs.append(time.perf_counter_ns() - started)
    return statistics.median(costs) / 1e6


def test_batches_are_ten_times_as_fast(tmp_path: Path, capsys: Any) -> None:
    """On a file, add_leads adds at least ten times as many leads a second as add_lead."""
    rates: dict[str, list[float]] = {"add_lead": [], "add_leads": []}
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        for turn in range(5):
            started = time.perf_counter()
            for lead in people(turn * 10_000, 200):
                db.add_lead(lead)
            rates["add_lead"].append(200 / (time.perf_counter() - started))
            started = time.perf_counter()
            db.add_leads(people(turn * 10_000 + 1000, 2000))
            rates["add_leads"].append(2000 / (time.perf_counter() - started))
    one, many = (statistics.median(found) for found in rates.values())
    with capsys.disabled():
        print(f"\nadd_lead {one:.0f}/s, add_leads {many:.0f}/s: {many / one:.1f} times")
    assert many >= 10 * one


def test_the_number_of_leads_hardly_matters(tmp_path: Path, capsys: Any) -> None:
    """Getting, searching by an indexed field and paging cost the same with few and many leads."""
    found: dict[int, dict[str, float]] = {}
    for size in (SMALL, LEADS):
        with LeadDatabase(tmp_path / f"{size}.db", capture=False) as db:
            started = time.perf_counter()
            db.add_leads(people(0, size), report=lambda *_: None)
            filled = time.perf_counter() - started
            numbers = itertools.cycle(range(0, size, max(1, size // 997)))
            page = db.search_page(order_by="company", limit=100)
            searches: dict[str, Callable[[], object]] = {
                "get_lead": lambda db=db, n=numbers: db.get_lead(f"lead-{next(n):08}"),
                "by email": lambda db=db, n=numbers: db.search_leads(
                    {"email": f"ada{next(n)}@acme.example"}
                ),
                "by company": lambda db=db, n=numbers: db.search_leads(
                    {"company": f"Company {next(n) // 10}"}
                ),
                "starts with": lambda db=db, n=numbers: db.search_leads(
                    {"name": {"starts_with": f"ada{next(n)} "}}
                ),
                "by two fields": lambda db=db, n=numbers: db.search_leads(
                    {"company": f"Company {next(n) // 10}", "status": "stage 3"}
                ),
                "newest ten": lambda db=db: db.search_page(order_by="-created_at", limit=10),
                "page of ten": lambda db=db, page=page: db.search_page(
                    order_by="company", limit=10, after=page.next
                ),
            }
            found[size] = {name: median_ms(call) for name, call in searches.items()}
            found[size]["filling, per lead"] = filled * 1000 / size
    few, many = found[SMALL], found[LEADS]
    with capsys.disabled():
        print(f"\n{'median ms':20}{SMALL:>12}{LEADS:>12}")
        for name in few:
            print(f"{name:20}{few[name]:12.3f}{many[name]:12.3f}")
    assert many["get_lead"] <= 2 * few["get_lead"]
    assert max(ms for name, ms in many.items() if name != "filling, per lead") <= 5

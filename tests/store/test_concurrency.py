"""Many threads and processes use one store at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from leadlog.leads.store import LeadDatabase

THREADS = 8
PEOPLE = [
    {
        "name": f"Ada{n} Lovelace",
        "company": f"Company {n}",
        "email": f"ada{n}@acme.example",
        "linkedin_url": f"https://www.linkedin.com/in/ada{n}",
    }
    for n in range(50)
]
PROGRAM = """
import json, sys
from leadlog.leads.store import LeadDatabase
url, shift, people = json.load(sys.stdin)
sys.stdout.write("r")
sys.stdout.flush()
with LeadDatabase(url, capture=False) as db:
    ids = [db.add_lead(lead) for lead in people[shift:] + people[:shift]]
    ids += db.add_leads(people, batch_size=7).ids
    print(len(set(ids)))
"""


def in_threads(work):
    """Run `work(number)` in eight threads at once and return what they returned."""
    start = threading.Barrier(THREADS)

    def run(number):
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def rotated(number):
    return PEOPLE[number * 6 :] + PEOPLE[: number * 6]


@pytest.mark.parametrize("rotate", [False, True], ids=["in step", "apart"])
def test_threads_that_add_the_same_people_make_each_once(db, rotate):
    """Eight threads that add the same 50 leads create 50, and all get the same ids."""

    def work(number):
        return {lead["name"]: db.add_lead(lead) for lead in (rotated(number) if rotate else PEOPLE)}

    found = in_threads(work)
    assert db.stats()["total_leads"] == len(PEOPLE)
    assert all(ids == found[0] for ids in found)


def test_threads_that_add_batches_of_the_same_people_make_each_once(db):
    """Overlapping batches in different orders neither fail nor add a person twice."""

    def work(number):
        return set(db.add_leads(rotated(number), batch_size=5 + number).ids)

    found = in_threads(work)
    assert db.stats()["total_leads"] == len(PEOPLE)
    assert all(ids == found[0] for ids in found)


def test_people_that_differ_in_one_key_never_break_a_thread(db):
    """When threads race for a shared address, each name still becomes its own lead."""

    def work(number):
        return [
            db.add_lead({"name": f"Name {(n + number) % 4}", "email": f"box{n % 3}@acme.example"})
            for n in range(24)
        ]

    in_threads(work)
    leads = list(db.get_all_leads())
    assert len({(lead["name"], lead["email"]) for lead in leads}) == len(leads) == 12


def test_updates_of_one_lead_lose_nothing(db):
    """Eight threads that each add different columns to one lead lose none of them."""
    lead_id = db.add_lead({"name": "Ada"})

    def work(number):
        for n in range(10):
            db.update_lead(lead_id, {f"column {number}-{n}": n})

    in_threads(work)
    assert len(db.get_lead(lead_id)["raw_data"]) == THREADS * 10


def test_everything_at_once(db):
    """Concurrent adding, reading, changing, deleting and iterating never fails."""

    def work(number):
        for lead in rotated(number)[:12]:
            lead_id = db.add_lead(lead)
            db.get_lead(lead_id)
            db.update_lead(lead_id, {"title": f"{number}", "email": f"x{number}@acme.example"})
            if number % 2:
                db.delete_lead(lead_id)
            db.search_leads({"title": {"contains": "1"}})
            for _ in db.get_all_leads(page_size=3):
                db.mark_for_sync([lead_id])
            db.stats()

    in_threads(work)
    with db.session(read_only=True) as session:
        orphans = session.connection().exec_driver_sql(
            "SELECT count(*) FROM lead_key WHERE lead_id NOT IN (SELECT id FROM leads)"
        )
        assert orphans.scalar_one() == 0


@pytest.mark.parametrize("where", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_processes_that_add_the_same_people_make_each_once(where, tmp_path, request):
    """Four processes that open a new store and add the same 50 leads at once leave 50."""
    import json

    url = (
        f"sqlite:///{tmp_path / 'leads.db'}"
        if where == "file"
        else request.getfixturevalue("postgres_database")
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    for number, worker in enumerate(workers):
        assert worker.stdin is not None
        worker.stdin.write(json.dumps([url, number * 11, PEOPLE]))
        worker.stdin.close()
        worker.stdin = None
    done = [worker.communicate(timeout=60) for worker in workers]
    assert [
        (worker.returncode, errors) for worker, (_, errors) in zip(workers, done, strict=True)
    ] == [(0, "")] * 4
    assert [said for said, _ in done] == ["r50\n"] * 4
    with LeadDatabase(url, capture=False) as db:
        assert db.stats()["total_leads"] == len(PEOPLE)


FORKING = """
import os, sys
from leadlog.leads.store import LeadDatabase
db = LeadDatabase(sys.argv[1], capture=False)
db.add_lead({"name": "Parent"})
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        db.add_leads({"name": f"Child {child}", "n": n} for n in range(10))
        os._exit(0 if db.stats()["total_leads"] >= 11 else 1)
    children.append(pid)
db.add_leads({"name": "Parent again"} for _ in range(10))
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
print(db.stats()["total_leads"])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_has_connections_of_its_own(url):
    """A store that was opened before a fork works in the parent and in its children."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, url],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == ("11\n" if url == "sqlite://" else "41\n")

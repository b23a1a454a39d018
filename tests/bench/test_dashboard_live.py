"""The dashboard as a process, shown in a browser: its start, memory and delay."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leadlog.core.layout import CATEGORIES
from tests.bench.made_events import write
from tests.browser.conftest import browser, findings, open_page  # noqa: F401 - fixtures
from tests.dashboard.serving import serving

COUNT = int(os.environ.get("EVENTS", "1000000"))
PAGES = ("", "explore", "explore?view=heat", "errors", "runs", "quality", "entity?key=lead-000017")
READY = "main:not([aria-busy]) > :not(.loading)"
CALLS = 60
APPLICATION = """
import sys, time
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
import leadlog

class Base(DeclarativeBase):
    pass

class Contact(Base):
    __tablename__ = "contacts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

engine = sa.create_engine("sqlite:///:memory:")
Base.metadata.create_all(engine)
leadlog.configure(directory=sys.argv[1])
leadlog.capture(engine, Base)
print("ready", flush=True)
for line in sys.stdin:
    began = time.time()
    with Session(engine) as session:
        session.add(Contact(name=line.strip()))
        session.commit()
    print(began, flush=True)
"""
SEEN = """() => {
    window.seen = {};
    new MutationObserver(() => requestAnimationFrame(() => requestAnimationFrame(() => {
        for (const cell of document.querySelectorAll("tbody tr td:last-child")) {
            const name = /^call \\d+/.exec(cell.textContent)?.[0];
            if (name) window.seen[name] ??= Date.now() / 1000;
        }
    }))).observe(document.querySelector("main"), { childList: true, subtree: true });
}"""


@pytest.fixture
def log(tmp_path):
    """Provide a log of ten days; if `LOG` is set, it is made there once and kept."""
    root = Path(os.environ.get("LOG", tmp_path / "log"))
    if not root.exists():
        for day in range(1, 11):
            write(root, f"2026-11-{day:02}", COUNT // 10)
    return root


def memory_mb(process: int, name: str) -> float:
    """Return a figure of a process's memory."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) / 1024


@pytest.mark.handmade_lines
@pytest.mark.timeout(3_000)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_dashboard_starts_at_once_stays_small_and_is_live(open_page, log, record_property):  # noqa: F811 - a fixture
    """The first answer, the memory after every page, and the delay from call to pixel are small."""
    found = {}
    with serving(log) as served:  # whose index is made now if it does not exist
        pass
    began = time.perf_counter()
    command = [sys.executable, "-m", "leadlog", "dashboard", "--directory", str(log), "--no-open"]
    starting = subprocess.Popen(
        [*command, "--json", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        told = json.loads(starting.stdout.readline())
        found["start, until its address is told, s"] = round(time.perf_counter() - began, 2)
    finally:
        starting.terminate()
        starting.wait(20)
        starting.stdout.close()
    assert told["token"]
    with serving(log) as served:
        page = open_page(served.url)
        for path in PAGES:
            page.goto(f"{served.base}/{path}{'&' if '?' in path else '?'}since=all")
            page.wait_for_selector(READY)
        found["server after every page, MB"] = round(memory_mb(served.process.pid, "VmRSS"), 1)
        found["its peak, MB"] = round(memory_mb(served.process.pid, "VmHWM"), 1)
        # The present hour, whatever else the log contains.
        page.goto(f"{served.base}/explore?since=1h&f=operation:Contact.create")
        page.wait_for_selector(READY)
        page.wait_for_selector("text=live")
        page.evaluate(SEEN)
        application = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert application.stdout.readline() == "ready\n"
            called = {}
            for number in range(CALLS):
                name = f"call {number}"
                application.stdin.write(f"{name}\n")
                application.stdin.flush()
                called[name] = float(application.stdout.readline())
                page.wait_for_function("(name) => name in window.seen", arg=name)
            seen = page.evaluate("() => window.seen")
        finally:
            application.stdin.close()
            application.wait(20)
            application.stdout.close()
        page.goto("about:blank")
    took = sorted(1000 * (seen[name] - at) for name, at in called.items())
    found["from the call to the pixel, median, ms"] = round(took[len(took) // 2])
    found["from the call to the pixel, p95, ms"] = round(took[int(0.95 * len(took))])
    for name, value in found.items():
        record_property(name, json.dumps(value))
        print(f"{name:<42} {value}")
    assert found["server after every page, MB"] < 300
    assert {*CATEGORIES} >= {one.name for one in log.iterdir() if one.name[0] != "."}

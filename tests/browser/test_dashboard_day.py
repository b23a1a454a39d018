"""A tab that stays open for a day, and days with 23 or 25 hours."""

import json
import os
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from leadlog.core.clock import format_us, now_us, parse
from tests.cli.test_top import call, error
from tests.dashboard.serving import serving

pytestmark = [pytest.mark.handmade_lines, pytest.mark.browser]

SOAK = bool(os.environ.get("SOAK"))
READY = "main:not([aria-busy]) > :not(.loading)"


def append(root, category, *events):
    """Append events to the current day's file."""
    path = root / category / f"{format_us(now_us())[:10]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        for at_us, event in events:
            stream.write(
                json.dumps({"timestamp": format_us(at_us), "level": "info", **event}) + "\n"
            )


class Tab:
    """The memory held by a tab after garbage collection."""

    def __init__(self, page):
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def measured(self):
        for _ in range(2):
            self._session.send("HeapProfiler.collectGarbage")
        found = self._session.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in found} | {"bytes": self._bytes()}

    def _bytes(self):
        """Return the heap's size without the data that Chromium keeps for playwright."""
        pieces = []

        def add(piece):
            pieces.append(piece)

        self._session.on("HeapProfiler.addHeapSnapshotChunk", add)
        self._session.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
        self._session.remove_listener("HeapProfiler.addHeapSnapshotChunk", add)
        snapshot = json.loads("".join(one["chunk"] for one in pieces))
        fields = snapshot["snapshot"]["meta"]["node_fields"]
        names = snapshot["nodes"][fields.index("name") :: len(fields)]
        sizes = snapshot["nodes"][fields.index("self_size") :: len(fields)]
        return sum(
            size
            for name, size in zip(names, sizes, strict=True)
            if "NetworkResourcesData" not in snapshot["strings"][name]
        )


@pytest.mark.timeout(7200 if SOAK else 120)
@pytest.mark.parametrize(
    ("path", "pushes", "step_seconds"),
    [
        ("?since=1h", 10_000 if SOAK else 60, 9),  # 10,000 steps of 9 s are 25 hours
        ("explore?since=1h", 5_000 if SOAK else 18, 9),
    ],
)
def test_hours_of_pushes_leave_the_tab_as_it_was(open_page, tmp_path, path, pushes, step_seconds):
    """Each push changes the page, and none leaves a node, a listener or memory behind.

    `SOAK=1` runs a day of pushes.
    """
    root = tmp_path / "log"
    now = now_us()
    append(root, "database_operations", *(call(now - n * 1_000_000) for n in range(700)))
    append(root, "error_logs", *(error(now - n * 60_000_000) for n in range(20)))
    with serving(root) as served:
        page = open_page(served.url)
        page.clock.install()
        page.goto(f"{served.base}/{path}")
        page.wait_for_selector(READY)
        tab, before, answered = Tab(page), None, []
        page.on(
            "response",
            lambda answer: answered.append(answer.url) if "/api/" in answer.url else None,
        )
        for number in range(pushes):
            append(root, "database_operations", call(now_us(), ms=float(number % 90)))
            # The page makes at most one request per second of its own clock.
            known, end = len(answered), time.monotonic() + 20
            while len(answered) == known:
                page.clock.run_for(step_seconds * 1000)
                # Lets the responses in. Not at once again: playwright keeps each step of the clock
                # in the tab's memory.
                page.wait_for_timeout(20)
                assert time.monotonic() < end, number
            if number == pushes // 3:
                before = tab.measured()
        for _ in range(10):  # a response in flight may still refer to nodes that were just replaced
            after = tab.measured()
            if after["Nodes"] - before["Nodes"] < 500 and after["bytes"] - before["bytes"] < 1e6:
                break
            page.wait_for_timeout(300)
        page.goto("about:blank")
    assert after["JSHeapUsedSize"] < 50e6
    grown = {name: after[name] - before[name] for name in ("bytes", "Nodes", "JSEventListeners")}
    assert grown["bytes"] < 1e6, grown
    assert grown["Nodes"] < 500, grown
    # On a busy machine, rows that were just replaced may not be collected yet.
    assert grown["JSEventListeners"] < max(pushes // 4, 40), grown


@pytest.mark.parametrize(
    ("zone", "since", "until"),
    [
        ("Europe/Paris", "2025-10-25T22:00:00Z", "2025-10-26T05:00:00Z"),  # 02:00 occurs twice
        ("Europe/Paris", "2025-03-29T22:00:00Z", "2025-03-30T05:00:00Z"),  # 02:00 does not occur
        ("Asia/Kolkata", "2025-10-25T22:00:00Z", "2025-10-26T05:00:00Z"),  # shifted by half an hour
    ],
)
def test_hours_are_right_where_the_clock_is_set(open_page, tmp_path, zone, since, until):
    """Chart slots show the reader's time, also around an hour that is missing or repeated."""
    root = tmp_path / "log"
    begin, end = parse(since), parse(until)
    events = [call(at) for at in range(begin, end, 600_000_000)]
    append(root, "database_operations", *events)
    with serving(root) as served:
        asked = f"since={since}&until={until}"
        slots = served.json(f"/api/now?{asked}")["now"]["chart"]["at"]
        page = open_page(served.url, timezone_id=zone)
        page.goto(f"{served.base}/?{asked}")
        page.wait_for_selector(READY)
        page.locator("details.beside summary").first.click()
        cells = "details.beside[open] tbody td:first-child"
        page.wait_for_selector(cells)
        shown = page.locator(cells).all_inner_texts()
        page.goto("about:blank")
    local = [datetime.fromtimestamp(at, ZoneInfo(zone)) for at in slots]
    assert shown == [f"{at.day} {at:%b %Y, %H:%M:%S}" for at in local]
    assert len(slots) > 20

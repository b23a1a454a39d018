"""Contact sheets: small screenshots of every page, to review many at once.

    $ .venv/bin/python -m tests.browser.looks FOLDER [EVENTS ...]

Makes a sheet with all nine pages for each log (of 0, 200 and 1,000,000 events, or the given
numbers), width and theme. Run it after the design of a page changed, and review the sheets.
"""

import base64
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from playwright.sync_api import Browser, sync_playwright

from leadlog.core.clock import format_us, now_us
from leadlog_processors.fields import CATEGORIES
from tests.bench.made_events import events
from tests.browser.conftest import FLAGS
from tests.dashboard.serving import serving

PAGES = (
    *("", "explore", "explore?view=heat", "errors", "entity?key=lead-000003"),
    *("session?id=abcd1234", "runs", "quality", "alerts", "sql"),
)
WIDTHS = ((360, 760), (1280, 900), (2560, 1300))
READY = "main:not([aria-busy]) > :not(.loading)"
COLUMNS = 5


def scored(date: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield events of a day, in which each new lead has a score."""
    for number, event in enumerate(events(date, count, people=200)):
        if event["event_name"] == "lead.add" and "data_details" in event:
            labels = event["training_labels"]
            labels["data_quality_score"] = (number * 37 % 60 + 40) / 100
            labels["data_quality_issues"] = [("phone", "website", "title")[number % 3] + "_missing"]
        yield event


def write(root: Path, date: str, count: int) -> None:
    """Write a log of one day."""
    with ExitStack() as opened:
        files: dict[str, BinaryIO] = {}
        for event in scored(date, count):
            category = CATEGORIES[event["log_type"]]
            if category not in files:
                (root / category).mkdir()
                file = (root / category / f"{date}.jsonl").open("wb")
                files[category] = opened.enter_context(file)
            files[category].write(orjson.dumps(event) + b"\n")


def photograph(browser: Browser, url: str, since: str, name: str, folder: Path) -> None:
    """Make the sheets of one log."""
    base = url.partition("/?")[0]
    first = browser.new_page()
    first.goto(url)  # the token is valid once
    known = first.context.storage_state()
    first.close()
    for width, height in WIDTHS:
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                timezone_id="UTC",
                storage_state=known,
            )
            page = context.new_page()
            shots = []
            for path in PAGES:
                page.goto(f"{base}/{path}{'&' if '?' in path else '?'}since={since}&utc=1")
                page.wait_for_selector(READY)
                page.wait_for_timeout(250)  # charts are drawn once their size is known
                shots.append(page.screenshot())
            context.close()
            sheet(browser, shots, width, folder / f"{name}-{width}-{theme}.png")


def sheet(browser: Browser, shots: list[bytes], width: int, path: Path) -> None:
    """Put screenshots side by side, scaled to a total width of 2,000 pixels."""
    columns = 10 if width < 500 else COLUMNS if width < 2000 else 3
    wide = 2000 // columns
    page = browser.new_page(viewport={"width": 2000, "height": 400})
    page.set_content(
        f"<style>body{{margin:0;display:flex;flex-wrap:wrap;background:#888}}"
        f"img{{width:{wide - 6}px;margin:3px}}</style>"
    )
    for shot in shots:
        page.evaluate(
            "async (given) => { const made = new Image(); made.src = given; "
            "await made.decode(); document.body.append(made); }",
            f"data:image/png;base64,{base64.b64encode(shot).decode()}",
        )
    page.screenshot(path=path, full_page=True)
    page.close()


def main(folder: Path, counts: list[int]) -> None:
    """Make the logs and their sheets."""
    folder.mkdir(parents=True, exist_ok=True)
    day = format_us(now_us())[:10]
    executable = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as logs, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS])
        for count in counts:
            root = Path(logs) / str(count)
            root.mkdir()
            write(root, day, count)
            with serving(root) as served:
                photograph(browser, served.url, "all" if count else "1h", str(count), folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [*map(int, sys.argv[2:])] or [0, 200, 1_000_000])

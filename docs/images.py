"""Regenerate docs/images: the dashboard on a log of `leadlog demo`, in Debian's Chromium.

    $ .venv/bin/python docs/images.py

It needs the dependency group `browser` and Chromium; run it after the design of a page changed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
SHOTS = (
    ("dashboard-now", "?since=15m", "light"),
    ("dashboard-explore", "explore?since=15m", "light"),
    ("dashboard-quality", "quality?since=7d", "dark"),
)


def main() -> None:
    """Run the demo, serve its log, and take screenshots of some pages."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "leadlog"]
        # Several runs over a few minutes give the charts enough data.
        for number in range(int(os.environ.get("DEMOS", "6"))):
            time.sleep(0 if number == 0 else 8)
            subprocess.run(  # noqa: S603 - our own
                [*command, "demo", "--count", str(120 + 60 * number)],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        server = subprocess.Popen(  # noqa: S603 - our own
            [*command, "dashboard", "--no-open", "--json", "--port", "0"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            photograph(json.loads(server.stdout.readline())["url"])
        finally:
            server.terminate()
            server.wait(20)


def photograph(url: str) -> None:
    """Take the screenshots of the dashboard at a URL that includes its token."""
    base = url.partition("/?")[0]
    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
        page = context.new_page()
        page.goto(url)
        for name, place, scheme in SHOTS:
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{base}/{place}")
            page.wait_for_selector("main:not([aria-busy]) > :not(.loading)")
            page.wait_for_timeout(800)
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()

"""A real browser: Debian's Chromium, driven by playwright, which never leaves this machine.

`open_page` opens a page with the requested display options, and checks at the end of the test that
every page had no error on its console, no violation of its content security policy, and no
request beyond loopback.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

FLAGS = (
    "--headless",
    "--no-sandbox",  # CI runs as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Everything that is not on loopback is sent to a proxy that does not exist.
    "--proxy-server=127.0.0.1:9",
)
_LOCAL_SCHEMES = frozenset(("about", "blob", "chrome", "data", "file"))

_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => window.leadlogTestViolation(
    `${event.effectiveDirective}: ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));
"""


def _chromium() -> str:
    """Return the browser's path; skip the test if there is none, but fail in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "Chromium is not installed; .ci/system-packages names what to install"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


# Not session-scoped: while playwright runs, its event loop counts as this thread's running one,
# and later tests of asyncio would fail.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Yield the browser, with a profile that is removed with it."""
    from playwright.sync_api import sync_playwright

    executable = _chromium()
    with sync_playwright() as playwright:
        # playwright makes a new profile in the temporary folder and removes it.
        opened = playwright.chromium.launch(executable_path=executable, args=FLAGS, timeout=60_000)
        yield opened
        opened.close()


def is_local(url: str) -> bool:
    """Return whether a request stays on this machine."""
    parts = urlsplit(url)
    if parts.scheme in _LOCAL_SCHEMES or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


@dataclass
class Findings:
    """Forbidden actions of the pages; a test that provokes one takes it out."""

    errors: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Register for a page's errors; called before it loads anything."""
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )

    def take(self, kind: str, pattern: str) -> str:
        """Remove and return the expected finding of a kind; fail if there is none."""
        listed: list[str] = getattr(self, kind)
        found = [one for one in listed if re.search(pattern, one)]
        assert found, f"none of {kind} matches {pattern!r}: {listed}"
        listed.remove(found[0])
        return found[0]


@pytest.fixture
def findings() -> Iterator[Findings]:
    """Collect the findings of the test's pages, and fail if any is left at the end."""
    collected = Findings()
    yield collected
    assert collected == Findings()


@pytest.fixture
def open_page(browser: Browser, findings: Findings) -> Iterator[Callable[..., Page]]:
    """Open pages: `open_page(url, width=360, color_scheme="dark")`.

    Each page has a separate context, and so separate cookies; `context` opens a further page in the
    context of another. `java_script_enabled=False` turns JavaScript off.
    """
    contexts = []

    def opened(
        url: str | Path | None = None,
        *,
        width: int = 1280,
        height: int = 900,
        color_scheme: str = "light",
        forced_colors: str = "none",
        timezone_id: str = "UTC",
        beside: Page | None = None,
        **options: Any,
    ) -> Page:
        if beside is not None:
            context = beside.context
        else:
            size: ViewportSize = {"width": width, "height": height}
            context = browser.new_context(
                viewport=size,
                color_scheme=color_scheme,
                forced_colors=forced_colors,
                timezone_id=timezone_id,
                locale="en-GB",
                **options,
            )
            contexts.append(context)
            context.set_default_timeout(15_000)
            context.on(
                "request",
                lambda request: (
                    None if is_local(request.url) else findings.outside.append(request.url)
                ),
            )
            context.expose_binding(
                "leadlogTestViolation", lambda _, text: findings.violations.append(text)
            )
            context.add_init_script(_LISTEN)
        page = context.new_page()
        findings.watch(page)
        if url is not None:
            page.goto(url.as_uri() if isinstance(url, Path) else url)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def axe() -> Callable[[Page], None]:
    """Check a page with axe: no serious and no critical violation."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Page) -> None:
        found = Axe().run(page).response["violations"]
        assert [
            (one["id"], one["impact"], node["target"], node.get("failureSummary"))
            for one in found
            for node in one["nodes"]
            if one["impact"] in {"serious", "critical"}
        ] == []

    return check

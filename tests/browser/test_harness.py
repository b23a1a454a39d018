"""The tests' browser detects faults of a page, and makes no request beyond loopback."""

import pytest
from playwright.sync_api import Error


def test_a_request_beyond_loopback_is_blocked_and_found(open_page, findings, tmp_path):
    """A request for a picture on another machine fails, and is one of the findings."""
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><title>t</title><img src='http://192.0.2.1/x.png' alt='x'>")
    page = open_page(path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.images[0].naturalWidth") == 0
    assert findings.take("outside", "192") == "http://192.0.2.1/x.png"
    findings.take("errors", "ERR_PROXY_CONNECTION_FAILED")
    with pytest.raises(Error, match="ERR_PROXY_CONNECTION_FAILED"):
        page.goto("http://somewhere.invalid/")
    findings.take("outside", "somewhere")


def test_violations_and_errors_of_a_page_are_found(open_page, findings, tmp_path):
    """A violation of the page's policy and an error in its script are findings."""
    path = tmp_path / "page.html"
    path.write_text(
        "<!doctype html><meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
        "<title>t</title><style>body { color: red }</style>"
    )
    open_page(path)
    findings.take("violations", "^style-src-elem: inline")
    findings.take("errors", "violates the following Content Security Policy")
    path.write_text("<!doctype html><title>t</title><script>missing()</script>")
    open_page(path)
    findings.take("errors", "missing is not defined")


def test_axe_fails_a_page_that_is_hard_to_use(open_page, axe, tmp_path):
    """axe rejects a page with grey text on grey and a picture without a description."""
    path = tmp_path / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><title>t</title><main><h1>t</h1>'
        '<p style="color: #999; background: #aaa">grey</p></main>'
    )
    with pytest.raises(AssertionError, match="color-contrast"):
        axe(open_page(path))


def test_a_page_has_the_time_zone_and_the_look_that_was_asked_for(open_page):
    """A page opens with the requested time zone, colour scheme and forced colours."""
    page = open_page(timezone_id="Europe/Paris", color_scheme="dark", forced_colors="active")
    assert page.evaluate("new Date(Date.UTC(2026, 6, 1)).getHours()") == 2
    for query in ("(prefers-color-scheme: dark)", "(forced-colors: active)"):
        assert page.evaluate(f"matchMedia('{query}').matches"), query

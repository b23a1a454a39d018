"""`leadlog report` in a real browser: on a screen, on a phone, on paper, without JavaScript."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import expect

from leadlog.cli import root
from leadlog.core.clock import format_us, parse
from tests.bench.made_events import write

pytestmark = pytest.mark.handmade_lines

DAY = "2026-11-18"
AT = parse(f"{DAY}T10:00:00Z")
HOSTILE = '<img src=x onerror="alert(1)"></style><script>alert(2)</script>\x1b[2Jjavascript:x =cmd'


def made(logs: Path, *arguments: str) -> Path:
    path = logs.parent / "report.html"
    command = ["report", "--directory", str(logs), *arguments, "-o", str(path)]
    done = CliRunner().invoke(root, command)
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def week(tmp_path_factory) -> Path:
    """Provide the report of a week with every section and a record full of hostile text."""
    logs = tmp_path_factory.mktemp("week") / "database_logs"
    write(logs, "2026-11-10", 200)
    write(logs, "2026-11-17", 200)
    write(logs, DAY, 400)
    hostile = {
        "error_logs": {
            "log_type": "error_log",
            "error_details": {
                "fingerprint": HOSTILE,
                "error_type": HOSTILE,
                "exception_class": HOSTILE,
                "error_message": f"{HOSTILE}\n{'a long text ' * 20}",
            },
            "context": {"operation_in_progress": HOSTILE},
        },
        "database_operations": {
            "log_type": "database_operation",
            "operation_details": {
                "operation_type": HOSTILE,
                "success": False,
                "execution_time_ms": 3,
            },
            "training_labels": {
                "data_quality_score": 0.4,
                "data_quality_issues": ["email_missing", HOSTILE],
            },
            "data_details": {"fields_changed": {"source": {"old": None, "new": HOSTILE}}},
        },
        "sync_operations": {
            "log_type": "sync_operation",
            "sync_details": {"sync_type": HOSTILE, "sync_id": HOSTILE},
            "sync_results": {"success": False, "error_message": HOSTILE, "leads_synced": 3},
        },
    }
    for category, event in hostile.items():
        with (logs / category / f"{DAY}.jsonl").open("a") as stream:
            stream.write(
                json.dumps({"timestamp": format_us(AT), "event_name": HOSTILE, **event}) + "\n"
            )
    return made(logs, "--week", DAY)


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_it_fits_every_screen(open_page, week, width):
    """Nothing is wider than the window, and every section is present."""
    page = open_page(week, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("Operations", "Errors", "Data quality", "Syncs and migrations"):
        expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_nothing_serious_stands_in_anybody_s_way(open_page, axe, week, width, scheme):
    """axe finds no serious violation, narrow and wide, light and dark."""
    axe(open_page(week, width=width, color_scheme=scheme))


def test_it_reads_without_javascript(open_page, week):
    """Without JavaScript there are figures, charts and folded texts; a click opens a text."""
    page = open_page(week, java_script_enabled=False)
    assert page.locator("svg[role=img]").count() == 3
    text = page.locator(".errors pre").first
    expect(text).not_to_be_visible()
    page.locator(".errors summary").first.click()
    expect(text).to_be_visible()
    expect(text).to_contain_text("a long text")


def test_every_chart_has_its_figures_in_a_table(open_page, week):
    """The keyboard alone opens it, and the table has the chart's numbers."""
    page = open_page(week)
    page.locator(".figures summary").focus()
    page.keyboard.press("Enter")
    rows = page.locator(".figures tbody tr")
    expect(rows.first).to_be_visible()
    calls = sum(int(one) for one in page.locator(".figures td:nth-child(2)").all_inner_texts())
    tile = page.locator(".tile", has_text="Operations").locator(".value")
    assert str(calls) == tile.inner_text()


def test_nothing_stored_becomes_markup(open_page, week):
    """A record whose every text is hostile adds no element, runs nothing and is shown as it is."""
    page = open_page(week)
    assert page.locator("script, img, a, iframe, form").count() == 0
    assert page.get_by_text('<img src=x onerror="alert(1)">').count() >= 5
    page.get_by_text("␛[2J").first.wait_for()


@pytest.mark.parametrize("look", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}])
def test_it_keeps_its_sense_where_the_user_chooses_the_colours(open_page, week, look):
    """With forced colours the bars of charts still differ from the background."""
    page = open_page(week, **look)
    colours = page.evaluate(
        """() => [getComputedStyle(document.querySelector(".chart rect")).fill,
                  getComputedStyle(document.body).backgroundColor]"""
    )
    assert colours[0] != colours[1]


def test_it_prints(open_page, week, tmp_path):
    """On paper, folded texts are open and nothing is cut off."""
    page = open_page(week)
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator(".errors pre").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    path = tmp_path / "report.pdf"
    page.pdf(path=path, prefer_css_page_size=True)
    assert path.read_bytes().startswith(b"%PDF-")


def test_an_empty_log_makes_a_short_page(open_page, axe, tmp_path):
    """The report of an empty log says that nothing was recorded, and has no charts."""
    (tmp_path / "database_logs").mkdir()
    page = open_page(made(tmp_path / "database_logs"))
    expect(page.get_by_text("The log is empty")).to_be_visible()
    assert page.locator("svg, table").count() == 0
    axe(page)

"""The dashboard in a real browser: hostile texts, keys, accessibility, live over a restart."""

import re
import signal
import time
from pathlib import Path

import orjson
import pytest

from leadlog.core.clock import format_us, new_id, now_us
from tests.dashboard.serving import HOSTILE, serving, write_hostile

pytestmark = [pytest.mark.handmade_lines, pytest.mark.browser]

PAGES = (
    *("", "explore", "explore?view=heat", "errors", "entity", "session", "runs", "quality"),
    *("alerts", "sql"),
)
READY = "main:not([aria-busy]) > :not(.loading)"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Provide a log in which every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile") / "log"
    write_hostile(folder)
    return folder


@pytest.fixture(scope="module")
def served(root):
    with serving(root, "--allow-changes") as running:
        yield running


@pytest.fixture
def visit(open_page, served):
    """Provide a function that opens pages of the dashboard with its token."""

    def visited(path="", **options):
        headers = {"Authorization": f"Bearer {served.token}"}
        page = open_page(**options, extra_http_headers=headers)
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
        page.goto(f"{served.base}/{path}")
        page.wait_for_selector(READY)
        return page

    return visited


@pytest.mark.parametrize("path", PAGES)
def test_a_hostile_text_is_only_a_text(visit, path):
    """A hostile text runs no script, adds no markup, and does not even violate the policy."""
    page = visit(path + ("&" if "?" in path else "?") + "since=24h")
    page.wait_for_timeout(200)
    assert page.title().endswith("leadlog")
    assert page.locator("main img, main script, main iframe").count() == 0
    assert page.locator("[onerror], [onmouseover]").count() == 0
    assert page.locator('a[href^="javascript" i]').count() == 0
    assert page.evaluate("() => typeof taken") == "undefined"


def seen(text: str) -> str:
    """Return a text as pages show it: with escapes for invisible control characters."""
    unseen = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202e]"
    return re.sub(unseen, lambda found: f"\\u{ord(found[0]):04x}", text)


def test_only_whole_http_addresses_in_stored_values_are_links(visit):
    """Everything else that looks like an address stays text, and links send no referrer."""
    page = visit("sql")
    hostile = [
        *HOSTILE,
        *("JaVaScRiPt:alert(1)//https://a.example", " javascript:alert(1)", "data:text/html,x"),
        *("vbscript:x", "file:///etc/passwd", "//a.example", "/api/now", "https:a.example"),
        *("https://user:secret@a.example/", "https://a@a.example", "http://", "https://a b"),
        *("https://a.example/\u0000", "https://a.example/\nx", 'https://a.example/"onclick=x'),
        *("https://a.example\\@b.example", "see https://a.example", "ftp://a.example"),
        *("https://a.example/\u202egnp.exe", "https://a\u200b.example"),
    ]
    sound = ["https://a.example/x?y=1#z", "HTTP://A.example", "http://127.0.0.1:9/"]
    found = page.evaluate(
        """async (texts) => {
            const { h, linked } = await import(`${document.body.dataset.root}/assets/dom.js`);
            return texts.map((one) => {
                const made = h("p", {}, linked(one)), link = made.querySelector("a");
                return [made.textContent, link && link.href, link && link.rel, link && link.target];
            });
        }""",
        hostile + sound,
    )
    assert [text for text, *_ in found] == [seen(text) for text in hostile + sound]
    assert [link for _, link, *_ in found[: len(hostile)]] == [None] * len(hostile)
    assert [tuple(one[1:]) for one in found[len(hostile) :]] == [
        (link, "noopener noreferrer nofollow", "_blank")
        for link in ("https://a.example/x?y=1#z", "http://a.example/", "http://127.0.0.1:9/")
    ]


def test_every_value_of_a_facet_is_a_filter_that_finds_its_events(visit):
    """Values with quotes, backslashes, spaces or control characters find their events, too."""
    page = visit("explore?since=all")
    page.wait_for_selector(".facet button")
    told = page.evaluate(
        """async () => {
            const root = document.body.dataset.root;
            const { quoted } = await import(`${root}/assets/page-now.js`);
            const asked = (f) => new URLSearchParams({ since: "all", f });
            const ask = async (f) => (await fetch(`${root}/api/explore?${asked(f)}`)).json();
            const { found } = await ask(""), told = [];
            for (const facet of found.facets) {
                for (const [value, n] of facet.values) {
                    const own = await ask(`${facet.name}:${quoted(value)}`);
                    told.push([facet.name, value, n, own.found?.total ?? own.error]);
                }
            }
            return told;
        }"""
    )
    assert {value for _, value, *_ in told} >= {*HOSTILE}
    assert [one for one in told if one[2] != one[3]] == []


def test_pressing_a_facet_filters_by_it_and_pressing_it_again_does_not(visit):
    """Pressing a facet toggles its filter, also for values with quotes and spaces."""
    page = visit("explore?since=all")
    whole = page.locator("h1").inner_text()
    button = page.get_by_role("button", name='" onmouseover="alert(1)').first
    button.click()
    pressed = page.locator('.facet button[aria-pressed="true"]')
    pressed.wait_for()
    page.wait_for_selector(READY)
    assert page.locator("h1").inner_text() != whole
    pressed.click()
    page.wait_for_function("() => !location.search.includes('f=')")
    page.wait_for_function("(was) => document.querySelector('h1').innerText === was", arg=whole)


def test_a_text_cannot_turn_the_letters_around_it(visit):
    """A direction override is shown as an escape, so that it cannot disguise a name."""
    page = visit("explore?since=all")
    found = page.locator("main").inner_text()
    assert "\\u202egnp.exe" in found
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", found)


def test_details_of_hostile_records_are_only_text_too(visit):
    """Hostile text in records, traces, histories, sessions and SQL results stays text."""
    page = visit("explore?since=24h")
    for at in range(0, 30, 4):
        page.locator("tbody tr").nth(at).click()
        page.wait_for_selector("aside pre")
        assert page.locator("aside img, aside script").count() == 0
        page.keyboard.press("Escape")
    for path in ("errors", "entity?key=", "session?id="):
        url = path + ("" if path == "errors" else HOSTILE[0].replace("=", "%3D"))
        page = visit(url)
        if path == "errors":
            page.keyboard.press("j")
            page.wait_for_selector("pre")
        assert HOSTILE[0][:8] in page.inner_text("main")
        assert page.locator("main img").count() == 0
    page = visit("sql?since=all&sql=SELECT%20name,%20email%20FROM%20operations")
    page.wait_for_selector("table", timeout=40_000)
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1280)])
def test_nothing_serious_stands_in_anybody_s_way(visit, served, axe, scheme, width):
    """axe finds no serious violation on any page, narrow and wide, light and dark."""
    page = visit("", color_scheme=scheme, width=width)
    for path in PAGES:
        page.goto(f"{served.base}/{path}")
        page.wait_for_selector(READY)
        axe(page)
        assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_all_of_it_is_reached_with_the_keys(visit):
    """All is reachable with `?`, `/`, `t`, `u`, `j`, `k`, `g`; charts have a table, too."""
    page = visit("?since=24h")
    page.keyboard.press("?")
    assert page.locator("dialog").inner_text().startswith("Keys")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector("#times")
    page.keyboard.press("t")
    page.locator("#time-since").fill("6h")
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.search.includes('since=6h')")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector(READY)
    page.keyboard.press("u")
    page.wait_for_function("() => location.search.includes('utc=1')")
    page.wait_for_selector(READY)
    page.wait_for_selector(".plot canvas")  # drawn once the page is laid out
    page.locator(".plot").first.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.getElementById('said').innerText")
    page.locator("summary", has_text="Table").first.click()
    page.wait_for_selector("details[open] table tbody tr:nth-child(11)")
    page.locator("main").focus()
    for _ in range(20):  # the second key counts for a second, which may pass on a busy machine
        page.keyboard.press("g")
        page.keyboard.press("e")
        if page.evaluate("() => location.pathname") == "/explore":
            break
    page.wait_for_function("() => location.pathname === '/explore'")
    page.wait_for_selector("#find")
    page.wait_for_selector(READY)
    page.keyboard.press("/")
    page.keyboard.type("category:error_logs")
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.search.includes('error_logs')")
    page.wait_for_selector(READY)
    page.locator("main").focus()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("aside pre")


def test_a_view_gives_the_commands_that_say_the_same(visit, root):
    """A view names the leadlog command and the jq line for its period and filter."""
    page = visit("explore?since=24h&f=failed:yes")
    page.locator("#commands").click()
    told = page.locator(".cmd code").all_inner_texts()
    assert len(told) == 2
    assert told[0].startswith("leadlog query ")
    assert told[1].startswith("jq -c ")
    assert all(str(root) in one for one in told)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Paris"])
def test_times_are_those_of_the_reader_or_utc(visit, zone):
    """Times are in the reader's zone, and in UTC once `u` is pressed."""
    page = visit("explore?since=24h", timezone_id=zone)
    local = page.locator("tbody td").first.inner_text()
    page.keyboard.press("u")
    page.wait_for_function("() => location.search.includes('utc=1')")
    changed = "(was) => document.querySelector('tbody td').innerText !== was"
    page.wait_for_function(changed, arg=local)
    assert page.locator("tbody td").first.inner_text() != local


def test_colours_of_the_system_are_taken_over(visit):
    """With forced colours every page still shows its content."""
    page = visit("?since=24h", forced_colors="active")
    assert page.locator("h1").inner_text()


def test_without_a_token_there_is_a_page_that_says_so(open_page, served, findings):
    """Without a token the page asks for it, and its form accepts it."""
    page = open_page()
    page.goto(f"{served.base}/explore")
    page.locator("#token").fill("guessed-wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=not valid")
    page.locator("#token").fill(served.token)
    page.keyboard.press("Enter")
    page.wait_for_selector(READY)
    assert page.locator("#nav a").count() == 9
    for _ in range(2):
        findings.take("errors", "401")


def event(number: int) -> bytes:
    return (
        orjson.dumps(
            {
                "timestamp": format_us(now_us()),
                "level": "info",
                "log_type": "monitoring_data",
                "event_name": f"test.number{number}",
                "event_id": new_id(),
                "session_id": "abcd1234",
                "monitoring_info": {"monitoring_type": "application_event"},
            }
        )
        + b"\n"
    )


@pytest.fixture
def growing(tmp_path: Path):
    """Provide a log, and a function that appends events to it."""
    path = tmp_path / "log" / "monitoring_data" / f"{format_us(now_us())[:10]}.jsonl"
    path.parent.mkdir(parents=True)
    written = []

    def write(count: int) -> None:
        with path.open("ab") as stream:
            for _ in range(count):
                written.append(len(written))
                stream.write(event(written[-1]))

    write(3)
    return tmp_path / "log", write, written


COUNT = "(n) => document.querySelectorAll('tbody tr').length === n"


def test_a_killed_and_restarted_server_loses_and_doubles_nothing(open_page, findings, growing):
    """An open tab shows events from before, during and after the restart once, in order."""
    root, write, written = growing
    with serving(root) as first:
        page = open_page(first.url)
        page.goto(f"{first.base}/explore?since=24h")
        page.wait_for_function(COUNT, arg=3)
        write(4)
        page.wait_for_function(COUNT, arg=7)
        first.stop(signal.SIGKILL)
        write(5)
        page.wait_for_selector("text=not connected")
        port = first.port
    with serving(root, port=port):
        page.wait_for_function(COUNT, arg=12)
        write(6)
        page.wait_for_function(COUNT, arg=18)
        names = page.locator("tbody tr td:nth-child(2)").all_inner_texts()
        assert len(names) == len(set(names)) == len(written) == 18
        page.goto("about:blank")  # so that it does not ask for the server after its end
    findings.errors.clear()  # the browser reports that it could not connect


def test_a_new_event_is_on_the_screen_at_once(open_page, growing):
    """A written event becomes a row in the page at once."""
    root, write, _ = growing
    with serving(root) as served:
        page = open_page(served.url)
        page.goto(f"{served.base}/explore?since=24h")
        page.wait_for_function(COUNT, arg=3)
        page.wait_for_selector("text=live")
        took = []
        for number in range(10):
            began = time.monotonic()
            write(1)
            page.wait_for_function(COUNT, arg=4 + number, polling=10)
            took.append(time.monotonic() - began)
        # On a quiet machine this takes a tenth of a second; `make bench` measures it.
        assert sorted(took)[5] < 2.0
        page.goto("about:blank")


def sync(number: int) -> bytes:
    """Return the event of a sync that has ended."""
    record = {
        "timestamp": format_us(now_us()),
        "level": "info",
        "log_type": "sync_operation",
        "event_name": "sync.finished",
        "event_id": new_id(),
        "session_id": "abcd1234",
        "sync_details": {"sync_type": "to_airtable", "sync_id": f"s{number}"},
        "sync_results": {"success": True, "leads_synced": number, "execution_time_ms": 9.0},
    }
    return orjson.dumps(record) + b"\n"


def test_runs_that_end_meanwhile_appear_by_themselves(open_page, tmp_path):
    """New runs appear, even the first one, but not while the reader has a list open."""
    path = tmp_path / "log" / "sync_operations" / f"{format_us(now_us())[:10]}.jsonl"
    path.parent.mkdir(parents=True)
    path.touch()
    with serving(tmp_path / "log") as served:
        page = open_page(served.url)
        page.goto(f"{served.base}/runs?since=24h")
        page.wait_for_selector("text=No runs")
        page.wait_for_selector("text=live")
        for number in (1, 2):
            with path.open("ab") as stream:
                stream.write(sync(number))
            page.wait_for_function(COUNT, arg=number)
        assert page.locator("h1").inner_text() == "2 runs of sync and migration"
        page.goto("about:blank")


def test_eight_tabs_share_one_connection(open_page, growing):
    """Eight tabs all follow the log, although a browser allows six connections per server."""
    root, write, _ = growing
    with serving(root) as served:
        first = open_page(served.url)
        pages = [first, *(open_page(beside=first) for _ in range(7))]
        for page in pages:
            page.goto(f"{served.base}/explore?since=24h")
            page.wait_for_function(COUNT, arg=3)
        write(2)
        for page in pages:
            page.wait_for_function(COUNT, arg=5)
        for page in pages:
            page.goto("about:blank")

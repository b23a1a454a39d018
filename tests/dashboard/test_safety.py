"""Attacks on the dashboard, each like one that was a CVE of a peer, over raw sockets."""

import asyncio
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import httpx
import orjson
import pytest

from tests.bench.made_events import write
from tests.dashboard.serving import HOSTILE, serving, write_hostile

pytestmark = pytest.mark.handmade_lines


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A log whose every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile") / "log"
    folder.mkdir(mode=0o700)
    write_hostile(folder)
    return folder


@pytest.fixture(scope="module")
def served(root):
    with serving(root) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.evil.example:{port}",
             "localhost:1", ""],
)  # fmt: skip
def test_a_name_that_is_not_the_dashboard_s_own_is_refused(served, method, host):
    """A request with a foreign host name (DNS rebinding) is refused, whatever the method."""
    status, _, body = served.ask("/api/now", host=host.format(port=served.port), method=method)
    assert status in {400, 421}
    assert b"operations" not in body


def test_two_names_are_refused(served):
    """Two Host headers are refused, since one might be checked and the other used."""
    status, _, _ = served.ask("/api/now", "Host: evil.example")
    assert status in {400, 421}


def test_an_address_in_the_request_line_does_not_stand_in_for_the_name(served):
    """The absolute form names another host than the header."""
    status, _, body = served.ask("http://evil.example/api/now", host="evil.example")
    assert status in {400, 404, 421}
    assert b"tiles" not in body


PATHS = [
    *("/", "/explore", "/errors", "/entity", "/session", "/runs", "/quality", "/alerts", "/sql"),
    *("/api/now", "/api/explore", "/api/errors", "/api/runs", "/live", "/assets/app.js"),
    *(
        "/api/../api/now",
        "//api/now",
        "/api/now/",
        "/login/../api/now",
        "/assets/app.css/../app.js",
    ),
    *("/%61pi/now", "/api/now?x=/login", "/login%2f..%2fapi/now", "/API/now"),
]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_of_the_log_is_seen(served, path):
    """A second user of the machine reaches loopback, too."""
    status, headers, body = served.ask(path, token=False)
    assert status in {401, 404}, (status, body[:200])
    assert not any(text.encode() in body for text in HOSTILE)
    assert "set-cookie" not in headers
    status, _, _ = served.ask(path, "Authorization: Bearer guessed", token=False)
    assert status in {401, 404}
    status, _, _ = served.ask(path, f"Cookie: leadlog_{served.port}=9999999999.00", token=False)
    assert status in {401, 404}


def test_the_token_in_the_address_works_once_and_becomes_a_strict_cookie(root):
    """The token in the address works once, so an address found later is useless."""
    with serving(root) as served:
        path = served.url.removeprefix(served.base)
        status, headers, _ = served.ask(path, token=False)
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"]
        assert cookie.startswith(f"leadlog_{served.port}=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {
            one.strip() for one in cookie.split(";")
        }
        pair = cookie.partition(";")[0]
        assert served.ask("/api/now", f"Cookie: {pair}", token=False)[0] == 200
        assert served.ask(path, token=False)[0] == 401
        name, _, value = pair.partition("=")
        until, _, signature = value.partition(".")
        for forged in (f"{int(until) + 1}.{signature}", f"{until}.", signature, f"{until}.x"):
            status, _, _ = served.ask("/api/now", f"Cookie: {name}={forged}", token=False)
            assert status == 401


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "/%2f/evil.example"])
def test_no_redirect_goes_where_a_path_says(served, path):
    """An address on the dashboard never leads to another site, with a token or without."""
    for query in ("", "?token=x", f"?token={served.token}"):
        _, headers, _ = served.ask(f"{path}{query}", token=False)
        assert headers.get("location", "/") == "/"


@pytest.mark.parametrize(
    "lines",
    [
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
    ],
)
def test_another_site_s_page_cannot_even_ask(served, lines):
    """A page on another port, the same site for a cookie, is refused like any other site."""
    assert served.ask("/api/now", *lines)[0] == 403


CHANGE = orjson.dumps({"fingerprint": "x", "word": "resolved"})


@pytest.mark.parametrize("path", ["/api/mark", "/api/silence", "/api/sql", "/api/sql/export"])
@pytest.mark.parametrize(
    "lines",
    [
        ("Sec-Fetch-Site: cross-site", "Origin: http://evil.example"),
        ("Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:1"),
        ("Origin: http://evil.example",),
        ("Origin: null",),
        ("Sec-Fetch-Site: none",),
        ("Sec-Fetch-Site: same-origin",),
    ],
)
def test_no_other_site_s_form_changes_anything(root, served, path, lines):
    """A form of another site is refused, with or without an origin, even with the cookie."""
    status, _, _ = served.ask(
        path, *lines, "Content-Type: application/json", method="POST", body=CHANGE
    )
    assert status == 403
    assert not (root / "error-marks.json").exists()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_can_send_is_no_change(served, kind):
    """A form needs no preflight; JSON does."""
    status, _, _ = served.ask(
        "/api/mark",
        "Sec-Fetch-Site: same-origin",
        f"Origin: {served.base}",
        *([f"Content-Type: {kind}"] if kind else []),
        method="POST",
        body=CHANGE,
    )
    assert status == 415


def test_nothing_is_changed_without_being_allowed(root, served):
    """A dashboard only reads, unless it was started with --allow-changes."""
    lines = (
        "Sec-Fetch-Site: same-origin",
        f"Origin: {served.base}",
        "Content-Type: application/json",
    )
    status, _, body = served.ask("/api/mark", *lines, method="POST", body=CHANGE)
    assert (status, b"--allow-changes" in body) == (403, True)
    assert not (root / "error-marks.json").exists()
    with serving(root, "--allow-changes") as open_one:
        lines = (lines[0], f"Origin: {open_one.base}", lines[2])
        assert open_one.ask("/api/mark", *lines, method="POST", body=CHANGE)[0] == 200
    assert orjson.loads((root / "error-marks.json").read_bytes())["x"]["word"] == "resolved"
    (root / "error-marks.json").unlink()


def test_there_is_no_websocket(served):
    """A WebSocket handshake passes the same checks and gets no connection."""
    status, _, _ = served.ask(
        "/live",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        token=False,
    )
    assert status == 401


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api/now", "/api/nothing", "/assets/app.js", "/assets/nothing"]
)
@pytest.mark.parametrize("token", [True, False])
def test_every_answer_has_the_headers_that_protect_it(served, path, token):
    """Errors and refusals too."""
    _, headers, _ = served.ask(path, token=token)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../server.py", "/assets/..%2fserver.py", "/assets/%2e%2e/server.py",
        "/assets//etc/passwd", "/assets/app.html", "/assets/questions.json",
    ],
)  # fmt: skip
def test_no_file_is_served_but_the_pages_own(served, path):
    """Static files are served from memory; no path reaches the disk."""
    assert served.ask(path)[0] == 404


SQL = [
    "COPY (SELECT 1) TO '/tmp/leadlog-taken'",
    "SELECT * FROM read_text('/etc/passwd')",
    "INSTALL httpfs",
    "SELECT * FROM 'database_operations/*.jsonl'",
    "ATTACH '/tmp/leadlog-taken.db'",
]


def post(served, path, **given):
    return served.ask(
        path,
        "Sec-Fetch-Site: same-origin",
        f"Origin: {served.base}",
        "Content-Type: application/json",
        method="POST",
        body=orjson.dumps({"name": "a", "since": "all", **given}),
    )


@pytest.mark.parametrize("sql", SQL)
def test_sql_reaches_the_tables_and_nothing_else(served, sql):
    """It runs in the sandbox of `leadlog query`."""
    status, _, body = post(served, "/api/sql", sql=sql)
    assert status == 400, body
    assert not Path("/tmp/leadlog-taken").exists()


def test_an_exported_csv_holds_no_formula(served):
    """A CSV field that begins with =, +, - or @ is prefixed, so no spreadsheet runs it."""
    status, headers, body = post(
        served, "/api/sql/export", sql="SELECT name, company, email FROM operations", form="csv"
    )
    assert status == 200
    assert headers["content-disposition"].startswith("attachment")
    assert b"=cmd|" in body
    assert not re.search(rb'(?m)(^|,)"?[=+@-]', body)


def test_a_query_can_be_cancelled(served):
    """Cancelling a query ends its process at once, not at its time limit."""
    import threading
    import time

    sql = "SELECT count(*) FROM range(1000000000000) a"
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(post(served, "/api/sql", sql=sql, name="long"))
    )
    began = time.monotonic()
    thread.start()
    while thread.is_alive():
        status, _, _ = post(served, "/api/sql/cancel", name="long")
        assert status == 200
        thread.join(0.2)
    assert answers[0][0] == 400
    assert b"cancelled" in answers[0][2]
    assert time.monotonic() - began < 25


def test_only_the_owner_may_read_index_and_key(root, served):
    """Index and key are private, and an erasure removes the index."""
    folder = root / ".index"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "dashboard.key" in modes


def test_a_token_that_others_may_read_is_refused(root, tmp_path):
    """A token file that others may read is refused; a missing one is created private."""
    path = tmp_path / "token"
    with serving(root, "--token-file", str(path)) as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert served.token == path.read_text().strip()
    path.chmod(0o644)
    with pytest.raises(AssertionError, match="chmod 600"), serving(root, "--token-file", str(path)):
        pass


def test_a_busy_port_is_told_with_what_to_do(root, served):
    """A busy port is reported in one line, with the option to choose another."""
    with pytest.raises(AssertionError, match="--port"), serving(root, port=served.port):
        pass


def test_a_view_that_cannot_be_understood_says_why(served):
    """A malformed request is answered with a reason and a 4xx status."""
    for path, word in {
        "/api/now?since=soon": b"point in time",
        "/api/explore?f=nonsense": b"word:value",
        "/api/event?number=x": b"whole number",
        "/api/event?number=99999999": b"load the page again",
        "/api/error?fingerprint=none": b"no error",
        "/api/differences?start=x&end=1&low=1&high=2": b"cannot be read",
        "/api/differences?start=1e300&end=1&low=1&high=2": b"cannot be read",
        "/api/entity?key=x&at=soon": b"point in time",
    }.items():
        status, _, body = served.ask(path)
        assert (status, word in body) == (400, True), (path, status, body)


def test_all_views_tell_of_a_hostile_log(served):
    """Views of a hostile log return its texts as data, never as an error."""
    for name in ("now", "explore", "heatmap", "errors", "runs", "quality", "alerts", "questions"):
        served.json(f"/api/{name}?since=1h")


def test_the_application_wants_to_be_told_who_may_see_it(tmp_path):
    """Mounted in one's own, it asks for a token or a function, and for its names."""
    from leadlog import dashboard

    with pytest.raises(ValueError, match="authorize"):
        dashboard.app(tmp_path)
    with pytest.raises(ValueError, match="hosts"):
        dashboard.app(tmp_path, token="x" * 20)


def test_it_can_be_mounted_in_an_application_of_ones_own(tmp_path):
    """Under its path, with the application's own way to know who is there."""
    from fastapi import FastAPI

    from leadlog import dashboard

    write(tmp_path / "log", "2026-11-01", 200)
    mounted = dashboard.app(
        tmp_path / "log",
        authorize=lambda scope: (b"x-user", b"admin") in scope["headers"],
        hosts=["crm.example"],
    )
    site = FastAPI()
    site.mount("/log", mounted)
    admin = {"x-user": "admin"}

    async def visit():
        transport = httpx.ASGITransport(app=site)
        async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
            assert (await client.get("/log/")).status_code == 401
            other = await client.get("/log/", headers={"host": "other.example"})
            assert other.status_code == 421
            page = await client.get("/log/", headers=admin)
            assert page.status_code == 200
            assert 'data-root="/log"' in page.text
            told = await client.get("/log/api/now?since=all", headers=admin)
            assert told.status_code == 200
            assert told.json()["status"]["generation"]
            assert (await client.get("/log/assets/app.js")).status_code == 401
            assert (await client.get("/log/assets/app.css")).status_code == 200

    try:
        asyncio.run(visit())
    finally:
        mounted.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_of_the_machine_without_the_token_sees_nothing():
    """Another user learns nothing from the server, the log directory or the process list."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "log"
        root.mkdir(mode=0o700)
        write(root, "2026-11-01", 200, people=9)
        with serving(root) as running:
            asked = "; ".join(
                f"exec 3<>/dev/tcp/127.0.0.1/{running.port}; printf 'GET {path} HTTP/1.1\\r\\n"
                f"Host: 127.0.0.1:{running.port}\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3"
                for path in ("/", "/api/now?since=all", "/api/explore?since=all", "/live")
            )
            files = f"cat {root}/*/* {root}/.index/* /proc/{running.process.pid}/environ"
            told = subprocess.run(
                [
                    "bash",
                    "-c",
                    f"id -un; {asked}; {files}; cat /proc/{running.process.pid}/cmdline",
                ],
                user="nobody",
                group="nogroup",
                extra_groups=[],
                env={"PATH": os.environ["PATH"]},
                cwd="/",
                capture_output=True,
                timeout=60,
                check=False,
            )
    assert told.stdout.startswith(b"nobody\n")
    assert told.stdout.count(b"HTTP/1.1 401") == 4, told.stdout[:2000]
    assert told.stderr.count(b"Permission denied") >= 3
    for secret in (b"lead-00000", b"Person", b'operations":', running.token.encode()):
        assert secret not in told.stdout

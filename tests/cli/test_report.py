"""`leadlog report`: one file on a period of the log."""

import json
import os
import re
import time
from html.parser import HTMLParser

import pytest

from leadlog.core.clock import parse
from tests.bench.made_events import write

pytestmark = pytest.mark.handmade_lines

DAY = "2026-11-18"
AT = parse(f"{DAY}T10:00:00Z")
HOSTILE = (
    '<img src=x onerror="alert(1)"><script>alert(2)</script></style>\x1b]0;t\x07\u202ejavascript:x'
)


class Text(HTMLParser):
    """Return the text of a page, without its head."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self._silent = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._silent = tag in {"style", "title"}
        for name, _ in attributes:
            assert not name.startswith("on"), f"{tag} {name}"
            assert name not in {"src", "href", "style", "action"}, f"{tag} {name}"

    def handle_data(self, data):
        if not self._silent:
            self.words.append(data)

    def __str__(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def report(run, tmp_path):
    """Write a report on `database_logs`; returns its bytes and its words."""

    def written(*arguments):
        path = tmp_path / "report.html"
        result = run("report", *arguments, "-o", str(path))
        assert result.exit_code == 0, result.output
        content = path.read_bytes()
        return content, Text(content.decode())

    return written


def error(at_us, message, **keys):
    """A failed call's error, whose message may be anything."""
    return at_us, {
        "log_type": "error_log",
        "event_name": "error",
        "level": "error",
        "error_details": {
            "fingerprint": "0123456789abcdef",
            "error_type": "database_error",
            "exception_class": "sqlalchemy.exc.IntegrityError",
            "error_message": message,
        },
        **keys,
    }


def call(at_us, *, ms=12.0, success=True, **keys):
    """A call on the store."""
    return at_us, {
        "log_type": "database_operation",
        "event_name": "lead.update",
        "operation_details": {
            "operation_type": "update",
            "entity": "Lead",
            "success": success,
            "execution_time_ms": ms,
        },
        **keys,
    }


def test_a_week_has_figures_operations_errors_and_runs(report, tmp_path):
    """A report has the counts, the week before and every section, in less than 500 KB."""
    root = tmp_path / "database_logs"
    write(root, "2026-11-08", 10)
    write(root, "2026-11-11", 300)
    write(root, DAY, 600)
    content, text = report("--week", DAY)
    assert len(content) < 500_000
    assert text.tags.count("h1") == 1
    said = str(text)
    assert "16 Nov to 22 Nov 2026" in said
    assert "database_logs, 600 events, times in UTC" in said
    assert re.search(r"Operations 558 \+100 % on a week earlier \(279\)", said)
    assert re.search(r"add_lead \d+ \d+", said)
    assert "no such table: leads_" in said
    assert re.search(r"Syncs and migrations \d+ .*to_airtable done 18 Nov, \d\d:\d\d", said)
    assert "leadlog report --week 2026-11-18 -o FILE" in said


def test_figures_have_three_digits_and_unknown_is_a_dash(report, log):
    """1,234 calls are 1.23k, the whole figure is there for machines, and no duration is no 0."""
    log("database_operations", *(call(AT + n, ms=None) for n in range(1234)), date=DAY)
    content, text = report("--from", DAY, "--to", DAY)
    assert 'value="1234" title="1,234">1.23k<' in content.decode()
    assert re.search(r"Lead\.update 1\.23k 0 – –", str(text))
    assert "1234 " not in str(text)
    assert re.search(r"p95 – ", str(text))


def test_nothing_stored_is_more_than_text(report, log):
    """Markup, escape sequences and marks of direction in every text are shown, not obeyed."""
    keys = {"context": {"operation_in_progress": HOSTILE}, "session_id": HOSTILE}
    hostile = error(AT, HOSTILE, **keys)
    hostile[1]["error_details"] |= {"exception_class": HOSTILE, "fingerprint": HOSTILE}
    log("error_logs", hostile, date=DAY)
    strange = call(AT, success=False)
    strange[1]["operation_details"]["entity"] = HOSTILE
    strange[1]["training_labels"] = {
        "data_quality_score": 0.4,
        "data_quality_issues": [HOSTILE],
    }
    strange[1]["data_details"] = {"fields_changed": {"source": {"new": HOSTILE}}}
    log("database_operations", strange, date=DAY)
    sync = {
        "log_type": "sync_operation",
        "event_name": HOSTILE,
        "sync_details": {"sync_type": HOSTILE, "sync_id": HOSTILE},
        "sync_results": {"success": False, "error_message": HOSTILE, "leads_synced": 3},
        "leads_summary": [{"lead_id": HOSTILE, "error": HOSTILE}],
    }
    log("sync_operations", (AT, sync), date=DAY)
    content, text = report("--from", DAY, "--to", DAY)
    assert not {"script", "img", "iframe", "object", "a", "link", "form"} & set(text.tags)
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", content)
    assert "\u202e" not in content.decode()
    assert str(text).count('<img src=x onerror="alert(1)">') >= 6
    assert "⟨U+202E⟩" in str(text)


def test_long_messages_are_folded_and_keep_their_lines(report, log):
    """The first line is in sight, the rest is a click away; line breaks are not written as \\n."""
    message = "UNIQUE constraint failed\r\nin table leads\n" + "again " * 40
    log("error_logs", error(AT, message), date=DAY)
    content, text = report("--from", DAY, "--to", DAY)
    page = content.decode()
    assert "<summary><bdi>UNIQUE constraint failed</bdi></summary>" in page
    assert "UNIQUE constraint failed\nin table leads\nagain" in page
    assert "\\n" not in str(text)
    assert "IntegrityError sqlalchemy.exc" in str(text)


def test_personal_data_are_masked_by_policy(report, run, log, monkeypatch, tmp_path):
    """--masked, or the setting: names, addresses and numbers leave the messages; secrets always."""
    person = {"lead_identifier": {"name": "Ana Gómez"}}
    said = "Ana Gómez <ana@acme.example> is a duplicate, password=hunter2"
    log("error_logs", error(AT, said, **person), date=DAY)
    days = ("--from", DAY, "--to", DAY)
    _, text = report(*days)
    assert "Ana Gómez" in str(text)
    assert "hunter2" not in str(text)
    _, masked = report(*days, "--masked")
    monkeypatch.setenv("LEADLOG_PII", "masked")
    _, by_setting = report(*days)
    for one in (masked, by_setting):
        assert "is a duplicate" in str(one)
        assert "Ana" not in str(one)
        assert "acme.example" not in str(one)


def test_the_page_asks_for_nothing(report, tmp_path):
    """The page's policy forbids everything but its own style, and it contains no address."""
    write(tmp_path / "database_logs", DAY, 100)
    content, _ = report("--week", DAY)
    page = content.decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert not re.search(r"https?:|url\(|@import|<link|<script|src=", page)


def test_a_period_without_events_says_where_there_are_some(report, run, log, tmp_path):
    """An empty report is no page of zeros."""
    log("database_operations", call(AT), date=DAY)
    content, text = report("--from", "2026-10-01", "--to", "2026-10-02")
    assert "No operations and no errors in this period." in str(text)
    assert "The log has events from 18 Nov 2026, 10:00" in str(text)
    assert "<table" not in content.decode()
    (tmp_path / "empty").mkdir()
    _, text = report("--directory", str(tmp_path / "empty"))
    assert "The log is empty" in str(text)


def test_a_day_as_the_end_is_in_the_report(report, run, log):
    """--to DAY counts the whole day, --to TIME ends there, and without --from it is a week."""
    log("database_operations", call(AT), call(AT + 3_600_000_000), date=DAY)
    assert "18 Nov 2026" in str(report("--from", DAY, "--to", DAY)[1])
    assert "2 events" in str(report("--from", "2026-11-17", "--to", DAY)[1])
    _, text = report("--from", DAY, "--to", f"{DAY}T10:30:00Z")
    assert "18 Nov 2026, 00:00 to 10:30" in str(text)
    assert "1 event," in str(text)


def test_without_a_period_it_is_what_the_log_has_of_the_last_week(report, log):
    """A log of one hour is no week of empty charts."""
    now = time.time_ns() // 1000
    log("database_operations", call(now - 60_000_000), call(now - 8 * 86_400_000_000))
    _, text = report()
    assert "1 event," in str(text)
    log("database_operations", call(now - 61_000_000))
    assert "2 events" in str(report()[1])


def test_json_and_standard_output(run, log, tmp_path):
    """--json describes the written file; -o - prints the page and nothing else."""
    log("database_operations", call(AT), date=DAY)
    days = ("--from", DAY, "--to", DAY)
    result = run("report", *days, "-o", "r.html", "--json")
    said = json.loads(result.stdout)
    assert said["file"] == "r.html"
    assert said["bytes"] == len((tmp_path / "r.html").read_bytes())
    assert (said["since"], said["until"]) == (
        f"{DAY}T00:00:00.000000Z",
        "2026-11-19T00:00:00.000000Z",
    )
    assert (said["events"], said["state"]) == (1, "ok")
    page = run("report", *days, "-o", "-")
    assert page.stdout.startswith("<!doctype html>")
    assert page.stdout.rstrip().endswith("</html>")
    assert page.stderr == ""


def test_the_file_is_whole_and_known_to_an_erasure(run, log, tmp_path):
    """A failed write leaves the old file; a written report is registered as an export."""
    log("database_operations", call(AT), date=DAY)
    days = ("--from", DAY, "--to", DAY)
    result = run("report", *days, "-o", str(tmp_path / "nowhere" / "r.html"))
    assert result.exit_code == 3
    assert "nowhere" in result.stderr
    path = tmp_path / "r.html"
    path.write_text("old")
    path.chmod(0o640)
    assert run("report", *days, "-o", str(path)).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text().startswith("<!doctype html>")
    exports = (tmp_path / "database_logs" / ".exports").read_text()
    assert exports == f"{path.resolve()}\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["database_logs", "r.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "someday"], "'someday' is not a point in time; write it like"),
        (["--to", "2026-02-31"], "'2026-02-31' is not a point in time"),
        (["--from", DAY, "--to", "2026-11-17"], "not after its beginning"),
        (["--week", "2026-W60"], "write it like 2026-W48"),
        (["--week", DAY, "--to", DAY], "give either --week, or --from and --to"),
    ],
)
def test_what_is_no_period_is_refused(run, log, arguments, message):
    """Exit code 2, the value, and how to say it."""
    log("database_operations", call(AT), date=DAY)
    result = run("report", *arguments, "-o", "r.html")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_sealed_days_are_named_with_what_counts_them(report, run, tmp_path):
    """Days in the archive are not in the index; the report says so instead of a smaller number."""
    pytest.importorskip("duckdb")
    write(tmp_path / "database_logs", DAY, 50)
    for path in (tmp_path / "database_logs").rglob("*.jsonl"):
        os.utime(path, (AT / 1e6, AT / 1e6))  # nobody writes to it any more
    assert run("archive", "--parquet-after-days", "1").exit_code == 0
    _, text = report("--week", DAY)
    assert "1 of the days (2026-11-18) are sealed in the archive and not counted here" in str(text)
    assert "leadlog summary --from 2026-11-18 --to 2026-11-18" in str(text)

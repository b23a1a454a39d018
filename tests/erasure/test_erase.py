"""Erasure of a person from the log, with everyone else's data kept."""

import hmac
import json
import os

import pytest

from leadlog.core.errors import LogDirectoryError
from leadlog.core.layout import log_files
from leadlog.core.locks import try_lock
from leadlog.reading import archive, erasure
from leadlog.reading.analytics.summary import count_days, write_daily_summary
from leadlog.reading.archive import Policy
from leadlog.reading.events import read_events
from tests.bench.made_events import blank, events

pytestmark = pytest.mark.handmade_lines

TODAY = "2026-11-23"
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
ANA, ADDRESS = "lead-ana-1", "Ana@Acme.example"


def record(log_type, number, date, **sections):
    """Return an event with some keys of its sections."""
    event = blank(log_type, number * 1_000_000, number, date)
    for section, values in sections.items():
        if isinstance(event.get(section), dict):
            event[section] |= values
        else:
            event[section] = values
    return event


def about_ana(date):
    """Return records that name Ana in every possible way, and some that only resemble it."""
    who = {"lead_id": ANA, "name": "Ana Lima", "email": ADDRESS}
    operation = {"operation_id": f"op-{date}", "operation_type": "add_lead"}
    return [
        record(
            "database_operation",
            80_001,
            date,
            lead_identifier=who,
            operation_details=operation,
            data_details={"fields_changed": {"email": {"new": ADDRESS}, "phone": {"new": "1"}}},
        ),
        # Names neither id nor address, but belongs to her operation.
        record(
            "error_log",
            80_002,
            date,
            context={"operation_id": f"op-{date}"},
            error_details={"error_message": "it is hers", "fingerprint": "f" * 16},
        ),
        record("error_log", 80_003, date, context={"lead_data": {"id": ANA}}),
        record(
            "sync_operation",
            80_004,
            date,
            leads_summary=[
                {"lead_id": ANA, "name": "Ana Lima"},
                {"lead_id": "lead-ana-12", "name": "Anna Lim"},
            ],
        ),
        record(
            "monitoring_data",
            80_005,
            date,
            monitoring_info={"data_points": {"note": f"mail to {ADDRESS.upper()} bounced"}},
        ),
        record(
            "database_operation",
            80_006,
            date,
            lead_identifier={"lead_id": None, "lead_ids": ["lead-ana-12", ANA], "lead_count": 2},
        ),
        record("database_operation", 80_007, date, lead_identifier={"lead_id": "lead-ana-12"}),
    ]


REMOVED = {80_001, 80_002, 80_003}
CHANGED = {80_004, 80_005, 80_006}


@pytest.fixture
def log(tmp_path):
    """Three days: one as lines, one compressed, one in Parquet, each with its summary."""
    root = tmp_path / "database_logs"
    for number, date in enumerate(DAYS):
        made = [*events(date, 120), *about_ana(date)]
        for category in {"database_operations", "error_logs", "sync_operations"} | {
            "performance_metrics",
            "monitoring_data",
        }:
            kinds = {"database_operations": "database_operation", "error_logs": "error_log"}
            kind = kinds.get(category, category.removesuffix("s"))
            kind = "performance_metrics" if category == "performance_metrics" else kind
            path = root / category / f"{date}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(one) + "\n" for one in made if one["log_type"] == kind]
            path.write_text("".join(lines))
            os.utime(path, (1_793_534_400 + number, 1_793_534_400))
        write_daily_summary(root, date)
    archive.run(root, Policy(0, parquet_after_days=21), today=TODAY)
    archive.run(root, Policy(20), today=TODAY)
    forms = {file.date: file.path.suffix for file in log_files(root)}
    assert forms == dict(zip(DAYS, (".parquet", ".zst", ".jsonl"), strict=True))
    return root


def told(root):
    """Return every event by day and number, as read."""
    return {
        (file.date, event.data["event_id"]): event.data
        for file in log_files(root)
        for event in read_events(file.path)
        if event.data["event_name"] != "monitoring.erasure"
    }


def everything(root):
    """Return all readable content of the directory, unpacked, as one text."""
    found = "".join(json.dumps(event, ensure_ascii=False) for event in told(root).values())
    for path in root.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".jsonl", ".tmp"}:
            found += path.read_text(errors="replace")
    return found.casefold()


def numbers(events_told):
    """Return the numbers of the events about or near Ana."""
    found = {int(key[1][8:], 16) for key in events_told}
    return found & (REMOVED | CHANGED | {80_007})


@pytest.mark.parametrize("asked", [{"lead_ids": [ANA]}, {"emails": ["ana@acme.EXAMPLE"]}])
def test_a_person_goes_and_everybody_else_stays(log, asked):
    """Lines about her are removed, others lose her entry and address, the rest is unchanged."""
    before = told(log)
    report = erasure.run(log, today=TODAY, **asked)
    after = told(log)
    assert report.remaining == {}
    assert (report.lines_removed, report.lines_changed) == (9, 9)
    text = everything(log)
    for gone in (f'"{ANA}"', ADDRESS.casefold(), "ana lima", "it is hers"):
        assert gone not in text
    assert "lead-ana-12" in text
    assert numbers(after) == CHANGED | {80_007}
    for key, event in after.items():
        number = int(key[1][8:], 16)
        if number not in CHANGED:
            assert event == before[key]
    assert len(before) - len(after) == 9
    assert not (log / ".erasure.json").exists()
    again = erasure.run(log, today=TODAY, **asked)
    assert (again.changed, again.summaries) == ((), ())


@pytest.mark.parametrize("asked", ["ana-before", "ana-after"])
def test_a_lead_is_known_by_the_ids_that_it_had_before_too(tmp_path, asked):
    """A lead whose id was changed is one row throughout."""
    root = tmp_path / "database_logs"
    path = root / "database_operations" / f"{DAYS[0]}.jsonl"
    path.parent.mkdir(parents=True)
    made = [
        record("database_operation", number, DAYS[0], lead_identifier=who | {"email": None})
        for number, who in enumerate(
            (
                {"lead_id": "ana-before"},
                {"lead_id": "ana-after", "previous_lead_id": "ana-before"},
                {"lead_id": "ana-after"},
                {"lead_id": "somebody-else"},
            )
        )
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    os.utime(path, (1_793_534_400, 1_793_534_400))
    assert erasure.run(root, lead_ids=[asked], today=TODAY).remaining == {}
    assert [event.data["lead_identifier"]["lead_id"] for event in read_events(path)] == [
        "somebody-else"
    ]


def test_counts_and_bucket_tables_follow(log):
    """The sealed day's bucket table and the daily summaries match the remaining events."""
    erasure.run(log, lead_ids=[ANA], today=TODAY)
    assert count_days(log, DAYS[0]).from_buckets == (DAYS[0],)
    for date in DAYS:
        fresh = count_days(log, date, exact=True, engine="python").tally
        assert count_days(log, date).tally == fresh
        stored = json.loads((log / "monitoring_data" / f"daily-summary-{date}.json").read_text())
        assert stored["summary_info"]["events_read"] == sum(count for _, count in fresh.counts())
        assert "f" * 16 not in json.dumps(stored)


def test_pseudonyms_take_her_place(log):
    """With a key no line is removed; her data become the pipeline's pseudonyms."""
    before = told(log)
    report = erasure.run(log, lead_ids=[ANA], pseudonym_key="pepper", today=TODAY)
    after = told(log)
    assert (report.pseudonymised, report.lines_removed) == (True, 0)
    assert after.keys() == before.keys()
    text = everything(log)
    assert f'"{ANA}"' not in text
    assert ADDRESS.casefold() not in text
    assert "ana lima" not in text.replace('"anna lim', "")
    expected = f"p:{hmac.digest(b'pepper', ADDRESS.casefold().encode(), 'sha256').hex()[:16]}"
    key = next(key for key in after if int(key[1][8:], 16) == 80_001)
    assert after[key]["lead_identifier"]["email"] == expected
    assert after[key]["lead_identifier"]["lead_id"].startswith("p:")


def test_a_dry_run_says_it_and_changes_nothing(log):
    """The counts and files are those of the following run; nothing is written."""
    before = {path: path.read_bytes() for path in log.rglob("*") if path.is_file()}
    dry = erasure.run(log, lead_ids=[ANA], dry_run=True, today=TODAY)
    assert {path: path.read_bytes() for path in log.rglob("*") if path.is_file()} == before
    real = erasure.run(log, lead_ids=[ANA], today=TODAY)
    assert (dry.changed, dry.summaries) == (real.changed, real.summaries)


def test_files_of_today_and_in_use_wait_for_a_later_run(log):
    """They are reported, the identity is kept, and a run without names continues."""
    today = log / "error_logs" / f"{TODAY}.jsonl"
    today.write_text(
        json.dumps(record("error_log", 1, TODAY, context={"operation_id": f"op-{DAYS[0]}"})) + "\n"
    )
    in_use = log / "database_operations" / f"{DAYS[2]}.jsonl"
    with in_use.open("ab") as writer:
        assert try_lock(writer.fileno())
        report = erasure.run(log, emails=[ADDRESS], today=TODAY)
    assert report.remaining == {
        f"error_logs/{TODAY}.jsonl": "its day is not over",
        f"database_operations/{DAYS[2]}.jsonl": "a process is writing to it",
    }
    journal = log / ".erasure.json"
    assert journal.stat().st_mode & 0o777 == today.parent.parent.stat().st_mode & 0o666
    # Only the journal still knows whose operation it was.
    os.utime(today, (1_793_534_400, 1_793_534_400))
    later = erasure.run(log, today="2026-11-24")
    assert later.remaining == {}
    assert {one.path for one in later.changed} == set(report.remaining)
    assert today.read_text() == ""
    assert not journal.exists()


def test_the_report_names_no_one(log):
    """The data of the audit record contain neither id nor address."""
    text = json.dumps(erasure.run(log, lead_ids=[ANA], today=TODAY).as_dict()).casefold()
    assert ANA not in text
    assert ADDRESS.casefold() not in text


def test_two_at_once_are_kept_apart(log):
    """While a janitor is running nothing is erased, and the message says so."""
    with (log / ".archive.lock").open("w") as other:
        assert try_lock(other.fileno())
        with pytest.raises(LogDirectoryError, match="another janitor"):
            erasure.run(log, lead_ids=[ANA], today=TODAY)

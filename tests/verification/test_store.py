"""The lead store's log, written by the real pipeline, verified against the real table."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import leadlog
from leadlog.core.errors import ReadError, StoreError, ValidationError
from leadlog.leads.store.models import Lead
from leadlog.reading.merged import read_merged
from leadlog.reading.replay import replay, rows_of
from leadlog.recording.pipeline.policy import finisher_of
from leadlog.recording.sinks.recover import recover
from leadlog.recording.sinks.report import ring_reports
from leadlog.verification import VerificationReport, verify

Verified = Callable[..., VerificationReport]
Execute = Callable[..., None]


@pytest.fixture
def db(url: str) -> Any:
    leadlog.configure()
    with leadlog.LeadDatabase(url) as store:
        yield store


def ana(db: Any, **more: Any) -> str:
    """Add the same lead again, optionally with new values."""
    lead_id: str = db.add_lead(
        {"name": "Ana Gómez", "company": "Acme", "email": "a@acme.com", **more}
    )
    return lead_id


def busy(db: Any) -> dict[str, str]:
    """Make calls of every kind that name their row; return the remaining ids by name."""
    first = ana(db)
    ana(db, title="CTO", Colour="red")
    ana(db)
    second = db.add_lead({"name": "Bo", "verified": "yes", "notes": "naïve — \u202e \x1b"})
    third = db.add_lead({"name": "Cy"})
    assert db.update_lead(first, {"title": "CEO", "website": "https://acme.com"})
    assert db.update_lead(first, {"title": ""})
    assert not db.update_lead("nobody", {"title": "CEO"})
    assert db.delete_lead(third)
    assert not db.delete_lead(third)
    with pytest.raises(ValidationError):
        db.update_lead(first, {"full_name": ""})
    with pytest.raises(ValidationError):
        db.add_lead({"company": "nameless"})
    with db.session() as session:
        session.get(Lead, second).title = "VP"
        session.flush()
        session.get(Lead, second).title = "SVP"
    with suppress(ZeroDivisionError), db.session() as session:
        session.get(Lead, second).title = "undone"
        session.delete(session.get(Lead, first))
        session.flush()
        raise ZeroDivisionError
    with db.session() as session:
        nested = session.begin_nested()
        session.get(Lead, second).title = "undone"
        session.flush()
        nested.rollback()
        session.get(Lead, second).phone = "+1 704 585 7792"
    return {"ana": first, "bo": second}


def test_what_the_store_did_is_what_the_log_tells(db: Any, verified: Verified) -> None:
    """Every value of every lead verifies, despite duplicates, failures and rolled-back attempts."""
    left = busy(db)
    report = verified()
    assert report.differences == []
    assert report.gaps == []
    assert report.rows_logged == report.rows_found == report.rows_equal == len(left)
    assert report.values_compared == len(left) * 20  # all columns but the key
    assert not report.values_unknown


def test_the_replay_gives_the_leads_as_the_store_gives_them(
    db: Any, verified: Verified, tmp_path: Path
) -> None:
    """The replayed leads equal those returned by the store, column by column."""
    busy(db)
    assert leadlog.flush()
    told = replay(event.data for event in read_merged(tmp_path / "database_logs"))
    rows = {row.pop("_key"): row for row in rows_of(told.tables["Lead"])}
    for lead in db.get_all_leads():
        for name, value in rows[lead["id"]].items():
            if name not in ("created_at", "updated_at"):
                assert lead[name] == value


def test_a_row_changed_behind_the_log_s_back_is_found(
    db: Any, verified: Verified, behind_the_back: Execute
) -> None:
    """A changed, a deleted and an added row are each one unexplained difference."""
    left = busy(db)
    behind_the_back("UPDATE leads SET title = 'Thief' WHERE id = :id", id=left["bo"])
    behind_the_back("UPDATE leads SET industry = 'Theft' WHERE id = :id", id=left["bo"])
    behind_the_back("DELETE FROM leads WHERE id = :id", id=left["ana"])
    behind_the_back(
        "INSERT INTO leads (id, full_name, created_at, updated_at) "
        "VALUES ('x', 'X', '2099-01-01 00:00:00.000000+00', '2099-01-01 00:00:00.000000+00')"
        if "postgresql" in str(db.url)
        else "INSERT INTO leads (id, full_name, created_at, updated_at) "
        "VALUES ('x', 'X', '2099-01-01 00:00:00.000000', '2099-01-01 00:00:00.000000')"
    )
    report = verified()
    found = {(one.key, one.what, one.column): one for one in report.differences}
    assert set(found) == {
        (left["bo"], "changed", "title"),
        (left["bo"], "changed", "industry"),
        (left["ana"], "missing", None),
        ("x", "extra", None),
    }
    title = found[left["bo"], "changed", "title"]
    assert (title.logged, title.found, title.cause) == ("SVP", "Thief", "unexplained")
    assert found[left["bo"], "changed", "industry"].cause == "never_logged"
    assert found[left["ana"], "missing", None].cause == "unexplained"
    assert found["x", "extra", None].cause == "unexplained"
    assert report.difference_count == 4


def test_a_change_in_between_is_noticed_by_the_next_logged_one(
    db: Any, verified: Verified, behind_the_back: Execute
) -> None:
    """An old value that differs from the last logged one reveals an unlogged change."""
    lead_id = ana(db, title="CTO")
    behind_the_back("UPDATE leads SET title = 'Thief', phone = '1' WHERE id = :id", id=lead_id)
    db.update_lead(lead_id, {"title": "CEO"})
    report = verified()
    (gap,) = report.gaps
    assert "something changed the title before" in gap
    (difference,) = report.differences
    assert (difference.column, difference.cause) == ("phone", "chain")
    assert difference.event_id in gap


def test_leads_added_many_at_once_are_there_with_unknown_columns(
    db: Any, verified: Verified, behind_the_back: Execute
) -> None:
    """For bulk-added leads the ids are logged; only later writes of values are compared."""
    result = db.add_leads([{"name": f"Lead {number}"} for number in range(5)])
    db.update_lead(result.ids[0], {"title": "CTO"})
    report = verified()
    assert report.differences == []
    assert report.rows_equal == 5
    assert set(report.values_unknown) == {"bulk"}
    behind_the_back("DELETE FROM leads WHERE id = :id", id=result.ids[1])
    behind_the_back("UPDATE leads SET title = 'Thief' WHERE id = :id", id=result.ids[0])
    assert {(one.key, one.what) for one in verified().differences} == {
        (result.ids[0], "changed"),
        (result.ids[1], "missing"),
    }


def test_more_leads_than_a_record_names_are_a_blind_spot_that_explains(
    db: Any, verified: Verified, logged: Callable[..., Any]
) -> None:
    """A row unknown to the log is explained by the bulk call that may have created it."""
    db.add_leads([{"name": f"Lead {number}"} for number in range(150)])
    (record,) = logged("database_operations")
    report = verified()
    assert report.rows_logged == len(record["lead_identifier"]["lead_ids"]) == 100
    assert report.causes == {"blind_spot": 50}
    assert {one.event_id for one in report.differences} == {record["event_id"]}
    assert "50 rows" in report.differences[0].explanation


def test_marked_leads_are_named_by_the_database(db: Any, verified: Verified) -> None:
    """The record of a mark lists the ids, even if the caller gave none."""
    lead_id = ana(db)
    ana(db, name="Bo Li", email="b@acme.com")
    assert db.mark_for_sync([lead_id]) == 1
    assert db.mark_for_sync([lead_id]) == 0
    assert db.mark_for_sync() == 1
    report = verified()
    assert report.differences == []
    assert report.gaps == []


def test_more_marked_leads_than_a_record_names_are_explained(
    db: Any, verified: Verified, behind_the_back: Execute
) -> None:
    """Leads beyond the listed ids may have the old or the new value."""
    ids = [ana(db, name=f"Lead {number}", email=f"{number}@acme.com") for number in range(101)]
    assert db.mark_for_sync() == 101
    report = verified()
    assert report.differences == []
    assert report.values_either > 0
    behind_the_back("UPDATE leads SET title = 'Thief' WHERE id = :id", id=ids[0])
    assert [one.column for one in verified().differences] == ["title"]


def test_threads_that_change_the_same_leads_leave_a_log_that_is_true(
    db: Any, verified: Verified
) -> None:
    """The log replays correctly, whatever the order in which concurrent calls end."""
    ids = [db.add_lead({"name": f"Lead {number}"}) for number in range(3)]

    def work(me: int) -> None:
        for step in range(25):
            db.update_lead(ids[step % 3], {"title": f"{me}.{step}"})
            if step == 20:
                db.delete_lead(ids[me % 3])

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verified()
    assert report.differences == []
    assert report.gaps == []


@pytest.mark.parametrize("policy", ["masked", "pseudonymised"])
def test_personal_data_that_are_not_in_the_log_are_not_compared(
    url: str, verified: Verified, policy: str
) -> None:
    """Masked values are counted as masked, and the others are compared."""
    leadlog.configure(pii=policy, pseudonym_key="pepper")
    with leadlog.LeadDatabase(url) as db:
        lead_id = ana(db, notes="call +1 704 585 7792")
        db.update_lead(lead_id, {"title": "CTO", "phone": "+1 704 585 7792"})
        db.update_lead(lead_id, {"title": "CEO", "phone": "+1 704 585 7793"})
    report = verified()
    assert report.differences == []
    assert report.gaps == []
    assert set(report.values_unknown) == {"masked"}
    assert report.values_unknown["masked"] >= 4


def test_a_value_that_was_cut_is_not_compared(db: Any, verified: Verified) -> None:
    """A note of 100 kB is truncated in the log; the other columns of that lead are compared."""
    ana(db, notes="x" * 100_000)
    report = verified()
    assert report.differences == []
    assert report.values_unknown["truncated"] >= 1
    assert report.values_compared >= 15


def test_a_log_that_begins_after_a_lead_was_made_says_so(
    url: str, verified: Verified, behind_the_back: Execute
) -> None:
    """Leads never mentioned are extra; for others, the logged values are compared."""
    leadlog.configure()
    with leadlog.LeadDatabase(url, capture=False) as silent:
        old = silent.add_lead({"name": "Old", "title": "CTO"})
        silent.add_lead({"name": "Older"})
    with leadlog.LeadDatabase(url) as db:
        ana(db)
        db.update_lead(old, {"title": "CEO"})
    report = verified()
    (difference,) = report.differences
    assert (difference.what, difference.cause) == ("extra", "before_log")
    assert report.values_unknown["before_log"] == 17
    assert any("begins after 1 of the rows" in gap for gap in report.gaps)
    behind_the_back("UPDATE leads SET title = 'Thief' WHERE id = :id", id=old)
    assert verified().causes == {"before_log": 1, "unexplained": 1}


def test_lines_that_were_dropped_or_damaged_explain_what_is_missing(
    url: str, verified: Verified, tmp_path: Path
) -> None:
    """Damaged lines explain missing rows, with the position of the first."""
    leadlog.configure()
    with leadlog.LeadDatabase(url) as db:
        ana(db)
        db.add_lead({"name": "Bo"})
    assert leadlog.flush()
    (path,) = (tmp_path / "database_logs" / "database_operations").glob("*.jsonl")
    whole = path.read_bytes()
    first, second = whole.splitlines(keepends=True)
    path.write_bytes(first + b"#" * (len(second) - 1) + b"\n")
    report = verified()
    path.write_bytes(whole)  # the shared fixture holds every line against the contract
    (difference,) = report.differences
    assert (difference.what, difference.cause) == ("extra", "damaged")
    assert f"{path} at byte {len(first)}" in difference.explanation
    assert any("damaged" in gap for gap in report.gaps)


def test_dropped_records_explain_what_is_missing(
    url: str, verified: Verified, tmp_path: Path
) -> None:
    """Records dropped while files cannot be written explain missing rows."""
    in_the_way = tmp_path / "database_logs" / "database_operations"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    leadlog.configure(ring_bytes=65536, overflow_bytes=0)
    with leadlog.LeadDatabase(url) as db:
        for number in range(80):
            db.add_lead({"name": f"Lead {number}", "notes": "x" * 2000})
    assert not leadlog.flush(0.3)
    in_the_way.unlink()
    assert leadlog.flush(10)
    report = verified()
    assert report.difference_count > 20
    assert set(report.causes) <= {"dropped", "lost"}
    assert any("dropped" in gap for gap in report.gaps) or report.causes["lost"]


def test_what_cannot_be_read_is_an_error_with_its_remedy(url: str, tmp_path: Path) -> None:
    """A missing database or table is an error, and no new file is created."""
    logs = tmp_path / "database_logs"
    logs.mkdir()
    with pytest.raises(ReadError, match="there is no database"):
        verify(logs, tmp_path / "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()
    with pytest.raises(StoreError, match="knows no database 'no'"):
        verify(logs, "no:///such")
    leadlog.LeadDatabase(url, capture=False).close()
    with pytest.raises(ReadError, match=r"no table is named like Customer; .* lead_key, .*leads"):
        verify(logs, url, entity="Customer")
    with pytest.raises(ReadError, match="there is no table 'nope'"):
        verify(logs, url, table="nope")
    report = verify(logs, url)
    assert (report.difference_count, report.rows_found) == (0, 0)


def test_records_that_sampling_left_out_explain_what_is_missing(
    url: str, verified: Verified
) -> None:
    """Sampling explains that about half of the leads are not in the log."""
    leadlog.configure(sampling={"add_lead": 0.5})
    with leadlog.LeadDatabase(url) as db:
        for number in range(40):
            db.add_lead({"name": f"Lead {number}"})
    report = verified()
    assert 0 < report.difference_count < 40
    # Leads from before the first record that was kept may as well be older than the log.
    assert set(report.causes) <= {"sampled", "before_log"}
    found = next(one for one in report.differences if one.cause == "sampled")
    assert "add_lead 0.5" in found.explanation
    assert any("sampling kept 0.5" in gap for gap in report.gaps)


def test_records_of_a_killed_process_that_wait_are_told_with_the_remedy(
    url: str, tmp_path: Path
) -> None:
    """Records still in a killed process's ring are reported with `leadlog recover`."""
    code = (
        "import os, signal, sys, leadlog\n"
        "leadlog.configure(poll_seconds=5)\n"
        "db = leadlog.LeadDatabase(sys.argv[1])\n"
        "db.add_lead({'name': 'Ana'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, url], check=False, cwd=tmp_path)
    logs = tmp_path / "database_logs"
    assert sum(ring.in_ring for ring in ring_reports(logs)) == 1
    (difference,) = verify(logs, url).differences
    assert difference.cause == "waiting"
    assert "leadlog recover" in difference.explanation
    recover(logs, finisher_of=finisher_of)
    assert verify(logs, url).differences == []

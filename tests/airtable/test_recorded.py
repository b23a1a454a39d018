"""The log records of a sync: one per run, one per change, one per failure."""

from __future__ import annotations

import pytest

import leadlog
from leadlog.core.errors import AirtableError
from leadlog.leads.store import LeadDatabase


def test_a_run_is_one_record_with_its_batches(connect, db, airtable, logged):
    """The record of a run has counts, calls, bytes and labels, and its batches."""
    db.add_leads({"name": f"Lead {n}"} for n in range(23))
    result = connect().sync_to_airtable()
    (record,) = logged("sync_operations")
    assert record["event_name"] == "sync.to_airtable"
    assert record["sync_details"]["sync_id"] == result.sync_id
    assert record["sync_details"]["total_leads"] == 23
    found = record["sync_results"]
    assert (found["leads_synced"], found["leads_created"], found["leads_failed"]) == (23, 23, 0)
    measured = record["performance_metrics"]
    assert measured["api_calls_made"] == measured["api_calls_minimum"] == airtable.counters.calls
    assert measured["bytes_sent"] == airtable.counters.bytes_received
    assert measured["bytes_received"] == airtable.counters.bytes_sent
    assert [batch["leads"] for batch in record["sync_batches"]] == [10, 10, 3]
    assert record["training_labels"]["batch_optimization"] == "optimal"
    assert record["training_labels"]["sync_successful"] is True


def test_each_changed_lead_is_one_record_of_the_same_session(connect, db, airtable, row_of, logged):
    """Leads changed by the sync are recorded like any other call on the store."""
    sync = connect(max_delete_share=1.0)
    kept, gone = db.add_leads([{"name": "Kept"}, {"name": "Gone"}]).ids
    sync.bidirectional_sync()
    airtable.edit(row_of(kept)["record_id"], {"Job Title": "CTO"})
    airtable.delete(row_of(gone)["record_id"])
    airtable.create({"Full Name": "New"})
    with leadlog.session(job="nightly") as session_id:
        sync.bidirectional_sync()
    changes = [
        record
        for record in logged("database_operations")
        if record["session_id"] == session_id
        and record["operation_details"]["operation_type"]
        in {"add_lead", "update_lead", "delete_lead"}
    ]
    told = {
        (one["operation_details"]["operation_type"], one["lead_identifier"]["name"]): one
        for one in changes
    }
    assert len(changes) == 3
    assert set(told) == {
        ("add_lead", "New"),
        ("update_lead", "Kept"),
        ("delete_lead", "Gone"),
    }
    changed = told["update_lead", "Kept"]["data_details"]["fields_changed"]
    assert changed["title"] == {"old": None, "new": "CTO"}
    assert all(one["operation_details"]["outcome"] == "committed" for one in changes)
    assert logged("sync_operations")[-1]["session_id"] == session_id


def test_each_failed_lead_is_one_error_with_its_recovery(connect, db, airtable, logged):
    """Each failed lead is one error, with its recovery and without data loss."""
    airtable.add_field("Stage", "singleSelect", choices=["open"])
    ids = db.add_leads({"name": f"Lead {n}", "status": "odd"} for n in range(2)).ids
    result = connect(fields={"status": "Stage"}).sync_to_airtable()
    errors = logged("error_logs")
    assert {one["context"]["lead_data"]["lead_id"] for one in errors} == set(ids)
    for one in errors:
        assert one["error_details"]["error_type"] == "sync_error"
        assert one["error_details"]["error_code"] == "INVALID_MULTIPLE_CHOICE_OPTIONS"
        assert one["context"]["operation_id"] == result.sync_id
        assert one["recovery_info"] == {
            "recovery_attempted": True,
            "recovery_successful": False,
            "recovery_method": "set aside until it changes, or `leadlog sync retry`",
            "data_loss_occurred": False,
        }
    (record,) = logged("sync_operations")
    assert record["sync_results"]["leads_failed"] == 2
    assert record["sync_results"]["success"] is True
    assert [one["sync_status"] for one in record["leads_summary"]] == ["failed", "failed"]


def test_a_conflict_is_logged_with_both_values(connect, db, airtable, row_of, logged):
    """A conflict is logged with both values before one is overwritten."""
    lead_id = db.add_lead({"name": "Ada", "title": "Old"})
    sync = connect()
    sync.bidirectional_sync()
    db.update_lead(lead_id, {"title": "Ours"})
    airtable.edit(row_of(lead_id)["record_id"], {"Job Title": "Theirs"})
    sync.bidirectional_sync()
    (record,) = logged("error_logs")
    assert (record["event_name"], record["level"]) == ("sync.conflict", "warning")
    title = record["context"]["conflict"]["fields"]["title"]
    assert (title["local"], title["remote"], title["winner"]) == ("Ours", "Theirs", "remote")
    assert (title["base_local"], title["base_remote"]) == ("Old", "Old")
    assert logged("sync_operations")[-1]["sync_results"]["conflicts_resolved"] == 1


def test_a_run_that_stops_says_why(connect, airtable, logged):
    """An aborted run has its record, and an error with the same id."""
    airtable.fail("quota", route="list")
    with pytest.raises(AirtableError):
        connect().bidirectional_sync()
    (record,) = logged("sync_operations")
    assert record["sync_results"]["success"] is False
    assert "monthly API calls" in record["sync_results"]["error_message"]
    assert record["sync_results"]["airtable_rate_limited"] is True
    (error,) = logged("error_logs")
    assert error["context"]["operation_id"] == record["sync_details"]["sync_id"]
    assert error["error_details"]["error_code"] == "PUBLIC_API_BILLING_LIMIT_EXCEEDED"


def test_the_log_still_is_what_the_store_is(connect, db, airtable, row_of, tmp_path):
    """Replaying the log after syncs in both directions yields the leads of the store."""
    sync = connect()
    ids = db.add_leads({"name": f"Lead {n}"} for n in range(5)).ids
    db.mark_for_sync()
    sync.bidirectional_sync()
    airtable.edit(row_of(ids[0])["record_id"], {"Job Title": "CTO", "Verified": True})
    airtable.create({"Full Name": "New", "Notes": "of the table"})
    db.mark_for_sync(ids[:2])
    sync.bidirectional_sync()
    leadlog.flush()
    from click.testing import CliRunner

    from leadlog.cli.root import root

    found = CliRunner().invoke(root, ["verify", "--database", str(db.url)])
    assert found.exit_code == 0, found.output


def test_a_store_that_records_nothing_can_be_synchronised(connect, airtable, tmp_path, logged):
    """The run is recorded even if the store has no capture."""
    with LeadDatabase(tmp_path / "quiet.db", capture=False) as quiet:
        quiet.add_lead({"name": "Ada"})
        connect(database=quiet).bidirectional_sync()
    assert not logged("database_operations")
    assert len(logged("sync_operations")) == 1

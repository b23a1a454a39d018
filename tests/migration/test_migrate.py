"""Migration of files: all formats, no loss, repetition, changes, and interruptions."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime

import pytest
import zstandard

from leadlog.core.errors import MigrationError, ReadError, ValidationError
from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase
from leadlog.testing import generate_leads
from tests.migration.conftest import items, stored

ADA = {"First Name": "Ada", "Last Name": "King", "Company": "Acme", "Email 1": "ada@acme.example"}
BOB = {"full_name": "Bob Ray", "company_name": "Beta", "Deal Stage": "New", "Index": 7}
CY = {"name": "Cy Young", "job_title": "CTO", "linkedin": "https://linkedin.com/in/cyyoung"}
LEADS = [ADA, BOB, CY]


def as_csv(leads):
    """Return the leads as CSV."""
    columns = list(dict.fromkeys(column for lead in leads for column in lead))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(leads)
    return out.getvalue()


ARRAY = json.dumps(LEADS)
LINES = "\n".join(map(json.dumps, LEADS))
FORMS = {
    "array.json": ARRAY,
    "leads.json": json.dumps({"exported": "today", "leads": LEADS, "count": 3}, indent=2),
    "lines.jsonl": LINES,
    "indented.json": "\n".join(json.dumps(lead, indent=2) for lead in LEADS),
    "bom.json": b"\xef\xbb\xbf" + ARRAY.encode(),
    "utf16.json": ARRAY.encode("utf-16"),
    "utf16-without-mark.json": ARRAY.encode("utf-16-le"),
    "utf32.json": ARRAY.encode("utf-32"),
    "leads.json.gz": gzip.compress(ARRAY.encode()),
    "two-members.jsonl.gz": gzip.compress(LINES[:90].encode()) + gzip.compress(LINES[90:].encode()),
    "leads.jsonl.zst": zstandard.compress(LINES.encode()),
    "misnamed.json": gzip.compress(ARRAY.encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_leads(sqlite, file, tmp_path, name):
    """An array, an object and lines, compressed or not, in any Unicode encoding, are equal."""
    with LeadDatabase(":memory:", capture=False) as other:
        for lead in LEADS:
            other.add_lead(lead)
        wanted = stored(other)
    result = MigrationManager(sqlite).migrate_json_files([file(FORMS[name], name)])
    assert (result.records, result.migrated, result.rejected) == (3, 3, 0)
    assert result.data_integrity_maintained is True
    assert stored(sqlite) == wanted


@pytest.mark.parametrize(("delimiter", "mark"), [(",", ""), (";", "\ufeff"), ("\t", "")])
def test_a_table_with_a_header_is_read_too(sqlite, file, delimiter, mark):
    """CSV of any delimiter with multi-line cells is read; rows with too many cells are rejected."""
    text = delimiter.join(["Name", "Email", "Notes"]) + "\r\n"
    text += delimiter.join(["Ada", "ada@acme.example", '"one\r\n""two"""']) + "\r\n\r\n"
    text += delimiter.join(["Bob", "b@b.example", "x", "too much"]) + "\r\n"
    text += delimiter.join(["Cy", "cy@b.example"])
    result = MigrationManager(sqlite).migrate_json_files([file(mark + text, "leads.csv")])
    assert (result.migrated, result.rejected) == (2, 1)
    assert "4 cells and the header 3" in result.rejects[0].reason
    assert (result.rejects[0].line, result.rejects[0].raw) == (5, text.split("\r\n")[4])
    notes = {lead["name"]: lead["notes"] for lead in sqlite.get_all_leads()}
    assert notes == {"Ada": 'one\r\n"two"', "Cy": None}


def test_aliases_unknown_fields_and_dates_are_kept(manager, db, file):
    """Known columns map to fields, others stay in raw_data, and original dates are kept."""
    at = "2020-01-02T03:04:05Z"
    manager.migrate_json_files([file([{**BOB, "created_at": at, "Pet": {"name": "Rex"}}])])
    (lead,) = db.get_all_leads()
    assert (lead["name"], lead["company"], lead["status"]) == ("Bob Ray", "Beta", "New")
    assert lead["raw_data"] == {"Index": 7, "Pet": {"name": "Rex"}}
    assert lead["created_at"] == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_lead_that_is_there_keeps_its_date_and_gains_what_is_new(manager, db, file):
    """A duplicate updates the lead, keeps id and created_at, and is counted as duplicate."""
    there = db.add_lead({"name": "Ada King", "email": "ada@acme.example"})
    before = db.get_lead(there)
    result = manager.migrate_json_files([file([{**ADA, "created_at": "2001-01-01"}])])
    assert (result.migrated, result.duplicates) == (0, 1)
    after = db.get_lead(there)
    assert (after["created_at"], after["company"]) == (before["created_at"], "Acme")
    assert [outcome for *_, outcome in items(db)] == ["duplicate"]


def test_the_same_file_twice_changes_nothing(manager, db, file, tmp_path):
    """A second run reads, skips and verifies, and makes no backup."""
    path = file([*generate_leads(60), {"company": "no name"}])
    first = manager.migrate_json_files([path], batch_size=7)
    assert first.migrated + first.duplicates + first.rejected == first.records == 61
    before = list(db.get_all_leads())
    second = manager.migrate_json_files([path])
    assert (second.skipped, second.migrated, second.duplicates, second.rejected) == (61, 0, 0, 0)
    assert second.data_integrity_maintained is True
    assert second.backup is None
    assert list(db.get_all_leads()) == before
    assert len(list((tmp_path / "backups").iterdir())) == 1


def test_a_changed_source_is_noticed(manager, db, file):
    """The new content of a changed file is migrated, with a note."""
    manager.migrate_json_files([file([ADA])])
    result = manager.migrate_json_files([file([ADA, BOB])])
    assert (result.migrated, result.duplicates) == (1, 1)
    assert any("has changed since migration" in note for note in result.notes)


def test_patterns_and_directories(sqlite, file, tmp_path):
    """A directory yields its *lead*.json, a pattern its matches, and a file counts once."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for number, name in enumerate(["a-Leads.json", "b-leads.jsonl", "other.json"]):
        (folder / name).write_text(json.dumps([{"name": f"Lead {number}"}]))
    manager = MigrationManager(sqlite)
    given = [folder, str(folder / "*-[lL]eads.json"), folder / "b-leads.jsonl"]
    result = manager.migrate_json_files(given)
    assert [source.path for source in result.sources] == [
        str(folder / "a-Leads.json"),
        str(folder / "b-leads.jsonl"),
    ]
    for nothing in (tmp_path / "none.json", str(tmp_path / "no*.json"), tmp_path / "backups"):
        (tmp_path / "backups").mkdir(exist_ok=True)
        with pytest.raises(ReadError, match=r"no file"):
            manager.migrate_json_files([nothing])


def test_rejects_are_mended_and_migrated(sqlite, file, tmp_path):
    """The rejects file has each record with its reason, and can itself be migrated."""
    db, manager = sqlite, MigrationManager(sqlite)
    text = json.dumps(LEADS)[:-1] + ', {"company": "Delta"}, {"name": "Eve", "x": }]'
    rejects = tmp_path / "rejects.jsonl"
    result = manager.migrate_json_files([file(text)], rejects=rejects)
    assert (result.migrated, result.rejected) == (3, 2)
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [line["ordinal"] for line in lines] == [3, 4]
    assert lines[0]["record"] == {"company": "Delta"}
    assert lines[1]["raw"] == '{"name": "Eve", "x": }'
    assert "needs a name" in lines[0]["reason"]
    again = manager.migrate_json_files([rejects])
    assert (again.migrated, again.rejected) == (0, 2)
    lines[0]["record"]["name"] = "Dan"
    lines[1]["raw"] = '{"name": "Eve", "x": 1}'
    rejects.write_text("\n".join(map(json.dumps, lines)))
    corrected = manager.migrate_json_files([rejects])
    assert (corrected.migrated, corrected.rejected) == (2, 0)
    names = {lead["name"]: lead["company"] for lead in db.get_all_leads()}
    assert (names["Dan"], names["Eve"]) == ("Delta", None)


def test_rejects_of_an_earlier_run_are_told_again(sqlite, file, tmp_path):
    """Running again with --rejects reports the rejects of the earlier run."""
    manager = MigrationManager(sqlite)
    path = file([ADA, "none", {"company": "x"}])
    first = tmp_path / "first.jsonl"
    manager.migrate_json_files([path], rejects=first)
    second = tmp_path / "second.jsonl"
    result = manager.migrate_json_files([path], rejects=second)
    assert result.rejected == 0
    assert second.read_text() == first.read_text()
    assert len(first.read_text().splitlines()) == 2


def test_an_interrupted_run_goes_on(manager, db, file, tmp_path):
    """An exception from `progress` ends the run between batches, and the next run resumes it."""

    def stop(progress):
        if progress.records >= 20:
            raise KeyboardInterrupt

    path = file(list(generate_leads(50)))
    with pytest.raises(KeyboardInterrupt):
        manager.migrate_json_files([path], batch_size=10, progress=stop)
    assert len(items(db)) == 20
    (run,) = manager.get_migration_status()["migrations"]
    assert (run["status"], run["sources"][0]["complete"]) == ("running", False)
    result = manager.migrate_json_files([path], batch_size=10)
    assert (result.migration_id, result.resumed) == (run["migration_id"], True)
    assert (result.skipped, result.records) == (20, 50)
    assert result.data_integrity_maintained is True
    (run,) = manager.get_migration_status()["migrations"]
    assert (run["status"], run["sources"][0]["complete"]) == ("completed", True)


def test_two_at_once_do_not_mix(manager, db, file, url, tmp_path):
    """A second process with the same file fails with a clear error, and nothing counts twice."""
    path = file(list(generate_leads(30)))
    with LeadDatabase(url, capture=False) as other:
        second = MigrationManager(other, backups=tmp_path / "others")

        def overtake(progress):
            if progress.step == "reading" and progress.records == 10:
                second.migrate_json_files([path], batch_size=10)

        with pytest.raises(MigrationError, match="migrated by another process"):
            manager.migrate_json_files([path], batch_size=10, progress=overtake)
    assert len(items(db)) == 30
    assert manager.migrate_json_files([path]).data_integrity_maintained is True


def test_a_dry_run_writes_nothing(sqlite, file, tmp_path):
    """A dry run reads and checks, and creates no leads, runs or backups."""
    manager = MigrationManager(sqlite, backups=tmp_path / "backups")
    result = manager.migrate_json_files([file([ADA, "none"])], dry_run=True)
    assert (result.records, result.migrated, result.rejected) == (2, 1, 1)
    assert (result.duplicates, result.data_integrity_maintained) == (None, None)
    assert sqlite.stats()["total_leads"] == 0
    assert manager.get_migration_status() == {"migrations": []}
    assert not (tmp_path / "backups").exists()


def test_encodings_are_told_given_and_reported(sqlite, file):
    """A non-UTF-8 byte rejects only its record; the encoding can be given."""
    text = '[{"name": "Jos\u00e9"}, {"name": "Zo\u00eb"}]'
    mixed = text.encode("latin-1").replace(b"Jos\xe9", "Jos\u00e9".encode())
    manager = MigrationManager(sqlite)
    result = manager.migrate_json_files([file(mixed, "mixed.json")])
    assert (result.migrated, result.rejected) == (1, 1)
    assert "0xeb is not UTF-8" in result.rejects[0].reason
    assert result.rejects[0].raw == '{"name": "Zo\u00eb"}'
    assert result.sources[0].encoding == "utf-8"
    latin = manager.migrate_json_files([file(text.encode("latin-1"))], encoding="latin-1")
    assert (latin.rejected, latin.sources[0].encoding) == (0, "iso8859-1")
    assert {lead["name"] for lead in sqlite.get_all_leads()} == {"Jos\u00e9", "Zo\u00eb"}
    with pytest.raises(MigrationError, match="no encoding 'latin-99'"):
        manager.migrate_json_files([file("[]", "x.json")], encoding="latin-99")


MESSY = {
    "truncated.json": json.dumps(LEADS)[:-20],
    "truncated.json.gz": gzip.compress(json.dumps([*generate_leads(900)]).encode())[:-700],
    "damaged.json.zst": zstandard.compress(json.dumps([*generate_leads(900)]).encode())[:-70],
    "deep.json": f"[{json.dumps(ADA)}, {'[' * 100_000}{']' * 100_000}]",
    "deep-raw.json": json.dumps([ADA, {"name": "Deep", "x": json.loads("[" * 300 + "]" * 300)}]),
    "duplicates.json": f'[{json.dumps(ADA)}, {{"name": "x", "name": "y"}}]',
    "surrogates.json": f'[{json.dumps(ADA)}, {{"name": "\\ud800"}}]',
    "nul.json": f'[{json.dumps(ADA)}, {{"name": "a\\u0000b"}}]',
    "numbers.json": f'[{json.dumps(ADA)}, {{"name": "n", "phone": {"7" * 5000}}}]',
    "infinite.json": f'[{json.dumps(ADA)}, {{"name": "n", "score": -Infinity}}]',
    "no-leads.json": f'[{json.dumps(ADA)}, 17, null, "text", [], true]',
    "large.json": f'[{json.dumps(ADA)}, {{"name": "{"x" * 5_000_000}"}}]',
    "long.json": f'[{json.dumps(ADA)}, {{"name": "{"x" * 600}"}}]',
    "not.json": b"\x89PNG\r\n\x1a\n\x00\x00" + bytes(range(256)) * 40,
}


@pytest.mark.parametrize("name", MESSY)
def test_a_messy_source_ends_with_clear_rejects(sqlite, file, tmp_path, name):
    """Valid records are migrated, others have a reason, and a second run agrees."""
    manager = MigrationManager(sqlite)
    path = file(MESSY[name], name)
    rejects = tmp_path / "rejects.jsonl"
    result = manager.migrate_json_files([path], rejects=rejects)
    assert result.rejected >= 1
    assert name == "not.json" or result.migrated >= 1
    assert result.migrated + result.duplicates + result.rejected == result.records
    assert result.data_integrity_maintained is True
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert len(lines) == result.rejected
    assert all(line["reason"] for line in lines)
    again = manager.migrate_json_files([path])
    assert (again.skipped, again.records) == (result.records, result.records)


def test_odd_values_that_json_has_are_kept(manager, db, file):
    """2**70 and NaN do not cause a rejection."""
    result = manager.migrate_json_files(
        [file(f'[{{"name": "a", "big": {2**70}, "phone": NaN}}]')],
    )
    assert result.migrated == 1
    (lead,) = db.get_all_leads()
    assert (lead["raw_data"], lead["phone"]) == ({"big": 2**70}, None)
    assert result.sources[0].notes == {"records with NaN, which is read as blank": 1}


def test_an_empty_source_says_so(sqlite, file):
    """A source without records is noted and is not an error."""
    result = MigrationManager(sqlite).migrate_json_files([file("", "empty-lead.json")])
    assert (result.records, result.data_integrity_maintained) == (0, True)
    assert result.sources[0].notes == {"sources without any record": 1}


def test_long_records_make_shorter_batches(sqlite, file):
    """The records held in memory are bounded by their length as well as by their number."""
    seen = []
    leads = [{"name": f"Lead {n}", "notes": "x" * 1_500_000} for n in range(9)]
    MigrationManager(sqlite).migrate_json_files(
        [file(leads)],
        batch_size=1000,
        progress=lambda progress: seen.append((progress.step, progress.records)),
    )
    assert [count for step, count in seen if step == "reading"] == [3, 6, 9]


@pytest.mark.parametrize("size", [0, "many", 2.5])
def test_a_wrong_batch_size_is_refused(sqlite, file, size):
    """An invalid batch size is refused with the valid range."""
    with pytest.raises(ValidationError, match="batch_size"):
        MigrationManager(sqlite).migrate_json_files([file([ADA])], batch_size=size)


def test_what_a_run_leaves_in_the_log(manager, file, logged):
    """The log has one record for the run, one per batch, and one error per reject up to a limit."""
    leads = [ADA, BOB, ADA, *({"company": str(number)} for number in range(130))]
    result = manager.migrate_json_files([file(leads)], batch_size=50)
    (run,) = logged("migration_operations")
    assert run["event_name"] == "migration.json_to_db"
    details, results, summary = (
        run[name] for name in ("migration_details", "migration_results", "data_summary")
    )
    assert details["migration_id"] == result.migration_id
    assert details["backup_created"] is True
    counted = {
        "total_records_processed": 133,
        "records_migrated": 2,
        "records_skipped": 0,
        "records_failed": 130,
        "duplicates_found": 1,
    }
    assert {name: results[name] for name in counted} == counted
    assert results["success"] is True
    assert results["execution_time_ms"] > 0
    (size,) = summary["source_file_sizes_mb"].values()
    assert size == result.sources[0].size_bytes / 1e6
    assert summary["data_quality_distribution"]["invalid"] == 130
    assert summary["field_completeness"]["full_name"] == 1.0
    assert summary["field_completeness"]["email"] == round(2 / 3, 4)
    assert (len(summary["validation_errors"]), summary["validation_error_count"]) == (20, 130)
    assert run["training_labels"]["data_integrity_maintained"] is True
    assert run["training_labels"]["error_handling_effective"] is True
    batches = [
        record
        for record in logged("database_operations")
        if record["operation_details"]["operation_type"] == "add_leads"
    ]
    assert [one["data_details"]["leads_rejected"] for one in batches] == [47, 50, 33]
    assert {one["operation_details"]["outcome"] for one in batches} == {"committed"}
    errors = logged("error_logs")
    assert len(errors) == 101
    assert "30 more records were rejected" in errors[-1]["error_details"]["error_message"]


def test_a_run_that_fails_is_recorded_as_such(manager, file, logged):
    """The record of a failed run has the error and the counts so far."""

    def stop(progress):
        if progress.step == "reading":
            raise RuntimeError("stopped by the caller")

    with pytest.raises(RuntimeError):
        manager.migrate_json_files([file(LEADS)], batch_size=2, progress=stop)
    (run,) = logged("migration_operations")
    assert run["migration_results"]["success"] is False
    assert run["migration_results"]["error_message"] == "stopped by the caller"
    assert run["migration_results"]["records_migrated"] == 2
    assert run["training_labels"]["data_integrity_maintained"] is None

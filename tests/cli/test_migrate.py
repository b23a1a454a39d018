"""`leadlog migrate`, as a user runs it."""

import json
import signal
import subprocess
import sys
import time

import pytest

LEADS = [{"name": "Ada King", "email": "ada@acme.example"}, {"name": "Bob Ray", "company": "Beta"}]


@pytest.fixture
def leads(tmp_path):
    """A file of two leads and one invalid record."""
    path = tmp_path / "leads.json"
    path.write_text(json.dumps([*LEADS, {"company": "x\x1b[2J"}]))
    return path


def test_files_are_migrated_and_summed_up(run, leads):
    """The result has a table by file, rate, verification and undo; a reject exits with 1."""
    result = run("migrate", str(leads), "--rejects", "rejects.jsonl")
    assert result.exit_code == 1
    header, row = (line.split() for line in result.stdout.splitlines()[:2])
    assert header[:4] == ["file", "records", "new", "duplicates"]
    assert row == [str(leads), "3", "2", "0", "1", "0", "utf-8"]
    assert "the store has what was read" in result.stdout
    assert "leadlog migrate rollback " in result.stdout
    assert "record 2: a lead needs a name" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""
    again = run("migrate", str(leads))
    assert again.exit_code == 0
    assert "nothing is written" in again.stdout


def test_the_result_as_json(run, leads):
    """--json has all of it on standard output."""
    found = json.loads(run("migrate", str(leads), "--json", "--no-backup", "--batch", "1").stdout)
    assert (found["migrated"], found["rejected"], found["backup"]) == (2, 1, None)
    assert found["data_integrity_maintained"] is True
    assert found["rejects"][0]["ordinal"] == 2


OUTLOOK = (
    '"Title","First Name","Last Name","Company","Department","Job Title","E-mail Address"\n'
    '"Ms.","Ida","Strand","Strandverk","Purchasing","Head of Purchasing","ida@x.example"\n'
    '"ring again in May"\n'
)


def test_a_preview_shows_columns_first_leads_and_rejects_and_writes_nothing(run, tmp_path):
    """A preview shows header, mapping, rows and rejects, and writes nothing."""
    path = tmp_path / "outlook.csv"
    path.write_text(OUTLOOK)
    result = run("migrate", str(path), "--preview")
    assert result.exit_code == 1
    columns = dict(line.split()[-2:] for line in result.stdout.splitlines() if "Job Title" in line)
    assert columns.get("Title") == "title"
    for text in (
        "Department      (raw_data)",
        "full_name: Ida Strand",
        "title: Head of Purchasing",
        "record 1, line 3: the row has 1 of 7 cells",
        "Nothing was written",
    ):
        assert text in result.stdout
    assert run("migrate", "status").exit_code != 0  # not even a store was made


def test_columns_are_mapped_by_hand(run, tmp_path):
    """--map takes precedence over known columns; columns without a field are listed."""
    path = tmp_path / "kunden.csv"
    path.write_text("Wer;Was;E-Mail\nIda Strand;Strandverk;ida@x.example\n")
    arguments = ["migrate", str(path), "--map", "Wer=name", "--json"]
    found = json.loads(run(*arguments).stdout)
    assert (found["migrated"], found["sources"][0]["not_mapped"]) == (1, ["Was"])
    assert found["sources"][0]["columns"] == {"Wer": "full_name", "E-Mail": "email"}
    for bad, message in (("Wer", "is not COLUMN=FIELD"), ("Wer=nam", "there is no field 'nam'")):
        refused = run("migrate", str(path), "--map", bad)
        assert refused.exit_code != 0
        assert message in refused.stderr


def test_what_is_no_table_is_one_line_and_exit_code_3(run, tmp_path):
    """No run is left open."""
    path = tmp_path / "leads.csv"
    path.write_bytes(b"PK\x03\x04" + bytes(40))
    result = run("migrate", str(path))
    assert (result.exit_code, result.stdout) == (3, "")
    assert len(result.stderr.splitlines()) == 1
    assert "is a workbook" in result.stderr
    assert json.loads(run("migrate", "status", "--json").stdout) == {"migrations": []}


def test_standard_input_and_a_dry_run(leads, tmp_path):
    """- is standard input; a dry run makes neither store nor log."""
    done = subprocess.run(
        [sys.executable, "-m", "leadlog", "migrate", "-", "--dry-run", "--json"],
        input=leads.read_bytes(),
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["migrated"], found["rejected"], found["duplicates"]) == (2, 1, None)
    assert found["sources"][0]["path"] == "-"
    assert {path.name for path in tmp_path.iterdir()} == {"leads.json"}


def test_csv_by_its_beginning_or_by_option(run, tmp_path):
    """A file is read as CSV because of its content or with --csv."""
    table = tmp_path / "table"
    table.write_text("Name,Email\nAda,ada@acme.example\n")
    assert run("migrate", str(table), "--dry-run").exit_code == 0
    named = table.rename(tmp_path / "table.json")
    assert run("migrate", str(named), "--dry-run").exit_code == 1
    result = run("migrate", str(named), "--csv", "--json")
    assert (result.exit_code, json.loads(result.stdout)["migrated"]) == (0, 1)


def test_what_was_migrated_is_listed_checked_and_undone(run, leads):
    """status, validate, backups and rollback name the same migration."""
    found = json.loads(run("migrate", str(leads), "--json").stdout)
    name = found["migration_id"]
    (run_,) = json.loads(run("migrate", "status", "--json").stdout)["migrations"]
    assert (run_["migration_id"], run_["status"]) == (name, "completed")
    assert name in run("migrate", "status").stdout
    assert name in run("migrate", "backups").stdout
    (backup,) = json.loads(run("migrate", "backups", "--json").stdout)["backups"]
    assert backup["migration_id"] == name
    assert "3 records, 3 accounted for" in run("migrate", "validate").stdout
    assert json.loads(run("migrate", "validate", name, "--json").stdout)["ok"] is True
    result = run("migrate", "rollback", name)
    assert (result.exit_code, "has 0 leads again" in result.stdout) == (0, True)
    again = run("migrate", "rollback", name)
    assert again.exit_code == 3
    assert "was rolled back at" in again.stderr
    assert json.loads(run("migrate", "rollback", name, "--force", "--json").stdout)["leads"] == 0
    assert run("migrate", "status").stdout == "No file was migrated into this store.\n"


def test_a_store_without_migrations(run):
    """A store without migrations has nothing to list or validate."""
    assert run("db", "init").exit_code == 0
    assert run("migrate", "backups").stdout == "No migration made a backup here.\n"
    result = run("migrate", "validate")
    assert result.exit_code == 3
    assert "no migration" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ([], 2, "FILE..."),
        (["none.json"], 3, "there is no file none.json"),
        (["leads.json", "--batch", "0"], 2, "--batch"),
        (["leads.json", "--rejects", "no/such/folder/x"], 3, "rejects cannot be written"),
        (["leads.json", "--encoding", "latin-99"], 3, "no encoding 'latin-99'"),
        (["rollback"], 2, "MIGRATION_ID"),
        (["status"], 3, "there is no lead store"),
    ],
)
def test_what_cannot_be_done_is_told(run, leads, arguments, exit_code, message):
    """A usage error exits with 2, an unreadable file with 3, and both name the remedy."""
    result = run("migrate", *arguments)
    assert result.exit_code == exit_code
    assert message in result.stderr


def test_a_lost_lead_is_found_by_validate(run, leads, tmp_path):
    """validate exits with 1 and names the record."""
    run("migrate", str(leads))
    from leadlog.leads.store import LeadDatabase

    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        (ada,) = db.search_leads({"name": "Ada King"})
        db.delete_lead(ada["id"])
    result = run("migrate", "validate")
    assert result.exit_code == 1
    assert "the lead of record 0 is not there" in result.stdout


@pytest.mark.timeout(180)
def test_ctrl_c_leaves_what_can_be_resumed(start, run, tmp_path):
    """An interrupt ends it between two batches with 130; the same command continues from there."""
    from leadlog.leads.store import LeadDatabase

    count = 30_000
    path = tmp_path / "leads.jsonl"
    with path.open("w") as stream:
        for number in range(count):
            stream.write(json.dumps({"name": f"Lead {number}", "email": f"l{number}@a.example"}))
            stream.write("\n")
    process = start("migrate", str(path), "--batch", "50", "--no-backup")
    database = tmp_path / "leads.db"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if database.exists() and database.with_name("leads.db-wal").exists():
            with LeadDatabase(database, capture=False) as db:
                if db.stats()["total_leads"]:
                    break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the same command continues from there" in told
    with LeadDatabase(database, capture=False) as db:
        done = db.stats()["total_leads"]
    assert 0 < done < count
    assert done % 50 == 0
    (status,) = json.loads(run("migrate", "status", "--json").stdout)["migrations"]
    assert (status["status"], status["sources"][0]["migrated"]) == ("running", done)

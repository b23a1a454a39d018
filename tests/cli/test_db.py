"""`leadlog db`: the store's own commands, on a real file and a real server."""

import json

import pytest

from leadlog.cli.db import COMMANDS
from leadlog.leads.store import LeadDatabase

pytestmark = pytest.mark.handmade_lines
JON = {"id": "jon", "name": "Jon Smith", "company": "Acme", "email": "jon.smith@acme.example"}
JOHN = {"id": "john", "name": "John Smith", "company": "Acme", "email": "john.smith@acme.example"}


@pytest.fixture
def filled(tmp_path):
    """leads.db here, with two leads that are much alike."""
    with LeadDatabase("leads.db", capture=False) as db:
        db.add_leads([JON, JOHN])
        db.add_lead({**JON, "title": "CTO"})


def answer(run, *arguments, code=0):
    result = run("db", *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_and_json(run, name):
    """Each help begins with the line of the list, shows examples and has --json."""
    result = run("db", name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"leadlog db {name}" in result.stdout
    assert "--json" in result.stdout


@pytest.mark.parametrize("name", ["stats", "check", "vacuum", "quality", "duplicates", "merges"])
def test_a_store_that_is_not_there_is_not_made_by_looking(run, tmp_path, name):
    """A wrong path is an error that says how to create a store, and creates none."""
    result = run("db", name, "--database", "sqlite:///nothing.db")
    assert result.exit_code == 3
    assert "there is no lead store" in result.stderr
    assert "leadlog db init" in result.stderr
    assert not (tmp_path / "nothing.db").exists()


def test_init_creates_the_store_once(run, tmp_path):
    """Twice is not an error, and the answer names the revision."""
    first = answer(run, "init", "--database", "sqlite:///new.db")
    assert first == answer(run, "init", "--database", "sqlite:///new.db")
    assert (tmp_path / "new.db").exists()
    result = run("db", "upgrade", "--database", "sqlite:///new.db")
    assert f"is of revision {first['revision']} already" in result.stdout


def test_a_postgresql_store_is_upgraded_when_one_says_so(run, postgres_database):
    """Opening names the command, and the command does it, in its text and as JSON."""
    from leadlog.leads.store.engine import Connections
    from leadlog.leads.store.location import location
    from tests.store.test_migrations import first_version

    connections = Connections(location(postgres_database))
    first_version(connections, leads=2)
    connections.close()
    result = run("db", "stats", "--database", postgres_database)
    assert result.exit_code == 3
    assert "leadlog db upgrade" in result.stderr
    assert answer(run, "upgrade", "--database", postgres_database)["before"] == "0001"
    assert answer(run, "stats", "--database", postgres_database)["total_leads"] == 2


def test_stats_shows_the_numbers(run, filled):
    """`stats` shows the numbers as text and as JSON."""
    assert answer(run, "stats")["total_leads"] == 2
    assert "total leads" in run("db", "stats").stdout


def test_check_exits_with_1_when_something_is_wrong(run, filled):
    """The remedy that it prints works."""
    assert run("db", "check").stdout.startswith("Nothing is wrong")
    with LeadDatabase("leads.db", capture=False) as db, db.session() as session:
        session.connection().exec_driver_sql("DELETE FROM lead_key")
    (finding,) = answer(run, "check", code=1)["findings"]
    assert finding["code"] == "missing_keys"
    assert "leadlog db check --repair" in run("db", "check").stdout
    assert answer(run, "check", "--repair")["findings"] == []


def test_a_backup_is_made_rotated_restored_and_recorded(run, filled, tmp_path, logged):
    """The whole way round; both leave a migration_operation in the log."""
    for _ in range(3):
        made = answer(run, "backup", "copies", "--keep", "2")
    assert made["leads"] == 2
    assert len(list((tmp_path / "copies").iterdir())) == 2
    assert "verified" in run("db", "backup", "one.db").stdout
    with LeadDatabase("leads.db", capture=False) as db:
        db.delete_lead("jon")
    refused = run("db", "restore", made["path"])
    assert refused.exit_code == 3
    assert "--replace" in refused.stderr
    assert answer(run, "restore", made["path"], "--replace")["leads"] == 2
    assert "has 2 leads now" in run("db", "restore", "one.db", "--replace").stdout
    records = logged("migration_operations")
    kinds = [record["migration_details"]["migration_type"] for record in records]
    assert kinds == ["backup_creation"] * 4 + ["rollback"] * 3
    success = [record["migration_results"]["success"] for record in records]
    assert success == [True] * 4 + [False, True, True]
    assert records[2]["migration_details"]["backup_location"] == made["path"]


def test_vacuum_says_what_it_gave_back(run, filled):
    """Sizes before and after."""
    found = answer(run, "vacuum")
    assert found["bytes_before"] > 0
    assert found["bytes_after"] > 0
    assert "MB before" in run("db", "vacuum").stdout


def test_quality_is_a_report(run, filled):
    """Fields, scores and the worst leads, in text and as JSON."""
    found = answer(run, "quality", "--worst", "1")
    assert (found["leads"], len(found["worst"])) == (2, 1)
    text = run("db", "quality").stdout
    assert all(word in text for word in ("Fields", "linkedin_missing 2", "Worst leads"))


def test_duplicates_are_suggested_with_reasons(run, filled):
    """Findings exit with 1; nothing is merged."""
    found = answer(run, "duplicates", code=1)
    (pair,) = found["pairs"]
    assert {pair["first"]["id"], pair["second"]["id"]} == {"jon", "john"}
    assert pair["score"] >= 0.85
    assert "same company" in run("db", "duplicates").stdout
    assert answer(run, "duplicates", "--min-score", "1")["found"] == 0
    assert answer(run, "stats")["total_leads"] == 2


def test_merges_are_shown_and_undone(run, filled):
    """The values that a duplicate overwrote are restored with the number in the list."""
    (merge,) = answer(run, "merges", "--lead", "jon")
    assert merge["new_values"] == {"title": "CTO"}
    assert "title" in run("db", "merges").stdout
    assert "restored title" in run("db", "merges", "--undo", str(merge["merge_id"])).stdout
    again = run("db", "merges", "--undo", str(merge["merge_id"]))
    assert (again.exit_code, again.stdout) == (1, "")
    with LeadDatabase("leads.db", capture=False) as db:
        assert db.get_lead("jon")["title"] is None


def test_stored_values_never_reach_a_terminal_raw(run, tmp_path):
    """A name with an escape sequence is spelled out in every report."""
    with LeadDatabase("leads.db", capture=False) as db:
        db.add_leads({"name": f"Jon\x1b[2J Smith{x}", "company": "Acme"} for x in ("", "e"))
    for name in ("quality", "duplicates"):
        text = run("db", name).stdout
        assert "\x1b" not in text
        assert "\\x1b[2J" in text

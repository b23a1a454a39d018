"""`leadlog demo`: the main job, end to end."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from leadlog import LeadDatabase
from leadlog.core.layout import CATEGORIES

OWN = [
    {"First Name": "Ana", "Last Name": "Gómez", "Company": "Acme", "Email 1": "ana@acme.example"},
    {"full_name": "Bo Li", "company_name": "Li & Co", "job_title": "CEO", "Index": "2"},
    {"company": "Nobody Ltd", "email": "nobody@nobody.example"},
    {"name": "ANA GÓMEZ", "company": "Acme", "email": "Ana@ACME.example"},
    "no lead at all",
    {"name": "", "company": "Blank Ltd"},
]


def own_file(tmp_path, rows=OWN):
    """A user's file of leads."""
    path = tmp_path / "my leads.json"
    path.write_text(json.dumps(rows, ensure_ascii=False))
    return path


def report(result):
    """Return the report that `--json` printed."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_main_job_on_defaults(run, tmp_path, jq):
    """Every call has one record, the store agrees, and jq reads every line."""
    found = report(run("demo", "--json"))
    assert found["disagreements"] == []
    assert found["checked"] is True
    assert found["leads"]["rows"] == 200
    assert (tmp_path / "leads.db").is_file()
    lines = 0
    for category in CATEGORIES:
        files = list((tmp_path / "database_logs" / category).glob("*.jsonl"))
        records = jq(".session_id", *files) if files else []
        lines += len(records)
        assert records.count(found["session_id"]) == found["log"]["events"][category]
    operations = tmp_path / "database_logs" / "database_operations"
    counted = jq(
        f'select(.session_id == "{found["session_id"]}") | .operation_details.operation_type',
        *operations.glob("*.jsonl"),
    )
    assert {kind: counted.count(kind) for kind in set(counted)} == found["calls"]
    assert lines >= sum(found["log"]["events"].values())
    with LeadDatabase("sqlite:///leads.db", capture=False) as store:
        assert store.stats()["total_leads"] == found["store"]["after"]
    assert found["store"]["after"] == found["log"]["created"] - found["log"]["deleted"]
    assert json.loads(run("doctor", "--json").stdout)["not_leadlog"] == []


def test_everything_is_exercised(run, tmp_path, jq):
    """All kinds of calls, a duplicate, both errors, a measurement, health and summary are there."""
    found = report(run("demo", "--count", "60", "--json"))
    kinds = {
        "add_lead",
        "get_lead",
        "update_lead",
        "search_leads",
        "delete_lead",
        "find_duplicates",
    }
    assert kinds | {"enrich_lead", "stats"} == set(found["calls"])
    log = tmp_path / "database_logs"
    operations = next((log / "database_operations").glob("*.jsonl"))
    assert jq("select(.operation_details.duplicate_detected) | .event_name", operations)
    errors = jq(
        "[.error_details.error_type, .context.operation_id]",
        next((log / "error_logs").glob("*.jsonl")),
    )
    assert {kind for kind, _ in errors} == {"validation_error", "database_error"}
    failed = jq(
        "select(.operation_details.success == false) | .operation_details.operation_id", operations
    )
    assert sorted(failed) == sorted(operation for _, operation in errors)
    measured = next((log / "performance_metrics").glob("*.jsonl"))
    assert jq(".operation_info.operation_name", measured) == ["demo.add_leads"]
    health = jq(".monitoring_info.monitoring_type", *(log / "monitoring_data").glob("*.jsonl"))
    assert "health_check" in health
    summary = json.loads((tmp_path / found["summary"]).read_text())
    assert summary["operation_summary"]["operations"]["add_lead"]["total"] == 63
    assert summary["error_summary"]["total_errors"] == len(errors)


def test_the_commands_to_try_work(run, tmp_path, monkeypatch):
    """Each jq command that is printed runs in a shell and shows something, odd paths included."""
    odd = tmp_path / "it's a (strange) $HOME"
    odd.mkdir()
    monkeypatch.chdir(odd)
    result = run("demo", "--count", "40", "--directory", "-my logs;")
    assert result.exit_code == 0, result.output
    commands = [line.strip() for line in result.stdout.splitlines() if line.startswith("  jq ")]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        assert done.stdout.strip(), command


def test_the_report_for_people(run):
    """The report shows the results, the earlier state, the locations, and a table by tier."""
    result = run("demo", "--count", "50")
    assert result.exit_code == 0, result.output
    for words in (
        "50 made-up leads",
        "(held 0 leads)",
        "(new)",
        "leads/s",
        "database_logs/<category>",
        "daily-summary-",
        "very_slow",
        "Calls, log and store agree",
    ):
        assert words in result.stdout
    again = run("demo", "--count", "50")
    assert "(was there)" in again.stdout
    assert "(held 0 leads)" not in again.stdout


def test_a_second_run_recognises_the_leads(run):
    """Leads that are there already are duplicates, and the counts still agree."""
    first = report(run("demo", "--json"))
    second = report(run("demo", "--json"))
    assert second["disagreements"] == []
    assert second["store"]["before"] == first["store"]["after"]
    assert second["log"]["created"] == first["log"]["deleted"]
    assert second["log"]["updated"] > first["log"]["updated"]


@pytest.mark.parametrize("form", [OWN, {"leads": OWN}])
def test_own_leads(run, tmp_path, form):
    """Common column names are mapped; rows that are not leads are reported, all others stored."""
    path = own_file(tmp_path, form)
    found = report(run("demo", "--leads", str(path), "--json"))
    assert found["leads"]["rows"] == 6
    assert [reject["row"] for reject in found["leads"]["first_rejected"]] == [3, 5, 6]
    assert "needs a name" in found["leads"]["first_rejected"][0]["reason"]
    assert found["log"]["operations"]["add_lead"]["records"] == 6 + 3
    with LeadDatabase("sqlite:///leads.db", capture=False) as store:
        leads = {lead["name"]: lead for lead in store.get_all_leads()}
    assert leads.keys() == {"Ana Gómez", "Bo Li"}
    assert leads["Ana Gómez"]["company"] == "Acme"
    assert leads["Bo Li"]["title"] == "CEO"
    assert leads["Bo Li"]["raw_data"] == {"Index": "2"}


def test_own_leads_are_not_changed_afterwards(run, tmp_path):
    """A user's leads are read only once they are in; a second run leaves them as they are."""
    path = own_file(tmp_path)
    run("demo", "--leads", str(path))
    with LeadDatabase("sqlite:///leads.db", capture=False) as store:
        before = list(store.get_all_leads())
    found = report(run("demo", "--leads", str(path), "--json"))
    with LeadDatabase("sqlite:///leads.db", capture=False) as store:
        assert list(store.get_all_leads()) == before
    assert found["log"]["created"] == found["log"]["deleted"] == 1


def test_an_empty_file_of_leads(run, tmp_path):
    """An empty array is not an error: everything else is still exercised."""
    found = report(run("demo", "--leads", str(own_file(tmp_path, [])), "--json"))
    assert found["leads"]["rows"] == 0
    assert found["disagreements"] == []


@pytest.mark.parametrize(
    ("content", "exit_code", "message"),
    [
        (None, 3, "No such file"),
        ("name,company\nAna,Acme\n", 2, "leadlog migrate leads.json --dry-run"),
        ('[{"name": "a"},\n{"name', 2, "line 2"),
    ],
)
def test_a_file_that_is_none_is_named_with_the_remedy(run, tmp_path, content, exit_code, message):
    """The job does not start, and the message names the file and the remedy."""
    path = tmp_path / "leads.json"
    if content is not None:
        path.write_text(content)
    result = run("demo", "--leads", str(path))
    assert result.exit_code == exit_code
    assert "leads.json" in result.stderr
    assert message in result.stderr
    assert not (tmp_path / "leads.db").exists()
    assert not (tmp_path / "database_logs").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--count", "0"], 2, "--count"),
        (["--leads", "x.json", "--count", "3"], 2, "leave it out"),
        (["--database", "mysql://localhost/x"], 3, "does not run on 'mysql'"),
        (["--database", "sqlite:////dev/null/leads.db"], 3, "/dev/null"),
    ],
)
def test_wrong_options(run, arguments, exit_code, message):
    """A bad option or a store that cannot be opened is one message, not a traceback."""
    result = run("demo", *arguments)
    assert result.exit_code == exit_code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_password_in_the_url_is_not_shown(run, tmp_path):
    """The error about an unreachable store does not contain its password."""
    url = "postgresql+psycopg://ana:sesame@127.0.0.1:1/leads"
    result = run("demo", "--database", url)
    assert result.exit_code == 3, result.output
    assert "sesame" not in result.output
    for path in (tmp_path / "database_logs").rglob("*.jsonl"):
        assert "sesame" not in path.read_text()


def test_events_left_out_on_purpose_are_no_disagreement(run, monkeypatch):
    """With sampling, calls and records are not compared, and that is said."""
    monkeypatch.setenv("LEADLOG_SAMPLING", '{"get_lead": 0.01}')
    result = run("demo", "--count", "100")
    assert result.exit_code == 0, result.output
    assert "were not compared" in result.stdout


def test_a_log_that_cannot_be_written_is_told(run, tmp_path):
    """The store's part is done all the same, and the command does not claim success."""
    (tmp_path / "database_logs").write_text("in the way")
    result = run("demo", "--count", "20")
    assert result.exit_code in {1, 3}
    assert "database_logs" in result.output
    with LeadDatabase("sqlite:///leads.db", capture=False) as store:
        assert store.stats()["total_leads"] > 10


def test_on_postgresql(run, postgres_database):
    """The job is the same on PostgreSQL."""
    found = report(run("demo", "--count", "40", "--database", postgres_database, "--json"))
    assert found["disagreements"] == []
    assert found["database"].startswith("postgresql+psycopg://")


def test_interrupted_the_store_and_the_log_agree(start, tmp_path, jq):
    """Ctrl-C in the middle ends quietly, and each lead that is stored has its record."""
    process = start("demo", "--count", "100000")
    log = tmp_path / "database_logs" / "database_operations"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(
        path.stat().st_size > 50_000 for path in log.glob("*.jsonl")
    ):
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"")
    created = jq(
        'select(.operation_details.outcome == "committed" '
        "and (.operation_details.duplicate_detected | not)) | .lead_identifier.lead_id",
        *log.glob("*.jsonl"),
    )
    with LeadDatabase("sqlite:///leads.db", capture=False) as store:
        stored = {lead["id"] for lead in store.get_all_leads()}
    assert stored == set(created)


def test_the_demo_ends_with_the_command_that_shows_its_log(run):
    """The dashboard's command is printed last; --dashboard serves it, but not with --json."""
    lines = run("demo", "--count", "5").stdout.splitlines()
    assert lines[-1].strip() == "leadlog dashboard --directory database_logs"
    refused = run("demo", "--dashboard", "--json")
    assert refused.exit_code == 2
    assert "--dashboard" in refused.stderr


def test_the_demo_opens_the_dashboard_on_its_log(tmp_path):
    """It serves until it is interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-m", "leadlog", "demo", "--count", "5", "--dashboard"],
        cwd=tmp_path,
        env={**os.environ, "BROWSER": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = [line for line in iter(process.stdout.readline, "") if _stop_at(line, process)]
    assert any(line.startswith("Dashboard of database_logs: http://127.0.0.1:") for line in told)


def _stop_at(line, process):
    if line.startswith("Dashboard of"):
        process.send_signal(signal.SIGINT)
    return True

"""The twenty questions of docs/how-to/query.md, asked in SQL and in jq."""

import json
import re
import subprocess
from typing import Any

import leadlog
from leadlog.leads.store.models import Lead
from leadlog.reading.analytics.engine import DuckDBEngine
from tests.docs.test_examples import ROOT

PAGE = (ROOT / "docs" / "how-to" / "query.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(
    r"### \d+\. ([^\n]+)\n\n```sql\n(.*?)```\n\n```console\n\$ (.*?)\n```", PAGE, re.DOTALL
)


def test_sql_and_jq_give_the_same_answers(jq: Any) -> None:
    """Every question has rows, and both ways the same ones, in the same order."""
    demo = ["leadlog", "demo", "--count", "60"]
    subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    with leadlog.configure(), leadlog.LeadDatabase("leads.db") as db:
        for size, ms in ((1, 900.0), (10, 100.0), (10, 120.5)):
            leadlog.log_database_event(
                "sync_operation",
                {},
                {"success": True, "leads_synced": 10, "execution_time_ms": ms},
                {"sync_type": "to_airtable", "sync_details": {"batch_size": size}},
            )
        lead_id = db.add_lead({"name": "Bo"})
        with db.session() as session:
            session.get_one(Lead, lead_id).title = "undone"
            session.flush()
            session.rollback()
        assert leadlog.flush()
    assert len(QUESTIONS) == 20
    with DuckDBEngine("database_logs") as engine:
        for question, sql, command in QUESTIONS:
            done = subprocess.run(
                ["sh", "-c", command], check=True, capture_output=True, encoding="utf-8"
            )
            by_jq = [json.loads(line) for line in done.stdout.splitlines()]
            assert engine.rows(sql) == by_jq, question
            assert by_jq, question

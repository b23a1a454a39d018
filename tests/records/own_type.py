"""Uses a log type of an application with every command; run with LEADLOG_LOG_TYPES.

Prints one JSON object with the output of each command.
"""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

import leadlog
from leadlog.cli import root
from leadlog.core.records import json_schema


def run(*arguments: str, code: int = 0) -> str:
    """Return the output of a command."""
    done = CliRunner().invoke(root, arguments, prog_name="leadlog")
    assert done.exit_code == code, (arguments, done.output, done.exception)
    return done.stdout


leadlog.configure()
log = leadlog.get_logger()
with leadlog.session(user="bo"):
    log.info(
        "contract.seen",
        log_type="audit_event",
        audit={"actor": "ana@acme.com", "token": "password=hunter2", "pages": 3, "late": 1},
    )
log.info("other")
leadlog.shutdown()
(file,) = Path("database_logs/audit_events").iterdir()
line = json.loads(file.read_text())
said = {
    "line": line,
    "tail": run("tail", "--category", "audit_events"),
    "show": run("show", line["event_id"], "--json"),
    "query": run("query", "SELECT actor, pages FROM audit_events WHERE pages > 2", "--json"),
    "summary": run("summary", "--json"),
    "doctor": run("doctor", "--json"),
    "schema": json_schema("audit_event"),
}
day = (datetime.now(UTC) - timedelta(days=9)).date().isoformat()
old = file.with_name(f"{day}.jsonl")
old.write_text(file.read_text().replace(line["timestamp"][:10], day))
long_ago = time.time() - 8 * 86_400
os.utime(old, (long_ago, long_ago))
said["erase"] = run("erase", "--email", "ana@acme.com", "--json", code=1)  # today's file is in use
said["erased"] = old.read_text() if old.exists() else ""
old.write_text(file.read_text().replace(line["timestamp"][:10], day))
os.utime(old, (long_ago, long_ago))
said["archive"] = run("archive", "--parquet-after-days", "8", "--json")
said["kept"] = [path.name for path in file.parent.iterdir()]
said["sealed"] = run("query", "SELECT actor, pages FROM audit_events", "--json")
print(json.dumps(said))

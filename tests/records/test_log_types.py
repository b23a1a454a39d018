"""An application's log type is one entry of one registry, and works everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog_processors.log_types import LOG_TYPES, own_log_types

HERE = Path(__file__).parent
RECORD = """
from typing import Literal

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import WithContext


class Audit(TypedDict):
    actor: ReadOnly[str | None]
    token: ReadOnly[str | None]
    pages: ReadOnly[int | None]


class AuditEvent(WithContext):
    log_type: ReadOnly[Literal["audit_event"]]
    audit: ReadOnly[Audit]
"""


@pytest.mark.handmade_lines
def test_a_log_type_of_ones_own_is_one_entry(tmp_path: Path) -> None:
    """It is written, masked, read, queried, summarised, archived, erased and described."""
    (tmp_path / "shop_records.py").write_text(RECORD)
    paths = [str(tmp_path), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, HERE / "own_type.py"],
        env={
            **os.environ,
            "LEADLOG_LOG_TYPES": "audit_event:audit_events:shop_records:AuditEvent",
            "PYTHONPATH": os.pathsep.join(paths),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    line = said["line"]
    assert line["audit"] == {
        "actor": "ana@acme.com",
        "token": "***",
        "pages": 3,
        "late": 1,
    }
    assert (line["log_type"], line["context"]) == ("audit_event", {"user": "bo"})
    assert json.loads(said["tail"])["event_id"] == line["event_id"]
    assert line["event_id"] in said["show"]
    assert json.loads(said["query"]) == [{"actor": "ana@acme.com", "pages": 3}]
    assert json.loads(said["summary"])["summary_info"]["events_read"] == 2
    categories = {one["category"]: one for one in json.loads(said["doctor"])["categories"]}
    assert categories["audit_events"]["events_today"] == 1
    assert said["schema"]["properties"]["audit"]["properties"].keys() >= {"actor", "pages"}
    assert "ana@acme.com" not in said["erased"], said["erase"]
    assert "audit_events" in said["archive"]
    assert said["kept"] == [f"{line['timestamp'][:10]}.jsonl"]
    assert json.loads(said["sealed"]) == [{"actor": "ana@acme.com", "pages": 3}] * 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("audit", "'audit' is not a log type; write name:folder:module:Type"),
        ("Audit:audits:m:A", "is not a log type"),
        ("audit:../audits:m:A", "is not a log type"),
        ("error_log:errs:m:A", "the name 'error_log' of"),
        ("audit:operations:m:A", "the name 'operations' of"),
        ("audit:archive:m:A", "the name 'archive' of"),
        ("a:b:m:A,c:b:m:A", "the name 'b' of"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(text: str, problem: str) -> None:
    """The error names the problem, and shows how to write an entry."""
    with pytest.raises(ValueError, match="LEADLOG_LOG_TYPES: ") as error:
        own_log_types(text)
    assert problem in str(error.value)


def test_every_shipped_type_says_all_there_is_to_say() -> None:
    """Names, folders and tables are unique, and records are where the entries say."""
    from leadlog.core.records import RECORDS

    for attribute in ("name", "category", "table"):
        assert len({getattr(one, attribute) for one in LOG_TYPES}) == len(LOG_TYPES)
    assert [record.__name__ for record in RECORDS.values()] == [
        one.record.rpartition(":")[2] for one in LOG_TYPES
    ]

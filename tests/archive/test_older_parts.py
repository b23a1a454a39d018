"""A part of an earlier version that lacks keys of current records."""

import json
import os
from pathlib import Path

import duckdb
import pytest

from leadlog.core.layout import log_files
from leadlog.reading import archive
from leadlog.reading.archive import Policy
from leadlog.reading.events import read_events
from leadlog.reading.history import history, pushdown_for
from leadlog.reading.merged import read_merged
from tests.bench.made_events import blank

pytestmark = pytest.mark.handmade_lines

DATE = "2026-11-01"


def sealed(root: Path) -> Path:
    """Return the part of a day on which a lead was created and changed."""
    path = root / "database_operations" / f"{DATE}.jsonl"
    path.parent.mkdir(parents=True)
    lines = []
    for number, kind in enumerate(("create", "update", "read")):
        event = blank("database_operation", number * 1_000_000, number, DATE)
        event["lead_identifier"]["lead_id"] = "lead-1" if number < 2 else "lead-2"
        event["operation_details"] |= {"operation_type": kind, "outcome": "committed"}
        lines.append(json.dumps(event, separators=(",", ":")) + "\n")
    path.write_text("".join(lines))
    os.utime(path, (1_793_534_400, 1_793_534_400))
    archive.run(root, Policy(0, parquet_after_days=1), today="2026-11-23")
    (file,) = log_files(root, ["database_operations"])
    assert file.path.suffix == ".parquet"
    return file.path


def test_days_that_an_earlier_version_sealed_are_read(tmp_path: Path) -> None:
    """Each line is restored, and the history of a row may query keys that the part lacks."""
    root = tmp_path / "logs"
    part = sealed(root)
    before = [event.data for event in read_events(part)]
    older = tmp_path / "older.parquet"
    keys = {
        "lead_identifier": ("lead_id", "name", "company", "email"),
        "operation_details": tuple(before[0]["operation_details"]),
    }
    packed = ", ".join(
        f"struct_pack({', '.join(f'{key} := {name}.{key}' for key in kept)}) AS {name}"
        for name, kept in keys.items()
    )
    read = f"read_parquet('{part}', hive_partitioning = false)"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE ({packed}) FROM {read}) TO '{older}' (FORMAT parquet)"
        )
    older.replace(part)
    assert [event.data for event in read_events(part)] == before
    events = read_merged(root, ("database_operations",), pushdown=pushdown_for("lead-1"))
    (row,) = history((event.data for event in events), "lead-1").rows
    assert [entry.operation for entry in row.entries] == ["create", "update"]

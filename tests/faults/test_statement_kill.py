"""SIGKILL right after a statement that no COMMIT follows: every row has a record."""

import json
from collections import defaultdict
from typing import Any

import pytest
import sqlalchemy as sa

from leadlog.core.layout import log_files
from leadlog.recording.pipeline.policy import finisher_of

LAST = ["committed", "committed", "unknown"]
"""Outcomes of the three statements; nobody received the answer to the last."""
AUTOCOMMIT: dict[str, dict[str, list[str]]] = {
    "flush": {"note.create": LAST},
    "many": {"note.create": ["committed"] * 80 + ["unknown"] * 40},
    "joined": {"memo.create": ["committed"] * 3},
    "linked": {"note.create": LAST, "links.create": LAST},
    "core": {"note.create": LAST},
    "text": {"note.create": LAST},
    "update": {"note.create": ["committed"] * 3, "note.update": LAST},
    "store": {"note.add": LAST},
}
ONE = {"note.create": LAST}
MODES = {
    "sqlite": {**AUTOCOMMIT, "with": ONE, "release": ONE, "typed": ONE},
    "postgresql": {**AUTOCOMMIT, "typed": ONE, "prepared": ONE, "phases": ONE},
}


@pytest.mark.parametrize("kind", MODES)
def test_killed_between_a_statement_and_its_record(
    log: Any, tmp_path: Any, kind: str, request: pytest.FixtureRequest
) -> None:
    """Each existing row has one record, which says that the outcome was not seen."""
    url = f"sqlite:///{tmp_path}/rows.sqlite"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_database")
    log.run("autocommit", url, *MODES[kind], timeout=120)
    assert log.recover(finisher_of=finisher_of).errors == []
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in log_files(log.path, ["database_operations"]):
        for line in file.path.read_bytes().splitlines():
            record = json.loads(line)
            assert b"hunter2" not in line
            details = record["operation_details"]
            if details["operation_type"] != "read":
                found[record["context"]["mode"]][record["event_name"]].append(details["outcome"])
    assert found == MODES[kind]
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.scalars(sa.text("SELECT id FROM notes")).all()
        if kind == "postgresql":
            for xid in connection.recover_twophase():  # left open by "prepared"
                connection.rollback_prepared(xid, recover=True)
    engine.dispose()
    there = {mode: sum(key.startswith(f"{mode}-") for key in rows) for mode in found}
    told = {mode: {"many": 120, "prepared": 2}.get(mode, 3) for mode in found}
    assert there == told, "the kill came after the rows were there"

"""Features of a run contain only what was known when the run began."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from leadlog.core.clock import format_us
from leadlog.training.check import check_dataset
from leadlog.training.dataset import write_dataset
from leadlog.training.documents import COLUMNS
from leadlog.training.examples import label_runs, make_features
from leadlog.training.features import FEATURES
from leadlog.training.runs import load_runs, runs_engine
from leadlog.training.targets import TARGETS, target_named
from tests.training import reference
from tests.training.made_log import record, runs, write

SAMPLE_RATE = 0.1
CUTS = 1_000 if os.environ.get("SOAK") else 60


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """A log with overlapping runs."""
    return write(tmp_path_factory.mktemp("overlapping") / "log", runs(2_000, seed=3))


def _rows(table: Any) -> list[dict[str, Any]]:
    return table.to_pylist()


def test_features_from_a_log_cut_at_their_beginning_are_those_of_the_whole_log(log):
    """Features of random runs are the same without later records; 1,000 runs in a soak."""
    target = target_named("failed")
    names = [one.name for one in FEATURES]
    with runs_engine(log) as engine:
        load_runs(engine)
        connection = engine.connection
        connection.execute("SET threads = 1")
        label_runs(connection, target)
        make_features(connection, target)
        whole = {
            row[0]: row[1:]
            for row in connection.execute(
                f"SELECT event_id, {', '.join(names)} FROM features"
            ).fetchall()
        }
        began = connection.execute(
            "SELECT event_id, started_us FROM labelled ORDER BY event_id"
        ).fetchall()
        connection.execute("ALTER TABLE runs RENAME TO all_runs")
        for event_id, started_us in random.Random(1).sample(began, CUTS):
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE runs AS SELECT * FROM all_runs "
                f"WHERE ended_us < {started_us} OR event_id = '{event_id}'"
            )
            label_runs(connection, target)
            make_features(
                connection, target, f"SELECT * FROM labelled WHERE event_id = '{event_id}'"
            )
            ((found, *values),) = connection.execute(
                f"SELECT event_id, {', '.join(names)} FROM features"
            ).fetchall()
            assert found == event_id
            assert tuple(values) == whole[event_id], event_id


def test_a_log_whose_lines_are_cut_gives_the_same_features(tmp_path):
    """Files truncated at the start of a run yield the same features as complete files."""
    records = list(runs(600, seed=4))
    whole = write(tmp_path / "whole", iter(records))
    target = target_named("failed")
    log = reference.read(records)
    with runs_engine(whole) as engine:
        load_runs(engine)
        label_runs(engine.connection, target)
        make_features(engine.connection, target)
        known = {
            row["event_id"]: row
            for row in engine.connection.sql("SELECT * FROM features").to_arrow_table().to_pylist()
        }
    for run in random.Random(2).sample(log, 12):
        kept = [one for one in records if one["timestamp"] < format_us(run.started)]
        own = [one for one in records if one["event_id"] == run.event_id]
        if not kept:
            continue
        cut = write(tmp_path / run.event_id, iter(kept + own))
        with runs_engine(cut) as engine:
            load_runs(engine)
            label_runs(engine.connection, target)
            make_features(
                engine.connection,
                target,
                f"SELECT * FROM labelled WHERE event_id = '{run.event_id}'",
            )
            (found,) = engine.connection.sql("SELECT * FROM features").to_arrow_table().to_pylist()
        assert found == known[run.event_id]


@pytest.mark.parametrize("rate", [None, 0.25])
def test_features_are_those_that_plain_python_finds(tmp_path, rate):
    """For over 1,000 runs, SQL and a plain loop over ended runs give the same features."""
    records = list(runs(1_100, seed=5))
    if rate is not None:
        chance = random.Random(9)
        for one in records:
            if chance.random() < 0.7:
                one["sample_rate"] = rate
    log = reference.read(records)
    target = target_named("failed")
    with runs_engine(write(tmp_path / "log", iter(records))) as engine:
        load_runs(engine)
        label_runs(engine.connection, target)
        make_features(engine.connection, target)
        found = {
            row["event_id"]: row
            for row in engine.connection.sql("SELECT * FROM features").to_arrow_table().to_pylist()
        }
    assert len(found) == len(log)
    for run in log:
        own = found[run.event_id]
        for name, value in reference.features(run, log).items():
            assert own[name] == (
                value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-9)
            ), (run, name)


def test_a_label_that_was_copied_into_extra_never_gets_in(tmp_path):
    """A label copied into `extra` does not change the data set."""
    plain = write(tmp_path / "plain", runs(1_500, seed=6))
    telling = write(tmp_path / "telling", runs(1_500, seed=6, label_in_extra=True))
    for name in ("plain", "telling"):
        write_dataset(tmp_path / name, tmp_path / f"{name}-data", "failed")
    assert '"extra"' in (telling / "database_operations" / "2026-09-01.jsonl").read_text()
    for one in sorted((plain.parent / "plain-data").iterdir()):
        assert one.read_bytes() == (tmp_path / "telling-data" / one.name).read_bytes(), one.name


def test_only_the_allow_list_is_in_the_files(tmp_path):
    """Every column is a feature of the target or one of the four other columns."""
    log = write(tmp_path / "log", runs(4_000, seed=13))
    for target in TARGETS:
        if target.name == "throttled":
            continue
        made = write_dataset(log, tmp_path / target.name, target.name)
        for part in ("train", "calibration", "test"):
            names = pq.read_schema(made.directory / f"{part}.parquet").names
            assert names == [*COLUMNS, *(one.name for one in target.features)]
            assert not {"sample_rate", "lead_id", "transaction_id", "records_affected"} & {*names}


def test_nothing_personal_is_in_what_is_written(tmp_path):
    """No file contains a lead, session or event id, or an operation named like a person."""
    records = list(runs(1_500, seed=7))
    for number, one in enumerate(records):
        if one["log_type"] == "database_operation" and number % 9 == 0:
            one["operation_details"]["operation_type"] = "ana@acme.example"
    made = write_dataset(write(tmp_path / "log", iter(records)), tmp_path / "data", "failed")
    content = b"".join(path.read_bytes() for path in sorted(made.directory.iterdir()))
    text = (
        content
        + repr(
            [pq.read_table(path).to_pylist() for path in sorted(made.directory.glob("*.parquet"))]
        ).encode()
    )
    for secret in (b"ana@acme", b"lead-1", b"s0000001", records[3]["event_id"].encode()):
        assert secret not in text
    assert "other" in set(pq.read_table(made.directory / "train.parquet")["operation"].to_pylist())


def test_parts_share_nothing_and_are_an_embargo_apart(tmp_path):
    """No session or lead spans two parts, and no run overlaps the next part."""
    records = list(runs(2_000, seed=8))
    operations = [one for one in records if one["log_type"] == "database_operation"]
    for one in operations[::150]:
        one["lead_identifier"]["lead_id"] = "everywhere"
    log = write(tmp_path / "log", iter(operations))
    made = write_dataset(log, tmp_path / "data", "failed")
    assert made.manifest["dropped"]["shared_groups"] >= 12 * 8
    tables = [
        pq.read_table(made.directory / f"{part}.parquet")
        for part in ("train", "calibration", "test")
    ]
    groups = [set(table["group"].to_pylist()) for table in tables]
    assert not groups[0] & groups[1]
    assert not groups[1] & groups[2]
    assert not groups[0] & groups[2]
    longest = max(one["operation_details"]["execution_time_ms"] for one in operations) / 1000
    assert made.manifest["embargo_s"] >= longest - 1e-6
    for earlier, later in itertools.pairwise(tables):
        gap = later["started_at"][0].as_py() - earlier["started_at"][-1].as_py()
        assert gap.total_seconds() >= longest
    # The test is left as the log has it: only earlier parts lose what they share.
    whole = write_dataset(log, tmp_path / "whole", "failed", groups=())
    assert whole.manifest["files"][2]["rows"] == made.manifest["files"][2]["rows"]


def test_a_sampled_log_has_the_rate_of_the_whole(tmp_path):
    """With one success in ten kept, the weighted failure rate is the true one."""
    chance = random.Random(11)
    whole = [
        one
        for one in runs(30_000, seed=11, session_length=5)
        if one["log_type"] == "database_operation"
    ]
    kept = []
    for one in whole:
        if not one["operation_details"]["success"]:
            kept.append(one)
        elif chance.random() < SAMPLE_RATE:
            kept.append({**one, "sample_rate": SAMPLE_RATE})
    true = sum(not one["operation_details"]["success"] for one in whole) / len(whole)
    made = write_dataset(write(tmp_path / "log", iter(kept)), tmp_path / "data", "failed")
    tables = [
        pq.read_table(made.directory / f"{part}.parquet")
        for part in ("train", "calibration", "test")
    ]
    labels, weights = (
        [x for table in tables for x in table[name].to_pylist()] for name in ("label", "weight")
    )
    estimated = sum(label * weight for label, weight in zip(labels, weights, strict=True)) / sum(
        weights
    )
    assert sum(labels) / len(labels) > 4 * true  # without weights it is far off
    # Three standard errors of a share that is estimated from that many kept successes.
    assert estimated == pytest.approx(
        true, abs=3 * true * (1 / sum(labels) + 9 / len(labels)) ** 0.5
    )


def test_users_errors_have_no_label(tmp_path):
    """A lead refused for its own data counts neither as a failure nor as a success."""
    records = [one for one in runs(1_500, seed=12) if one["log_type"] == "database_operation"]
    failed = [one for one in records if not one["operation_details"]["success"]]
    for one in failed[: len(failed) // 2]:
        error = record("error_log", 0, "9" + one["event_id"][1:], one["session_id"])
        error["timestamp"] = one["timestamp"]
        error["error_details"] |= {"error_type": "validation_error", "error_id": error["event_id"]}
        error["context"] |= {"operation_id": one["event_id"]}
        error["training_labels"]["user_error"] = True
        records.append(error)
    made = write_dataset(write(tmp_path / "log", iter(records)), tmp_path / "data", "failed")
    assert made.manifest["dropped"]["unlabelled"] == len(failed) // 2
    assert check_dataset(made.directory)["problems"] == []

"""`leadlog learn` publishes a model only if it beats the baselines; the scorer agrees with it."""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import leadlog
from leadlog.cli import root
from leadlog.core.clock import format_us, parse
from leadlog.core.errors import TrainingError
from leadlog.reading import erasure
from leadlog.training import evaluation as ev
from leadlog.training.check import read_manifest, read_part
from leadlog.training.dataset import write_dataset
from leadlog.training.examples import label_runs, make_features
from leadlog.training.history import RunHistory
from leadlog.training.learning import _Binary, _part, _trees, learn, train
from leadlog.training.model import adapted, compile_trees, load_model, widening
from leadlog.training.runs import load_runs, runs_engine
from leadlog.training.targets import target_named
from tests.training.made_log import OPERATIONS, START, operation, runs, write

PARTS = ("train", "calibration", "test")


def run(*arguments: object):
    """Run a command in this process."""
    return CliRunner().invoke(root, [str(one) for one in arguments], prog_name="leadlog")


def chance_of_failure(name: str, hour: float) -> float:
    """Return the planted rule: two operations fail in the afternoon, one at night."""
    if name in {"update_lead", "Deal.update"} and 12 <= hour < 20:
        return 0.6
    if name == "search_leads" and hour < 6:
        return 0.35
    return 0.04


def planted(count: int, seed: int):
    """Yield runs that fail by the planted rule."""
    chance = random.Random(seed)
    at = START
    for number in range(count):
        at += 1 + round(chance.expovariate(1 / 60_000_000))
        name = OPERATIONS[chance.randrange(len(OPERATIONS))]
        hour = (at // 1_000_000 % 86_400) / 3600
        yield operation(
            number,
            at,
            round(chance.lognormvariate(3, 0.5), 3),
            name,
            session=f"s{number // 10:07x}",
            failed=chance.random() < chance_of_failure(name, hour),
            lead=f"lead-{number}",
        )


@pytest.fixture(scope="module")
def signal(tmp_path_factory) -> Path:
    """A log in which failures follow the planted rule, with its data set."""
    folder = tmp_path_factory.mktemp("signal")
    log = write(folder / "log", planted(14_000, 31))
    write_dataset(log, folder / "data", "failed")
    return folder


@pytest.fixture(scope="module")
def learned(signal) -> Path:
    """The model of the planted rule, in the folder where other commands expect it."""
    folder = signal / "log" / "models" / "failed"
    assert learn(signal / "data", folder).published
    return folder


def test_a_planted_signal_is_found(signal, learned):
    """The PR-AUC reaches at least 95 % of the optimum, and the model is calibrated."""
    report = json.loads((learned / "report.json").read_text())
    test = pq.read_table(signal / "data" / "test.parquet")
    true = np.array(
        [
            chance_of_failure(name, hour)
            for name, hour in zip(
                test["operation"].to_pylist(), test["hour"].to_pylist(), strict=True
            )
        ]
    )
    label, weight = (test[name].to_numpy().astype(float) for name in ("label", "weight"))
    bayes = ev.pr_auc(label, true, weight)
    assert bayes > 0.4
    assert report["metrics"]["pr_auc"]["model"]["value"] >= 0.95 * bayes
    assert report["metrics"]["calibration_error"] <= 0.03
    assert report["metrics"]["pr_auc"]["constant"]["value"] == pytest.approx(label.mean())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shuffled_labels_give_no_model(signal, seed):
    """With shuffled labels no model is published, and the reasons are given."""
    manifest, version = read_manifest(signal / "data")
    chance = np.random.default_rng(seed)
    shuffled = {}
    for part in PARTS:
        table = read_part(signal / "data", part)
        label = chance.permutation(table["label"].to_numpy())
        shuffled[part] = table.set_column(
            table.schema.get_field_index("label"), "label", pa.array(label)
        )
    body, report = train(manifest, shuffled, version)
    assert body is None
    assert not report["published"]
    assert report["reasons"]


def test_no_model_is_an_exit_code_of_its_own(tmp_path):
    """Without a signal `leadlog learn` exits with 1, and writes a report but no model."""
    log = write(tmp_path / "log", runs(1_500, seed=32))
    write_dataset(log, tmp_path / "data", "failed")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")  # a model of an earlier run
    shown = run("learn", tmp_path / "data", "-o", tmp_path / "model")
    assert shown.exit_code == 1
    assert "no model: its" in shown.stdout
    assert not (tmp_path / "model" / "model.json").exists()
    page = (tmp_path / "model" / "report.html").read_text()
    assert "No model" in page
    assert "<script" not in page
    asked = run("predict", "add_lead", "--model", tmp_path / "model", "--directory", log, "--json")
    assert asked.exit_code == 1
    assert json.loads(asked.stdout) is None


def test_the_same_data_gives_the_same_model(signal, learned, tmp_path):
    """Training twice yields the same bytes, including the report."""
    shown = run("learn", signal / "data", "-o", tmp_path / "again", "--json")
    assert shown.exit_code == 0, shown.output
    for name in ("model.json", "report.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (learned / name).read_bytes()


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_scorer_says_what_lightgbm_says(signal, missing):
    """The scorer equals LightGBM for numbers, categories and missing values."""
    target = target_named("failed")
    manifest, _ = read_manifest(signal / "data")
    operations = [*manifest["operations"], "other"]
    chance = np.random.default_rng(5)
    parts = {}
    for part in PARTS:
        own = _part(read_part(signal / "data", part), target, operations)
        table = own.table.copy()
        holes = chance.random(table.shape) < missing
        holes[:, 0] = False
        table[holes] = np.nan
        parts[part] = own._replace(table=table)
    trainer = _Binary(target, parts)
    booster = trainer.fit({"objective": "binary", "num_leaves": 31}, lambda label: label)
    rows = np.vstack(
        [parts["test"].table[:500], np.full((1, parts["test"].table.shape[1]), np.nan)]
    )
    rows = np.vstack([rows, parts["test"].table[:1] * 1e6])
    score = compile_trees(_trees(booster))
    found = [score(row) for row in rows.tolist()]
    assert found == pytest.approx(list(booster.predict(rows, raw_score=True)), rel=1e-12, abs=1e-12)


def test_a_tampered_model_is_refused(learned, tmp_path):
    """A model with one changed leaf is refused by the function and the command."""
    document = json.loads((learned / "model.json").read_text())
    node = document["model"]["trees"]["label"][0]
    while "value" not in node:
        node = node["left"]
    node["value"] += 0.5
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document))
    with pytest.raises(TrainingError, match="was changed"):
        load_model(path)
    assert leadlog.predict("add_lead", model=path) is None


@pytest.mark.parametrize(
    "trees",
    [
        [{"feature": "0]; import os #", "threshold": 1.0, "nan_left": True}],
        [{"feature": 0, "threshold": "1.0 or print()", "nan_left": True, "left": {}, "right": {}}],
        [{"feature": 0, "threshold": math.nan, "nan_left": True, "left": {}, "right": {}}],
        [{"value": "__import__('os')"}],
    ],
)
def test_trees_are_numbers_and_nothing_else(trees):
    """Text in place of a number never becomes code."""
    with pytest.raises(TrainingError, match="damaged"):
        compile_trees(trees)


def test_without_a_model_the_answer_is_none(tmp_path, monkeypatch):
    """Without a model, or with a foreign file, the prediction is None, without an exception."""
    monkeypatch.chdir(tmp_path)
    assert leadlog.predict("add_lead") is None
    assert leadlog.predict("add_lead", model=tmp_path / "nothing") is None
    (tmp_path / "model.json").write_text("[1, 2")
    assert leadlog.predict("add_lead", model=tmp_path) is None


def test_a_model_that_appears_or_goes_is_noticed(learned, tmp_path):
    """A new model is used by the next call, and a removed one is no longer used."""
    assert leadlog.predict("update_lead", model=tmp_path) is None
    (tmp_path / "model.json").write_bytes((learned / "model.json").read_bytes())
    found = leadlog.predict("update_lead", model=tmp_path, at="2026-11-02T15:00:00.000000Z")
    assert found is not None
    assert found.target == "failed"
    (tmp_path / "model.json").unlink()
    assert leadlog.predict("update_lead", model=tmp_path) is None


def test_predictions_follow_the_rule(signal, learned):
    """Predictions follow the planted rule, and the command agrees with the function."""
    log = signal / "log"
    history = RunHistory.of_log(log, "failed")
    at = {
        name: format_us(START + 10 * 86_400_000_000 + hour * 3_600_000_000)
        for name, hour in (("noon", 15), ("evening", 22))
    }

    def say(name: str, when: str) -> float:
        found = leadlog.predict(name, model=learned, history=history, at=at[when])
        assert found is not None
        return found.value

    assert say("update_lead", "noon") > 0.4
    assert say("update_lead", "evening") < 0.1
    assert say("get_lead", "noon") < 0.1
    shown = run(
        *("predict", "update_lead", "--model", learned, "--at", at["noon"]),
        *("--directory", log, "--json"),
    )
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["value"] == pytest.approx(say("update_lead", "noon"), rel=1e-9)


def test_history_says_what_the_sql_says(tmp_path):
    """The in-memory history gives the same features as the SQL."""
    log = write(tmp_path / "log", runs(1_200, seed=33))
    target = target_named("failed")
    with runs_engine(log) as engine:
        load_runs(engine)
        label_runs(engine.connection, target)
        at = engine.connection.execute("SELECT max(ended_us) + 1000000 FROM runs").fetchall()[0][0]
        engine.connection.execute(
            "CREATE TEMP TABLE calls AS SELECT DISTINCT ON (operation) event_id, operation, "
            f"session_id, {at}::BIGINT AS started_us, NULL::DOUBLE AS items, "
            "NULL::DOUBLE AS megabytes FROM labelled ORDER BY operation, ended_us DESC"
        )
        make_features(engine.connection, target, "SELECT * FROM calls")
        rows = (
            engine.connection.sql(
                "SELECT f.*, c.session_id FROM features f JOIN calls c USING (event_id)"
            )
            .to_arrow_table()
            .to_pylist()
        )
    history = RunHistory.of_log(log, "failed")
    assert len(rows) == len(OPERATIONS) + 2
    for row in rows:
        found = history.features(row["operation"], at, row["session_id"])
        for name in (one.name for one in target.features[1:]):
            assert found.get(name) == (
                None if row[name] is None else pytest.approx(row[name], rel=1e-9)
            ), name


def test_bad_features_and_histories_are_told(learned):
    """A misspelt feature or a history of another target raises an error."""
    with pytest.raises(TrainingError, match="itmes"):
        leadlog.predict("add_lead", model=learned, itmes=3)
    with pytest.raises(TrainingError, match="history is of 'slow'"):
        leadlog.predict("add_lead", model=learned, history=RunHistory("slow"))


def test_an_erasure_makes_the_model_stale(tmp_path, learned, signal):
    """After an erasure from the log, its model is no longer used."""
    log = write(tmp_path / "log", planted(300, 34))
    folder = log / "models" / "failed"
    folder.mkdir(parents=True)
    (folder / "model.json").write_bytes((learned / "model.json").read_bytes())
    assert leadlog.predict("add_lead", model=folder) is not None
    assert erasure.run(log, lead_ids=["lead-17"], today="2026-10-20").changed
    assert leadlog.predict("add_lead", model=folder) is None
    shown = run("predict", "add_lead", "--model", folder, "--directory", log)
    assert shown.exit_code == 1
    assert "erased" in shown.stderr


def test_durations_have_intervals_that_hold(tmp_path):
    """Predictions grow with size, and nine in ten runs are within their interval."""
    log = write(tmp_path / "log", runs(9_000, seed=35))
    write_dataset(log, tmp_path / "data", "duration")
    outcome = learn(tmp_path / "data", tmp_path / "model")
    assert outcome.published, outcome.reasons
    assert outcome.report["metrics"]["coverage"] >= 0.85
    model = tmp_path / "model"
    small, large = (
        leadlog.predict("sync.to_airtable", model=model, items=items) for items in (50, 300)
    )
    assert small is not None
    assert large is not None
    assert small.low <= small.value <= small.high
    assert 700 < small.value < 1_400  # 20 ms for each
    assert 4_500 < large.value < 7_500
    assert large.low <= large.value <= large.high


def test_intervals_adapt_to_a_drift():
    """The coverage is kept although durations drift away from the calibration data."""
    chance = random.Random(36)
    scores = sorted(chance.gauss(-1, 1) for _ in range(500))
    drifting = [chance.gauss(-1 + number / 800, 1) for number in range(1_600)]
    fixed = statistics.fmean(one <= widening(scores, 0.9) for one in drifting)
    held, aim = adapted(scores, drifting, coverage=0.9)
    assert fixed < 0.8
    assert held > 0.86
    assert aim > 0.9


def test_a_changed_data_set_is_not_learned_from(signal, tmp_path):
    """A data set that contradicts its manifest is refused, with the remedy."""
    for path in sorted((signal / "data").iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "train.parquet").write_bytes((tmp_path / "test.parquet").read_bytes())
    shown = run("learn", tmp_path, "-o", tmp_path / "model")
    assert shown.exit_code == 2
    assert "train.parquet" in shown.stderr
    shown = run("learn", tmp_path / "nothing", "-o", tmp_path / "model")
    assert shown.exit_code == 2
    assert "is not a data set" in shown.stderr


def test_a_prediction_takes_microseconds(learned):
    """With many trees and a full history, the median time is far below a millisecond."""
    history = RunHistory("failed")
    for number in range(400):
        history.add("add_lead", format_us(START + number * 1_000_000), ms=3.0, label=0.0)
    at = format_us(START + 500_000_000)
    took = []
    for _ in range(300):
        began = time.perf_counter_ns()
        leadlog.predict("add_lead", model=learned, history=history, at=at)
        took.append(time.perf_counter_ns() - began)
    assert statistics.median(took) < 500_000


def test_pr_auc_is_the_average_precision():
    """PR-AUC equals a value computed by hand; ties count together."""
    one = np.ones(4)
    label = np.array([1.0, 0.0, 1.0, 0.0])
    assert ev.pr_auc(label, np.array([4.0, 3.0, 2.0, 1.0]), one) == pytest.approx(5 / 6)
    assert ev.pr_auc(label, np.zeros(4), one) == 0.5
    assert ev.pr_auc(label, np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 2.0, 1.0, 1.0])) == (
        pytest.approx(0.5 + 0.5 * 2 / 4)
    )
    assert parse(format_us(START)) == START

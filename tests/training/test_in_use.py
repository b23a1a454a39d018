"""Models and baselines in use: drift in `leadlog health`, expected durations, anomalies."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from leadlog.cli import root
from leadlog.core.clock import format_us
from leadlog.training.anomalies import anomalies
from leadlog.training.dataset import write_dataset
from leadlog.training.drift import days_of, model_checks, stability
from leadlog.training.features import SQL_VERSION
from leadlog.training.learning import learn
from leadlog.training.model import encode, load_model
from leadlog.training.targets import target_named
from tests.training.made_log import OPERATIONS, START, operation, write

DAY_US = 86_400_000_000


def run(*arguments: object):
    """Run a command in this process."""
    return CliRunner().invoke(root, [str(one) for one in arguments], prog_name="leadlog")


def changing(count: int, seed: int, *, first: int = 0, turned: bool = False, factor: float = 1.0):
    """Return runs of which one operation fails often by day; if turned, the others in turn."""
    chance = random.Random(seed)
    for number in range(first, first + count):
        name = OPERATIONS[chance.randrange(len(OPERATIONS))]
        by_day = 8 <= (START // 1_000_000 + number * 60) % 86_400 / 3600 < 20
        often = name == "Deal.update" and by_day
        if turned:
            often = name != "Deal.update" and number // 40 % 2 == 1
        yield operation(
            number,
            START + number * 60_000_000,
            round(chance.lognormvariate(3, 0.5) * factor, 3),
            name,
            session=f"s{number // 10:07x}",
            failed=chance.random() < (0.7 if often else 0.03),
            lead=f"lead-{number}",
        )


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Path:
    """A log with a model of its failures."""
    folder = tmp_path_factory.mktemp("watched")
    log = write(folder / "log", changing(5_000, 60))
    write_dataset(log, folder / "data", "failed")
    assert learn(folder / "data", log / "models" / "failed").published
    return log


def after(tmp_path: Path, watched: Path, records: list) -> tuple[Path, int]:
    """Return the log extended by more runs, with its model, and the time after them."""
    log = write(tmp_path / "log", iter([*changing(5_000, 60), *records]))
    model = log / "models" / "failed"
    model.mkdir(parents=True)
    (model / "model.json").write_bytes((watched / "models" / "failed" / "model.json").read_bytes())
    return log, START + 7_000 * 60_000_000


def test_a_model_that_still_fits_is_ok(watched, tmp_path):
    """Days like the training data yield scores like those on the test part."""
    log, now = after(tmp_path, watched, list(changing(2_000, 61, first=5_000)))
    (check,) = model_checks(log, now=now)
    assert (check.name, check.state) == ("model_failed", "ok")
    days = days_of(log, load_model(log / "models" / "failed"), now=now)
    assert len(days) >= 2
    assert all(day["brier"] < day["brier_constant"] for day in days)


def test_a_model_that_fits_no_more_is_a_warning(watched, tmp_path):
    """If other operations begin to fail, the realised Brier score causes a warning."""
    log, now = after(tmp_path, watched, list(changing(2_000, 62, first=5_000, turned=True)))
    (check,) = model_checks(log, now=now)
    assert check.state == "warning"
    assert check.unit == "Brier score"
    assert "leadlog learn" in (check.remedy or "")


def test_features_that_moved_are_a_warning(watched, tmp_path):
    """Tenfold durations shift the features and cause a warning, even with good predictions."""
    log, now = after(tmp_path, watched, list(changing(2_000, 63, first=5_000, factor=10)))
    (check,) = model_checks(log, now=now)
    assert check.state == "warning"
    assert check.unit == "PSI"
    assert "moved on" in check.message


def test_health_has_the_check_where_a_model_stands(watched, tmp_path, monkeypatch):
    """`leadlog health --only models` agrees with the function and refuses a changed model."""
    shown = run("health", "--only", "models", "--directory", watched, "--json", "--timeout", "60")
    found = {one["name"]: one for one in json.loads(shown.stdout)["checks"]}
    assert found["model_failed"]["state"] == "unknown"  # nothing has run since
    log, _ = after(tmp_path, watched, [])
    path = log / "models" / "failed" / "model.json"
    path.write_text(path.read_text().replace('"value":', '"value": ', 1).replace("0.", "1.", 1))
    shown = run("health", "--only", "models", "--directory", log, "--timeout", "60")
    assert shown.exit_code == 1
    assert "was changed" in shown.stdout
    empty = run("health", "--only", "models", "--directory", tmp_path / "none")
    assert empty.exit_code == 2


def test_stability_is_zero_for_the_same_and_large_for_others():
    """The index of the training data is near 0, that of shifted data above 0.25."""
    chance = np.random.default_rng(1)
    values = chance.normal(size=20_000)
    reference = {
        "edges": np.quantile(values, np.arange(1, 10) / 10).tolist(),
        "shares": [0.1] * 10,
    }
    assert stability(reference, chance.normal(size=2_000).tolist()) < 0.02
    assert stability(reference, chance.normal(1.0, size=2_000).tolist()) > 0.25
    assert stability(reference, [5.0] * 10) == 0.0


def duration_model(path: Path, ms: float) -> None:
    """Write a model that predicts the same duration for every run, and at most twice that."""
    target = target_named("duration")
    path.mkdir(parents=True)
    leaf = lambda value: [{"value": math.log(value)}]  # noqa: E731
    body = {
        "target": {"name": "duration", "version": target.version, "objective_ms": None},
        "sql_version": SQL_VERSION,
        "erasures": [],
        "operations": ["other"],
        "trees": {"low": leaf(ms / 2), "middle": leaf(ms), "high": leaf(ms * 2)},
        "scores": [0.0] * 20,
    }
    (path / "model.json").write_bytes(encode(body))


def test_a_migration_says_how_long_it_is_expected_to_take(tmp_path, monkeypatch):
    """A migration shows its expected duration with an interval if there is a model."""
    monkeypatch.chdir(tmp_path)
    Path("leads.json").write_text(json.dumps([{"name": "Ana", "email": "ana@acme.example"}]))
    shown = run("migrate", "leads.json")
    assert shown.exit_code == 0, shown.output
    assert "expected to take" not in shown.stderr
    duration_model(Path("database_logs/models/duration"), 90_000.0)
    Path("more.json").write_text(json.dumps([{"name": "Bo", "email": "bo@acme.example"}]))
    shown = run("migrate", "more.json")
    assert shown.exit_code == 0, shown.output
    assert "expected to take 1.5 min, with 90 % between 45.0 s and 3.0 min" in shown.stderr


def slow_ones(seed: int = 70):
    """Return five weeks of runs, longer at night, and the numbers of planted anomalies."""
    chance = random.Random(seed)
    made = []
    for day in range(20):
        for number in range(120):
            at = START + day * DAY_US + number * DAY_US // 120
            hour = at // 3_600_000_000 % 24
            ms = chance.lognormvariate(5 if hour < 3 else 2, 0.3)
            made.append([at, ms])
    unusual = {2_000, 2_222, 2_305}
    for number in unusual:
        made[number][1] = 150.0  # as long as any run at night, but by day
    return [
        operation(number, at, round(ms, 3), "get_lead", session=f"s{number // 9:07x}")
        for number, (at, ms) in enumerate(made)
    ], {f"{number:030x}" for number in unusual}


def test_runs_that_are_unusual_for_their_hour_are_found(tmp_path):
    """A duration usual at night is an anomaly by day; nothing else is reported."""
    records, unusual = slow_ones()
    log = write(tmp_path / "log", iter(records))
    found = anomalies(
        log, since=format_us(START + 15 * DAY_US), until=format_us(START + 20 * DAY_US)
    )
    assert {one["event_id"] for one in found} == unusual
    for one in found:
        assert one["score"] > 6
        assert one["ms"] > one["limit_ms"] > one["median_ms"]
        assert one["by_hour"]
        at = one["started_at"]
        same = [
            record["operation_details"]["execution_time_ms"]
            for record in records
            if record["operation_details"]["started_at"][11:13] == at[11:13]
            and record["timestamp"][:10] < at[:10]
        ]
        assert one["known"] == len(same)
        assert one["median_ms"] == pytest.approx(statistics.median(same), rel=0.01)
    shown = run(
        "anomalies", "--since", "2026-09-16", "--until", "2026-09-21", "--directory", log, "--json"
    )
    assert {one["event_id"] for one in json.loads(shown.stdout)} == unusual


def test_anomalies_see_nothing_that_came_later(tmp_path):
    """A day's anomalies do not change when later runs are added."""
    records, _ = slow_ones(71)
    window = {"since": format_us(START + 16 * DAY_US), "until": format_us(START + 17 * DAY_US)}
    whole = anomalies(write(tmp_path / "whole", iter(records)), limit=2.0, **window)
    cut = [one for one in records if one["timestamp"] < window["until"]]
    assert whole
    assert anomalies(write(tmp_path / "cut", iter(cut)), limit=2.0, **window) == whole

"""`leadlog dataset`: reproducible bytes, interoperability, checks and staleness."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from leadlog.cli import root
from leadlog.core.errors import TrainingError
from leadlog.reading import archive, erasure
from leadlog.training.check import check_dataset
from leadlog.training.dataset import write_dataset
from tests.training.made_log import runs, write

PARTS = ("train", "calibration", "test")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """A log of five days."""
    return write(tmp_path_factory.mktemp("days") / "log", runs(5_000, seed=20, step_us=100_000_000))


def run(*arguments: object):
    """Run a command in this process."""
    return CliRunner().invoke(root, [str(one) for one in arguments], prog_name="leadlog")


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


@pytest.mark.parametrize("target", ["slow", "failed", "duration"])
def test_the_same_log_gives_the_same_bytes(log, tmp_path, target):
    """Two runs write the same files, compared by hash."""
    one, two = (write_dataset(log, tmp_path / name, target) for name in ("one", "two"))
    assert _hashes(one.directory) == _hashes(two.directory)
    assert one.version == two.version == _hashes(one.directory)["manifest.json"]


def test_another_form_of_the_log_gives_the_same_bytes(tmp_path):
    """Compressed and sealed days yield the same data set as plain lines."""
    records = list(runs(1_200, seed=21, step_us=100_000_000))
    log = write(tmp_path / "log", iter(records))
    before = write_dataset(log, tmp_path / "data", "failed")
    hashes = _hashes(before.directory)
    policy = archive.Policy(compress_after_days=1, parquet_after_days=29)
    archive.run(log, policy, today="2026-10-01")
    assert list(log.rglob("*.jsonl.zst"))
    assert list(log.rglob("*.parquet"))
    assert not list((log / "database_operations").glob("*.jsonl"))
    write_dataset(log, tmp_path / "data", "failed")
    assert _hashes(before.directory) == hashes


def test_other_programs_load_it(log, tmp_path):
    """pandas and pyarrow read the parts, and the manifest, card and Croissant file agree."""
    made = write_dataset(log, tmp_path / "data", "slow")
    croissant = json.loads((made.directory / "croissant.json").read_text())
    named = {one["@id"]: one["sha256"] for one in croissant["distribution"]}
    for one in made.manifest["files"]:
        frame = pd.read_parquet(made.directory / one["name"])
        assert len(frame) == one["rows"]
        assert frame["started_at"].is_monotonic_increasing
        assert set(frame["label"]) == {0, 1}
        assert named[one["name"]] == one["sha256"]
        columns = {
            field["source"]["extract"]["column"]
            for record_set in croissant["recordSet"]
            if record_set["@id"] == one["part"]
            for field in record_set["field"]
        }
        assert columns == set(frame.columns)
    card = (made.directory / "README.md").read_text()
    assert card.startswith("---\n")
    assert all(f"path: {part}.parquet" in card for part in PARTS)


def test_the_command_writes_and_checks(log, tmp_path):
    """`leadlog dataset` writes a data set, and `leadlog dataset check` finds no problem."""
    made = run("dataset", "-o", tmp_path / "data", "--directory", log, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["target"]["name"] == "slow"
    shown = run("dataset", "check", tmp_path / "data", "--directory", log)
    assert shown.exit_code == 0, shown.output
    assert json.loads(made.stdout)["version"][:16] in shown.stdout


def test_a_window_holds_only_what_is_in_it(log, tmp_path):
    """--from and --to limit the examples; features still use earlier runs."""
    made = write_dataset(
        log,
        tmp_path / "data",
        "failed",
        since="2026-09-02T00:00:00.000000Z",
        until="2026-09-04T00:00:00.000000Z",
    )
    train = pq.read_table(made.directory / "train.parquet")
    assert made.manifest["bounds"]["first"] >= "2026-09-02"
    assert made.manifest["bounds"]["last"] < "2026-09-04"
    assert train["operation_mean_ms_200"].null_count == 0


def test_changed_files_are_found(log, tmp_path):
    """A file that differs from the manifest is reported by name."""
    made = write_dataset(log, tmp_path / "data", "failed")
    path = made.directory / "test.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    shown = run("dataset", "check", made.directory, "--directory", log, "--json")
    assert shown.exit_code == 1
    assert any("test.parquet" in text for text in json.loads(shown.stdout)["problems"])


def test_a_column_that_is_not_allowed_is_found(log, tmp_path):
    """An added column is reported even if the hashes were adapted."""
    made = write_dataset(log, tmp_path / "data", "failed")
    path = made.directory / "train.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("answer", table["label"]), path)
    manifest = json.loads((made.directory / "manifest.json").read_text())
    manifest["files"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (made.directory / "manifest.json").write_text(json.dumps(manifest))
    (problem,) = check_dataset(made.directory)["problems"]
    assert "answer" in problem


def test_an_erasure_makes_it_stale(tmp_path):
    """After an erasure from the log an existing data set is stale, and a new one is not."""
    log = write(tmp_path / "log", runs(1_500, seed=22, step_us=100_000_000))
    made = write_dataset(log, tmp_path / "data", "failed")
    assert check_dataset(made.directory, log)["stale"] == []
    report = erasure.run(log, lead_ids=["lead-17"], today="2026-10-20")
    assert report.changed
    assert not report.remaining
    stale = check_dataset(made.directory, log)["stale"]
    assert any("erased" in text for text in stale)
    assert run("dataset", "check", made.directory, "--directory", log).exit_code == 1
    again = write_dataset(log, tmp_path / "data", "failed")
    assert check_dataset(again.directory, log)["stale"] == []
    assert len(again.manifest["erasures"]) == 1


def test_a_log_that_grew_does_not_make_it_stale(tmp_path):
    """New days do not make a data set stale; changed days do."""
    records = list(runs(2_000, seed=23, step_us=100_000_000))
    log = write(tmp_path / "log", iter(records[:1_500]))
    made = write_dataset(log, tmp_path / "data", "failed")
    write(log, iter(records))
    assert check_dataset(made.directory, log)["stale"] == []
    for one in records[:20]:
        one["session_id"] = "changed0"
    write(log, iter(records))
    assert any("2026-09-01" in text for text in check_dataset(made.directory, log)["stale"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "-o DIR"),
        (("-o", "x", "--target", "nothing"), "nothing"),
        (("-o", "x", "--group", "none", "--group", "lead"), "--group none"),
        (("-o", "x", "--objective-ms", "9", "--target", "failed"), "--objective-ms"),
    ],
)
def test_bad_arguments_are_told(log, tmp_path, monkeypatch, arguments, said):
    """An invalid argument is named, with the exit code of a usage error."""
    monkeypatch.chdir(tmp_path)
    shown = run("dataset", *arguments, "--directory", log)
    assert shown.exit_code == 2
    assert said in shown.stderr


def test_a_folder_with_other_things_is_left_alone(log, tmp_path):
    """A folder with other files is refused, and nothing is written."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all my work")
    with pytest.raises(TrainingError, match=r"thesis\.txt"):
        write_dataset(log, tmp_path / "mine", "failed")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_too_few_runs_are_told(tmp_path):
    """The error states the number of examples found and needed."""
    log = write(tmp_path / "log", runs(60, seed=24))
    with pytest.raises(TrainingError, match="90 are needed"):
        write_dataset(log, tmp_path / "data", "failed")


def test_one_session_over_all_is_told(tmp_path):
    """If one session spans the whole log, no split is possible, and the remedy is named."""
    log = write(tmp_path / "log", runs(1_000, seed=25, session_length=10_000))
    with pytest.raises(TrainingError, match="`groups=`"):
        write_dataset(log, tmp_path / "data", "failed")
    made = write_dataset(log, tmp_path / "data", "failed", groups=("transaction", "lead"))
    assert check_dataset(made.directory, log)["problems"] == []


def test_an_objective_is_the_limit_of_slow(log, tmp_path):
    """With an objective, slow means longer than it, from the first run on."""
    made = write_dataset(log, tmp_path / "data", "slow", objective_ms=50.0)
    own = write_dataset(log, tmp_path / "own", "slow")
    assert made.manifest["dropped"]["unlabelled"] < own.manifest["dropped"]["unlabelled"]
    assert made.manifest["files"][0]["label_mean"] > 0.2
    assert own.manifest["files"][0]["label_mean"] == pytest.approx(0.05, abs=0.03)

"""Hugging Face's `datasets` and mlcroissant load a data set; run by `make learn-evidence`."""

from __future__ import annotations

import os

import pytest

from leadlog.training.dataset import write_dataset
from tests.training.made_log import runs, write

PARTS = ("train", "calibration", "test")


@pytest.fixture
def made(tmp_path):
    """The folder of a data set."""
    log = write(tmp_path / "log", runs(1_500, seed=50))
    return write_dataset(log, tmp_path / "data", "failed")


def test_datasets_loads_the_three_parts_offline(made, tmp_path, monkeypatch):
    """`load_dataset(DIR)` finds the splits by the card, without a network."""
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(os.environ, "HF_HOME", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets", reason="run by `make learn-evidence`")
    loaded = datasets.load_dataset(str(made.directory), cache_dir=str(tmp_path / "cache"))
    assert {name: loaded[name].num_rows for name in PARTS} == {
        one["part"]: one["rows"] for one in made.manifest["files"]
    }


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_accepts_the_description_and_reads_the_records(made):
    """The JSON-LD is valid Croissant, and its hashes and columns match the files."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="run by `make learn-evidence`")
    described = mlcroissant.Dataset(jsonld=str(made.directory / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    for one in made.manifest["files"]:
        rows = list(described.records(one["part"]))
        assert len(rows) == one["rows"]
        assert {row[f"{one['part']}/label"] for row in rows} == {0, 1}

"""The index: what it finds is what reading the whole log finds, whatever happens to the files."""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import zstandard

from leadlog.core.clock import parse
from leadlog.core.layout import log_files
from leadlog.reading import archive
from leadlog.reading.events import Skipped
from leadlog.reading.history import Histories, history, pushdown_for
from leadlog.reading.index import (
    Index,
    IndexUnavailableError,
    events_of_row,
    existing_index,
    open_index,
)
from leadlog.reading.index import opening as module
from leadlog.reading.lookup import find, records_of_session
from leadlog.reading.merged import read_merged
from tests.bench.made_events import write
from tests.reading.test_history import KEY, calls_of_every_kind

DAY = "2026-11-01"
PERSON = "lead-000003"


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of a small log, too."""
    monkeypatch.setattr(module, "_SMALL_BYTES", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two days of a log, and calls of every kind."""
    for day in (DAY, "2026-11-02"):
        write(tmp_path, day, 1_500, people=20)
    path = tmp_path / "database_operations" / "2026-11-01.w1.jsonl"
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in calls_of_every_kind()))
    return tmp_path


def read(root: Path, key: str) -> tuple[Histories, int]:
    """The history by the whole log."""
    skipped = Skipped()
    pushdown = pushdown_for(key)
    events = read_merged(root, tuple(pushdown), skipped=skipped, pushdown=pushdown)
    return history((event.data for event in events), key, reads=True), skipped.lines


def found(root: Path, key: str) -> tuple[Histories, int]:
    """The history by the index."""
    skipped = Skipped()
    index = open_index(root)
    assert index is not None
    with index:
        events = events_of_row(root, index, key, pushdown=pushdown_for(key), skipped=skipped)
    return history((event.data for event in events), key, reads=True), skipped.lines


def path_of(root: Path, name: str = f"{DAY}.jsonl") -> Path:
    return root / "database_operations" / name


@pytest.mark.parametrize("key", [PERSON, KEY, "2", "2…"])
def test_the_index_finds_what_the_whole_log_has(root: Path, key: str) -> None:
    """Calls that name the row alone or among others, and those that may have changed it."""
    told, skipped = read(root, key)
    assert told.rows
    assert found(root, key) == (told, skipped)


def test_it_goes_on_where_it_stopped(root: Path) -> None:
    """New lines and new files are added, and half a line is left for the next time."""
    found(root, PERSON)
    path = path_of(root)
    line = path.read_bytes().splitlines(keepends=True)[3]
    with path.open("ab") as stream:
        stream.write(line + b"rubbish\n" + line[:100])
    write(root, "2026-11-03", 300, people=20)
    assert found(root, PERSON) == read(root, PERSON)
    with path.open("ab") as stream:
        stream.write(line[100:])
    assert found(root, PERSON) == read(root, PERSON)
    assert read(root, PERSON)[1] == 1


def test_a_file_that_was_replaced_or_compressed_or_removed_is_indexed_anew(root: Path) -> None:
    """By another of the same size, a shorter one, its compressed copy, none."""
    path, other = path_of(root), path_of(root, "2026-11-02.jsonl")
    found(root, PERSON)
    lines = path.read_bytes().splitlines(keepends=True)
    draft = path.with_name("draft")
    draft.write_bytes(b"".join(reversed(lines)))
    draft.replace(path)
    assert found(root, PERSON) == read(root, PERSON)
    path.write_bytes(b"".join(lines[:100]))
    assert found(root, PERSON) == read(root, PERSON)
    other.with_name(f"{other.name}.zst").write_bytes(
        zstandard.ZstdCompressor().compress(other.read_bytes())
    )
    other.unlink()
    assert found(root, PERSON) == read(root, PERSON)
    path.unlink()
    assert found(root, PERSON) == read(root, PERSON)


def test_sealed_days_are_asked_beside_it(root: Path) -> None:
    """And are no longer in it."""
    before = found(root, PERSON)
    for file in log_files(root):
        os.utime(file.path, (1_793_534_400, 1_793_534_400))
    report = archive.run(root, archive.Policy(parquet_after_days=28), today="2026-11-30")
    assert report.errors == ()
    assert {file.archived for file in log_files(root)} == {True, False}
    assert found(root, PERSON) == before


def test_only_the_owner_may_read_it(root: Path) -> None:
    """The folder, the database and what SQLite puts beside it."""
    with Index(root) as index:
        index.catch_up()
        paths = [*(root / ".index").iterdir()]
        assert len(paths) == 3
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
        assert stat.S_IMODE((root / ".index").stat().st_mode) == 0o700


def test_without_it_or_with_a_damaged_one_it_is_made_anew(root: Path) -> None:
    """Deleting it costs only time, and so does damage."""
    expected = found(root, PERSON)
    path = root / ".index" / "events.sqlite3"
    path.unlink()
    assert found(root, PERSON) == expected
    for old in (root / ".index").iterdir():
        old.unlink()
    path.write_bytes(b"not a database" * 1000)
    assert found(root, PERSON) == expected
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert found(root, PERSON) == expected


def test_an_index_that_nobody_closes_is_closed_when_it_goes(root: Path) -> None:
    """Python 3.13 warns of a connection that it has to close itself, and a warning fails a test."""
    index = Index(root)
    connection = index._connection
    del index
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_where_it_cannot_be_made_there_is_none(root: Path) -> None:
    """A file in its place, or a link to somewhere else."""
    (root / ".index").write_text("in the way")
    assert open_index(root) is None
    with pytest.raises(IndexUnavailableError):
        Index(root)
    (root / ".index").unlink()
    (root / ".index").mkdir()
    (root / ".index" / "events.sqlite3").symlink_to(root / "elsewhere")
    assert open_index(root) is None
    assert not (root / "elsewhere").exists()


def test_a_small_log_has_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as fast as it is indexed."""
    monkeypatch.setattr(module, "_SMALL_BYTES", 1 << 30)
    assert open_index(root) is None
    assert not (root / ".index").exists()


SCRIPT = """
import sys
from leadlog.reading.index import Index
from leadlog.reading.index import store
store._PIECE_BYTES = 20_000
with Index(sys.argv[1]) as index:
    index.catch_up()
"""


def test_several_processes_bring_it_up_to_date_together(root: Path) -> None:
    """Each event is in it once."""
    started = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(root)]) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    assert found(root, PERSON) == read(root, PERSON)
    with Index(root) as index:
        events = sum(1 for _ in read_merged(root))
        assert index._connection.execute("SELECT count(*) FROM events").fetchone() == (events,)


def test_a_killed_process_leaves_an_index_that_goes_on(root: Path) -> None:
    """What it had finished is kept, the rest is done again."""
    script = SCRIPT.replace("index.catch_up()", "index.catch_up(lambda *_: sys.exit(1))")
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", script, str(root)], check=False).returncode
    assert found(root, PERSON) == read(root, PERSON)


def test_a_session_and_an_id_are_the_same_by_the_index_and_without_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is far behind is not waited for."""
    event_id = f"{DAY.replace('-', '')}{3:022x}"
    asked = [records_of_session(root, "abcd1234"), find(root, event_id)]
    found(root, PERSON)
    assert [records_of_session(root, "abcd1234"), find(root, event_id)] == asked
    since = f"{DAY}T12:00:00.000000Z"
    late = records_of_session(root, "abcd1234", since=since)
    assert late == [one for one in asked[0] if one["timestamp"] >= since]
    write(root, "2026-11-04", 50)
    monkeypatch.setattr(module, "_SMALL_BYTES", -1)
    assert existing_index(root) is None
    assert len(records_of_session(root, "abcd1234")) == len(asked[0]) + 50


def test_an_id_and_a_session_are_found(root: Path) -> None:
    """With their places in the files."""
    with Index(root) as index:
        index.catch_up()
        (place,) = index.of_event(f"{DAY.replace('-', '')}{3:022x}")[:1]
        line = place.file.path.read_bytes()[place.offset : place.offset + place.length]
        assert parse(orjson.loads(line)["timestamp"]) == place.at
        assert len(index.of_session("abcd1234")) == sum(1 for _ in read_merged(root))
        assert index.pending_bytes() == 0

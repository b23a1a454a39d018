"""The index finds what reading the whole log finds, whatever happens to the files."""

import gc
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
import zstandard

from leadlog.core.clock import parse
from leadlog.core.layout import log_files
from leadlog.reading import archive
from leadlog.reading.addresses import keys_with_address
from leadlog.reading.analytics.durations import bucket_of
from leadlog.reading.events import Skipped, read_events
from leadlog.reading.history import Histories, history, pushdown_for
from leadlog.reading.index import (
    Index,
    IndexUnavailableError,
    events_of_row,
    existing_index,
    helpers,
    open_index,
    updating,
)
from leadlog.reading.index import opening as module
from leadlog.reading.index.columns import (
    duration_of,
    kind_of,
    microseconds_of,
    rows_of,
    score_of,
    user_of,
)
from leadlog.reading.index.figures import Figures
from leadlog.reading.index.numbers import session_number
from leadlog.reading.lookup import find, records_of_session
from leadlog.reading.merged import read_merged
from tests.bench.made_events import write
from tests.reading.test_history import KEY, calls_of_every_kind

DAY = "2026-11-01"
PERSON = "lead-000003"


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index a small log as well."""
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
    """Return the history from the whole log."""
    skipped = Skipped()
    pushdown = pushdown_for(key)
    events = read_merged(root, tuple(pushdown), skipped=skipped, pushdown=pushdown)
    return history((event.data for event in events), key, reads=True), skipped.lines


def found(root: Path, key: str) -> tuple[Histories, int]:
    """Return the history from the index."""
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
    """It finds calls that name the row, alone or among others, or may have changed it."""
    told, skipped = read(root, key)
    assert told.rows
    assert found(root, key) == (told, skipped)


def test_it_goes_on_where_it_stopped(root: Path) -> None:
    """New lines and new files are added, and an unfinished line is left for the next update."""
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
    """This holds for a replacement of the same size, a shorter one, compression, and removal."""
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
    """Sealed days are queried separately, and no longer in the index."""
    before = found(root, PERSON)
    for file in log_files(root):
        os.utime(file.path, (1_793_534_400, 1_793_534_400))
    report = archive.run(root, archive.Policy(parquet_after_days=28), today="2026-11-30")
    assert report.errors == ()
    assert {file.archived for file in log_files(root)} == {True, False}
    assert found(root, PERSON) == before


def test_only_the_owner_may_read_it(root: Path) -> None:
    """This covers the folder, the database and SQLite's additional files."""
    with Index(root) as index:
        index.catch_up()
        paths = [*(root / ".index").iterdir()]
        assert len(paths) == 3
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
        assert stat.S_IMODE((root / ".index").stat().st_mode) == 0o700


def test_without_it_or_with_a_damaged_one_it_is_made_anew(root: Path) -> None:
    """Deleting or damaging it costs only time."""
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
    """Python 3.13 warns of a connection that is not closed, and a warning fails a test."""
    index = Index(root)
    connection = index.connection
    del index
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_where_it_cannot_be_made_there_is_none(root: Path) -> None:
    """A file in its place, or a link to another place, prevents the index."""
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
    """A small log is read as fast as it is indexed."""
    monkeypatch.setattr(module, "_SMALL_BYTES", 1 << 30)
    assert open_index(root) is None
    assert not (root / ".index").exists()


SCRIPT = """
import sys
from leadlog.reading.index import Index
from leadlog.reading.index import updating
updating._PIECE_BYTES = 20_000
with Index(sys.argv[1]) as index:
    index.catch_up()
"""


def test_several_processes_bring_it_up_to_date_together(root: Path) -> None:
    """Each event is in the index once."""
    started = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(root)]) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    assert found(root, PERSON) == read(root, PERSON)
    with Index(root) as index:
        events = sum(1 for _ in read_merged(root))
        assert index.connection.execute("SELECT count(*) FROM events").fetchone() == (events,)


def contents(root: Path) -> tuple[list[tuple[object, ...]], ...]:
    """Return the content of the index, independent of its numbers."""
    with Index(root) as index:
        index.catch_up()
        index.add_up()
        return (
            index.ask(
                "SELECT category, stem, offset, length, at, kinds.kind, duration, score, n.name, "
                "m.name, event, session, key, unnamed, "
                "(SELECT group_concat(key) FROM mentions WHERE event = events.id) FROM events "
                "JOIN files ON files.id = file JOIN kinds ON kinds.id = events.kind "
                "LEFT JOIN names n ON n.id = user LEFT JOIN names m ON m.id = marks "
                "ORDER BY category, stem, offset"
            ),
            index.ask(
                "SELECT category, stem, inode, whole, size, tail, damaged, first_damaged "
                "FROM files ORDER BY category, stem"
            ),
            index.ask("SELECT * FROM addresses ORDER BY address, key"),
            index.ask(
                "SELECT level, slot, sum(n), sum(us) FROM counts GROUP BY 1, 2 ORDER BY 1, 2"
            ),
        )


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Use helper processes for a log of any size; return the number of their pieces."""
    pieces: list[int] = []

    def counted(*args: object) -> object:
        size = add_gathered(*args)
        pieces.append(-1 if size is None else size)
        return size

    add_gathered = updating.IndexWriter._add_gathered
    monkeypatch.setattr(updating.IndexWriter, "_add_gathered", counted)
    monkeypatch.setattr(updating, "_MANY_BYTES", 0)
    monkeypatch.setattr(updating, "helpers_at_most", lambda: 2)
    monkeypatch.setattr(helpers, "_STEP_BYTES", 300_000)
    return pieces


@pytest.mark.parametrize("seed", range(1 if "SOAK" not in os.environ else 100))
def test_what_several_processes_gather_is_what_one_does(
    root: Path, request: pytest.FixtureRequest, seed: int
) -> None:
    """Plain and compressed files, odd events, damage and an unfinished line give the same index."""
    poisoned(root, seed)
    other = path_of(root, "2026-11-02.jsonl")
    packed = other.with_name(f"{other.name}.zst")
    packed.write_bytes(zstandard.ZstdCompressor().compress(other.read_bytes()))
    other.unlink()
    with path_of(root).open("ab") as stream:
        stream.write(b'{"timestamp":')
    alone = contents(root)
    for path in (root / ".index").iterdir():
        path.unlink()
    pieces: list[int] = request.getfixturevalue("helped")
    assert contents(root) == alone
    assert len(pieces) > 10


def test_what_helping_processes_do_not_gather_is_gathered_all_the_same(
    root: Path, helped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing pieces are gathered if helpers are killed, cannot start, or the file is rewritten."""
    write_piece = updating.IndexWriter._write

    def killing(self: updating.IndexWriter, *args: object) -> None:
        write_piece(self, *args)
        for process in started:
            process.kill()
        path = path_of(root, "2026-11-02.jsonl")
        draft = path.with_name("draft")
        draft.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
        draft.replace(path)

    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def starting(*args: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **more))
        return started[-1]

    monkeypatch.setattr(helpers.subprocess, "Popen", starting)
    with monkeypatch.context() as patched:
        patched.setattr(updating.IndexWriter, "_write", killing)
        with Index(root) as index:
            index.catch_up()
    assert helped
    assert found(root, PERSON) == read(root, PERSON)
    assert all(process.returncode is not None for process in started)
    for path in (root / ".index").iterdir():
        path.unlink()
    monkeypatch.setattr(sys, "executable", str(root / "none"))
    assert found(root, PERSON) == read(root, PERSON)


def test_a_killed_process_leaves_an_index_that_goes_on(root: Path) -> None:
    """Completed work is kept, the rest is done again."""
    script = SCRIPT.replace("index.catch_up()", "index.catch_up(lambda *_: sys.exit(1))")
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", script, str(root)], check=False).returncode
    assert found(root, PERSON) == read(root, PERSON)


def test_a_session_and_an_id_are_the_same_by_the_index_and_without_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that is far behind is not waited for."""
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
    """An id and a session are found with their locations in the files."""
    with Index(root) as index:
        index.catch_up()
        (place,) = index.of_event(f"{DAY.replace('-', '')}{3:022x}")[:1]
        line = place.file.path.read_bytes()[place.offset : place.offset + place.length]
        assert parse(orjson.loads(line)["timestamp"]) == place.at
        assert len(index.of_session("abcd1234")) == sum(1 for _ in read_merged(root))
        assert index.pending_bytes() == 0


def poisoned(root: Path, seed: int) -> None:
    """Add odd values and damaged lines anywhere, changing e-mail addresses, and users."""
    chance = random.Random(seed)
    path = path_of(root)
    lines = path.read_bytes().splitlines(keepends=True)
    for at in chance.sample(range(len(lines)), 300):
        event = orjson.loads(lines[at])
        section = event[chance.choice([key for key, one in event.items() if type(one) is dict])]
        if section:
            odd = ([1], {"a": 1}, -1, True, 7, "x" * 200, 1e300, None)
            section[chance.choice([*section])] = chance.choice(odd)
        if chance.random() < 0.4:
            old, new = (f"{chance.choice('abc')}@Acme.example" for _ in range(2))
            event["data_details"]["fields_changed"] = {"email": {"old": old, "new": new}}
            event["lead_identifier"]["email"] = chance.choice((new.upper(), None, 7))
        moment = f"{chance.randrange(80):02}.00000{chance.choice('1٣_')}"
        event |= chance.choice(
            (
                {"context": {"user": chance.choice(("ana", 7, None))}},
                {"session_id": chance.choice(("s1", 7)), "sample_rate": chance.choice((0.5, "x"))},
                {"timestamp": f"{DAY}T10:00:{moment}Z"},
                {"truncated": True, "truncated_fields": ["lead_identifier.lead_id"]},
                {"training_labels": {"data_quality_score": 0.7, "data_quality_issues": ["x"]}},
            )
        )
        lines[at] = orjson.dumps(event) + b"\n"
    lines.insert(9, b"[]\n\n \n7\n" + b"x" * 5_000_000 + b"\n{}\n")
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("seed", range(2 if "SOAK" not in os.environ else 100))
def test_columns_and_figures_are_those_of_each_event(root: Path, seed: int) -> None:
    """For any event, the fast path to its columns gives the same as the slow one."""
    poisoned(root, seed)
    events, skipped = [], Skipped()
    for file in log_files(root):
        events += [(file.category, one) for one in read_events(file.path, skipped=skipped)]
    expected = []
    for category, event in events:
        data, score = event.data, score_of(event.data)
        key, _, unnamed = rows_of(data)
        session = data.get("session_id")
        expected.append(
            (
                str(event.path),
                event.offset,
                len(event.raw) + 1,
                microseconds_of(data["timestamp"]),
                kind_of(category, data),
                duration_of(data),
                score and score[0],
                user_of(data),
                session_number(session) if type(session) is str else None,
                key,
                int(unnamed),
            )
        )
    with Index(root) as index:
        index.catch_up()
        index.add_up()
        figures = Figures(index)
        kinds = figures.kinds()
        rows = index.ask(
            "SELECT category || '/' || stem || '.jsonl', offset, length, at, kind, duration, "
            "score, name, session, key, unnamed FROM events JOIN files ON files.id = file "
            "LEFT JOIN names ON names.id = user ORDER BY 1, 2"
        )
        found = [(str(root / row[0]), *row[1:4], kinds[row[4]], *row[5:]) for row in rows]
        assert found == sorted(expected, key=lambda row: row[:2])
        counted = Skipped()
        index.count_damaged(("database_operations",), counted)
        assert counted.lines == skipped.lines > 5
        since, until = parse(f"{DAY}T00:00:00Z"), parse("2026-11-03T00:00:00Z")
        timed = [row for row in found if row[5] is not None]
        durations = Counter((row[4], bucket_of(row[5] / 1000)) for row in timed)
        told: Counter[object] = Counter()
        for kind, _, buckets in figures.latencies(None, since, until):
            told.update({(kinds[kind], bucket): n for bucket, n in buckets})
        assert told == durations
        lots: Counter[object] = Counter()
        for lot, _, buckets in figures.latencies_of_lots(
            {*figures.lots().values()}, since + 1, until, 900
        ):
            own = kinds[lot]
            lots.update({(own.category, own.rate, bucket): n for bucket, n in buckets})
        by_lot: Counter[object] = Counter()
        for (kind, bucket), n in durations.items():
            by_lot[kind.category, kind.rate, bucket] += n
        first = [row for row in timed if row[3] == since]
        by_lot -= Counter((r[4].category, r[4].rate, bucket_of(r[5] / 1000)) for r in first)
        assert lots == by_lot
        # No figure contains anything of a removed file.
        path_of(root).unlink()
        index.catch_up()
        index.add_up()
        left: Counter[object] = Counter()
        for kind, _, buckets in figures.latencies(None, since, until):
            left.update({(kinds[kind], bucket): n for bucket, n in buckets})
        gone = Counter(
            (row[4], bucket_of(row[5] / 1000)) for row in timed if row[0] == str(path_of(root))
        )
        assert left == durations - gone


@pytest.mark.parametrize("seed", range(1 if "SOAK" not in os.environ else 100))
def test_rows_by_an_address_are_those_that_reading_the_log_finds(root: Path, seed: int) -> None:
    """It works in any case, for one class only, and with sealed days."""
    poisoned(root, seed)
    wanted = ["a@acme.example", " B@ACME.example ", "person3@company3.example"]
    wanted += ["none@x.example", "a@acme.example"]

    def told(index: Index | None) -> list[list[str]]:
        return [
            keys_with_address(root, one, entity=entity, index=index)
            for one, entity in zip(wanted, (None, "Lead", None, None, "Other"), strict=True)
        ]

    before = told(None)
    with Index(root) as index:
        index.catch_up()
        assert told(index) == before
        assert any(before)
        if seed == 0:
            for file in log_files(root):
                os.utime(file.path, (1_793_534_400, 1_793_534_400))
            archive.run(root, archive.Policy(parquet_after_days=28), today="2026-11-30")
            index.catch_up()
            assert told(index) == before

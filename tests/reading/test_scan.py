"""One relation over plain lines, compressed lines and Parquet."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from leadlog.core.layout import CATEGORIES, log_files
from leadlog.core.records import RECORDS
from leadlog.reading import archive
from leadlog.reading.columns import columns, flat_columns
from leadlog.reading.duck import connect, quoted
from leadlog.reading.merged import read_merged
from leadlog.reading.query import run_query
from leadlog.reading.scan import Scan, scan
from tests.bench.made_events import write

DAY = 1_795_392_000_000_000  # 2026-11-23
CATEGORY = "database_operations"

Append = Callable[..., Path]
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(event: Make) -> Make:
    """Return an operation `at` microseconds after the beginning of 2026-11-23."""
    return lambda at, **more: event(
        DAY + at, event_id=f"e{at}", operation_details={"execution_time_ms": at / 2}, **more
    )


def rows(found: Scan, what: str = "event_id", *, flat: bool = False) -> list[Any]:
    """Return one column of a scan's rows, sorted."""
    with connect(threads=1) as connection:
        sql = found.select(connection, flat=flat)
        return [
            row[0] for row in connection.sql(f"SELECT {what} FROM ({sql}) ORDER BY 1").fetchall()
        ]


def seal(root: Path, date: str = "2026-11-23", columns: str = "* EXCLUDE (date)") -> Path:
    """Write the Parquet file of a day from its lines, which stay."""
    folder = root / "archive" / f"category={CATEGORY}" / f"date={date}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{date}.parquet"
    with connect(threads=1) as connection:
        day = scan(root, CATEGORY, since=date, until=date)
        found = Scan(CATEGORY, tuple(one for one in day.files if one.date == date), ())
        connection.sql(
            f"COPY (SELECT {columns} FROM ({found.select(connection)})) "
            f"TO {quoted(str(path))} (FORMAT parquet)"
        )
    return path


def test_lines_compressed_lines_and_parquet_are_one_relation(
    append: Append, make: Make, tmp_path: Path
) -> None:
    """Each event is returned once, with the UTC day of its file, whatever the file's kind."""
    root = tmp_path / "log"
    append(f"{CATEGORY}/2026-11-21.jsonl", make(1), make(2))
    seal(root, "2026-11-21")
    (root / CATEGORY / "2026-11-21.jsonl").unlink()
    packed = append(f"{CATEGORY}/2026-11-22.w1.jsonl", make(3))
    packed.with_name(packed.name + ".zst").write_bytes(zstandard.compress(packed.read_bytes()))
    packed.unlink()
    append(f"{CATEGORY}/2026-11-23.jsonl", make(4))
    for flat in (False, True):
        found = rows(scan(root, CATEGORY), "CAST(date AS VARCHAR) || event_id", flat=flat)
        assert found == ["2026-11-21e1", "2026-11-21e2", "2026-11-22e3", "2026-11-23e4"]


def test_an_event_in_parquet_and_in_lines_comes_out_once(
    append: Append, make: Make, tmp_path: Path
) -> None:
    """The day was sealed, but its lines stayed after a crash and got another line."""
    root = tmp_path / "log"
    append(f"{CATEGORY}/2026-11-23.jsonl", make(1), make(2))
    seal(root)
    append(f"{CATEGORY}/2026-11-23.jsonl", make(3), {"timestamp": make(4)["timestamp"]})
    assert rows(scan(root, CATEGORY)) == ["e1", "e2", "e3", None]
    assert rows(scan(root, CATEGORY), "execution_time_ms", flat=True) == [0.5, 1.0, 1.5, None]


def test_damaged_lines_are_left_out_and_counted(append: Append, make: Make, tmp_path: Path) -> None:
    """DuckDB and the line reader agree on what is an event; damage is counted and located."""
    damage = [
        b'{"timestamp": "2026-\n',
        b'{"timestamp": "2026-11-23T00:00:00.000000Z", "level": "\xff\xfe"}\n',
        b'{"timestamp": "2026-11-23T00:00:00.000000Z", "level": "\\ud800"}\n',
        b"\0" * 50 + b"\n",
        b"[1, 2]\n",
        b"5\n",
        b'{"level": "info"}\n',
        b'{"timestamp": "2026-11-23T00:00:00.000000Z"} {}\n',
        b'{"timestamp": "2026-11-23T00:00:00.000000Z", "level": "a\x01b"}\n',
    ]
    lines: list[Any] = [make(0)]
    for at, line in enumerate(damage, 1):
        lines += [line, make(at)]
    path = append(f"{CATEGORY}/2026-11-23.jsonl", *lines)
    root = tmp_path / "log"
    found = scan(root, CATEGORY)
    assert rows(found) == sorted(event.data["event_id"] for event in read_merged(root))
    with connect(threads=1) as connection:
        skipped = found.damaged(connection)
    assert (skipped.lines, skipped.unfinished) == (len(damage), 0)
    assert skipped.places[0] == (path, len(f"{make(0)}\n"))


def test_a_line_that_is_being_written_is_no_event_yet(
    append: Append, make: Make, tmp_path: Path
) -> None:
    """It is neither a row nor a damaged line."""
    append(f"{CATEGORY}/2026-11-23.jsonl", make(1), b'{"timestamp": "2026-11-23T00:0')
    found = scan(tmp_path / "log", CATEGORY)
    assert rows(found) == ["e1"]
    with connect(threads=1) as connection:
        skipped = found.damaged(connection)
    assert (skipped.lines, skipped.unfinished) == (0, 1)


@pytest.mark.parametrize("more", [{}, {"event_id": None}])
def test_a_whole_event_without_its_newline_is_none_yet(
    append: Append, make: Make, tmp_path: Path, more: dict[str, Any]
) -> None:
    """It is counted as unfinished, and returned once its newline is written."""
    root = tmp_path / "l[o]g"
    line = json.dumps({**make(2), **more}).encode()
    path = append(f"../l[o]g/{CATEGORY}/2026-11-23.jsonl", make(1), line)
    found = scan(root, CATEGORY)
    assert rows(found) == ["e1"] == [one.data["event_id"] for one in read_merged(root)]
    with connect(threads=1) as connection:
        skipped = found.damaged(connection)
    assert (skipped.lines, skipped.unfinished) == (0, 1)
    with path.open("ab") as stream:
        stream.write(b"\n")
    assert len(rows(scan(root, CATEGORY))) == 2


@pytest.mark.parametrize("cut", [0, 10, 0.5, -200, -1])
def test_a_compressed_file_that_was_cut_off_gives_what_can_be_read(
    append: Append, make: Make, tmp_path: Path, cut: float
) -> None:
    """Its complete lines and those of other files are rows, and the damage is counted."""
    append(f"{CATEGORY}/2026-11-23.jsonl", make(0))
    chance = random.Random(7)
    content = b"".join(
        json.dumps({**make(1), "session_id": chance.randbytes(16).hex()}).encode() + b"\n"
        for _ in range(2_000)
    )
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    packed = packed[: int(len(packed) * cut) if isinstance(cut, float) else cut]
    append(f"{CATEGORY}/2026-11-22.jsonl.zst", packed)
    readable = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    root = tmp_path / "log"
    found = scan(root, CATEGORY)
    assert len(rows(found)) == readable.count(b"\n") + 1
    with connect(threads=1) as connection:
        assert found.damaged(connection).lines == 1
    with run_query(root, f"SELECT count(*) AS n FROM {CATEGORY}") as result:
        assert result.reader.read_all().to_pylist() == [{"n": readable.count(b"\n") + 1}]
    assert result.damaged_lines == 1


def test_signs_in_a_path_are_no_pattern_and_no_sql(
    append: Append, make: Make, tmp_path: Path
) -> None:
    """A directory whose name looks like a pattern is read, and its neighbour is not."""
    append(f"{CATEGORY}/2026-11-23.jsonl", make(1))
    seal(tmp_path / "log")
    append(f"{CATEGORY}/2026-11-24.jsonl", make(2))
    strange = tmp_path / "l[o]g*?'; SELECT 1 --"
    (tmp_path / "log").rename(strange)
    (strange / CATEGORY / "2026-11-23.jsonl").unlink()
    append(f"../logg1{CATEGORY}/2026-11-24.jsonl", make(3))
    assert rows(scan(strange, CATEGORY)) == ["e1", "e2"]


def test_since_and_until_choose_events_by_their_time(
    append: Append, make: Make, tmp_path: Path
) -> None:
    """`since` is included, `until` excluded; a line that was written a day late is found."""
    append(f"{CATEGORY}/2026-11-23.jsonl", make(10), make(20))
    append(f"{CATEGORY}/2026-11-24.jsonl", make(15), make(86_400_000_000))
    found = scan(
        tmp_path / "log",
        CATEGORY,
        since="2026-11-23T00:00:00.000015Z",
        until="2026-11-23T00:00:00.000020Z",
    )
    assert rows(found) == ["e15"]
    with pytest.raises(ValueError, match="'soon' is not a moment"):
        scan(tmp_path / "log", CATEGORY, since="soon")


def test_parquet_of_an_older_contract_is_read(append: Append, make: Make, tmp_path: Path) -> None:
    """A missing column or key of a section is null, in the file alone and next to others."""
    root = tmp_path / "log"
    path = append(f"{CATEGORY}/2026-11-23.jsonl", make(1))
    seal(
        root,
        columns="* EXCLUDE (date, training_labels) "
        "REPLACE ({'success': true} AS operation_details)",
    )
    path.unlink()
    what = "(event_id, success, execution_time_ms, performance_tier)"
    assert rows(scan(root, CATEGORY), what, flat=True) == [("e1", True, None, None)]
    append(f"{CATEGORY}/2026-11-24.jsonl", make(2))
    seal(root, "2026-11-24").rename(
        root / "archive" / f"category={CATEGORY}" / "date=2026-11-23" / "part-2026-11-23.w1.parquet"
    )
    (root / CATEGORY / "2026-11-24.jsonl").unlink()
    assert rows(scan(root, CATEGORY), what, flat=True) == [
        ("e1", True, None, None),
        ("e2", None, 1.0, None),
    ]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_without_files_has_its_columns(category: str, tmp_path: Path) -> None:
    """A query finds the same columns with the same types, with or without files."""
    with connect(threads=1) as connection:
        relation = connection.sql(scan(tmp_path, category).select(connection))
        assert relation.columns == ["date", *columns(category)]
        flat = connection.sql(scan(tmp_path, category).select(connection, flat=True))
        assert flat.columns == ["date", *flat_columns(category)]
        assert relation.fetchall() == flat.fetchall() == []


def test_every_key_of_a_record_has_a_column() -> None:
    """The columns are those of the record types, including `log_type`."""
    for category, record in zip(CATEGORIES, RECORDS.values(), strict=True):
        assert columns(category).keys() == record.__annotations__.keys()
    with pytest.raises(ValueError, match="no category 'sync'; there are database_operations"):
        columns("sync")


def test_a_folder_above_the_log_is_a_name_and_no_column(tmp_path: Path) -> None:
    """The days are those of the files, plain and sealed, whatever the folder's name."""
    root = tmp_path / "date=2025-12-24" / "category=x" / "log"
    write(root, "2026-11-01", 60)
    write(root, "2026-11-02", 60)
    for file in log_files(root):
        if file.date == "2026-11-01":
            os.utime(file.path, (1_793_534_400, 1_793_534_400))
    report = archive.run(root, archive.Policy(parquet_after_days=1), today="2026-11-30")
    assert report.errors == ()
    with connect() as connection:
        select = scan(root, "database_operations").select(connection)
        rows = connection.execute(
            f"SELECT CAST(date AS VARCHAR), count(*) FROM ({select}) GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert [day for day, _ in rows] == ["2026-11-01", "2026-11-02"]


def test_the_last_day_of_the_calendar_is_a_day(tmp_path: Path) -> None:
    """There is no later day to search for late lines."""
    write(tmp_path, "2026-11-01", 60)
    found = scan(tmp_path, "database_operations", until="9999-12-31T00:00:00.000000Z")
    assert len(found.files) == 1

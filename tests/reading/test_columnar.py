"""Large files as columns give the same answers as the lines, whatever happens to these."""

import os
import random
import stat
from pathlib import Path

import orjson
import pytest
import zstandard

from leadlog.reading import columnar as module
from leadlog.reading import erasure
from leadlog.reading.analytics.engine import DuckDBEngine
from tests.bench.made_events import write

DAY = "2026-11-01"


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use columns for a small log as well, in many sections."""
    monkeypatch.setattr(module, "_LEAST_BYTES", 30_000)
    monkeypatch.setattr(module, "_STRETCH_BYTES", 200_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, DAY, 800, people=20, sampled=0.2)
    return tmp_path


def answers(root: Path, *, columns: bool, since: str | None = None) -> list[object]:
    """Return every column of two tables, and the skipped lines."""
    found: list[object] = []
    with DuckDBEngine(root, since, columns=columns) as engine:
        for table in ("operations", "errors"):
            # As text, since NaN is not equal to itself.
            found += [repr(engine.rows(f"SELECT * FROM {table} ORDER BY ALL")), engine.damaged()]
    return found


def assert_same(root: Path, *, made: bool = True) -> None:
    by_columns = answers(root, columns=True)
    assert by_columns == answers(root, columns=False)
    assert bool([*root.glob(".index/database_operations/*.parquet")]) is made


def path_of(root: Path, category: str = "database_operations") -> Path:
    return root / category / f"{DAY}.jsonl"


def parts(root: Path) -> list[Path]:
    return sorted((root / ".index" / "database_operations").iterdir())


def poison(line: bytes, chance: random.Random) -> bytes:
    """Return a line that violates the contract: other types, torn, overwritten, odd spaces."""
    event = orjson.loads(line)
    details = event.get("operation_details") or event.get("error_details")
    kind = chance.randrange(8)
    if kind == 0:
        return line[: chance.randrange(len(line) - 2)] + b"\n"
    if kind == 1:
        return b"\xff\x00" * 9 + b"\n"
    if kind == 2:
        return b" \n"
    if kind == 3:
        details[chance.choice([*details])] = chance.choice(([1], {"a": 1}, -1, "x", 1e300, None))
    elif kind == 4:
        event["timestamp"] = chance.choice(("2026-11-01", None, 7, "2026-13-01T00:00:00.000000Z"))
    elif kind == 5:
        event["sample_rate"] = chance.choice((0.5, 0, "x", 2))
    elif kind == 6:
        event = chance.choice(([], 7, {"timestamp": f"{DAY}T10:00:00.000000Z"}))
    else:
        event["unknown"] = {"of": ["another", "version"]}
    return orjson.dumps(event) + b"\n"


@pytest.mark.parametrize("seed", range(2 if "SOAK" not in os.environ else 200))
def test_columns_say_what_the_lines_say(root: Path, seed: int) -> None:
    """With damage and odd values anywhere, and a growing file, both give the same answers."""
    chance = random.Random(seed)
    for category in ("database_operations", "error_logs"):
        path = path_of(root, category)
        lines = path.read_bytes().splitlines(keepends=True)
        for at in sorted(chance.sample(range(len(lines)), 12), reverse=True):
            lines.insert(at, poison(lines[at], chance))
        half = len(lines) // 2
        path.write_bytes(b"".join(lines[:half]) + lines[half][:50])
        later = b"".join([lines[half][50:], *lines[half + 1 :]])
        path.with_name("later").write_bytes(later)
    assert_same(root)
    before = parts(root)
    for category in ("database_operations", "error_logs"):
        path = path_of(root, category)
        with path.open("ab") as stream:
            stream.write(path.with_name("later").read_bytes())
    assert_same(root)
    assert set(before) < set(parts(root))


def test_columns_of_a_file_that_was_replaced_or_removed_are_made_anew(root: Path) -> None:
    """The new file may be of the same size, shorter, compressed, or missing."""
    assert_same(root)
    path = path_of(root)
    lines = path.read_bytes().splitlines(keepends=True)
    before = parts(root)
    draft = path.with_name("draft")
    draft.write_bytes(b"".join(reversed(lines[100:])))
    draft.replace(path)
    assert_same(root)
    assert not set(before) & set(parts(root))
    path.write_bytes(b"".join(lines[:300]))
    assert_same(root)
    packed = path.with_name(f"{path.name}.zst")
    packed.write_bytes(zstandard.ZstdCompressor(level=0).compress(b"".join(lines)))
    path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEAST_BYTES", 1_000)
        assert_same(root)
        assert len(parts(root)) == 1
    packed.unlink()
    assert_same(root, made=False)


def test_a_moment_limits_them_as_it_limits_the_lines(root: Path) -> None:
    """`--since` within a day that exists as columns selects the same events."""
    since = f"{DAY}T12:00:00.000000Z"
    assert answers(root, columns=True, since=since) == answers(root, columns=False, since=since)
    assert parts(root)


def test_they_are_as_private_as_the_log_and_a_small_log_has_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permissions are those of the log directory, for any umask."""
    root.chmod(0o700)
    assert_same(root)
    assert {stat.S_IMODE(part.stat().st_mode) for part in parts(root)} == {0o600}
    for part in parts(root):
        part.unlink()
    monkeypatch.setattr(module, "_LEAST_BYTES", 10_000_000)
    assert answers(root, columns=True) == answers(root, columns=False)
    assert not parts(root)


def test_where_they_cannot_be_made_the_lines_are_read(root: Path) -> None:
    """If a file blocks their folder, the lines are read."""
    (root / ".index").write_text("")
    assert_same(root, made=False)


def test_an_erasure_leaves_none_of_a_person(root: Path) -> None:
    """They are removed with the index, and rebuilt from the remaining lines."""
    assert_same(root)
    assert parts(root)
    erasure.run(root, lead_ids=["lead-000003"])
    assert not parts(root)
    assert_same(root)

"""Readers, and parts of the archive that are broken or go away while they are read."""

import subprocess
import sys

import orjson
import pytest

from leadlog.analytics import summary
from leadlog.analytics.summary import count_days
from leadlog.errors import ReadError
from leadlog.layout import log_files
from leadlog.reading import frame
from tests.bench.made_events import events

DAY = "2026-11-01"
CATEGORY = "database_operations"


@pytest.fixture
def sealed(root, run, tools):
    """A day that lies in Parquet, without its bucket table."""
    made = [
        orjson.dumps(line) + b"\n" for line in events(DAY, 300) if CATEGORY[:8] in line["log_type"]
    ]
    tools.add(root, f"{CATEGORY}/{DAY}.jsonl", content=b"".join(made))
    assert run().errors == ()
    (root / "archive" / "buckets" / f"{DAY}.json.zst").unlink()
    return len(made)


@pytest.fixture
def broken(root, sealed):
    """Its part, cut off."""
    (file,) = log_files(root)
    file.path.write_bytes(file.path.read_bytes()[:1000])
    return file.path


@pytest.mark.parametrize(
    "command",
    [
        ["summary", "--date", DAY],
        ["summary", "--date", DAY, "--exact"],
        ["slow"],
        ["session", "aaaaaaaa"],
        ["query", "SELECT count(*) FROM operations"],
        ["tail"],
    ],
    ids=" ".join,
)
def test_a_command_names_the_broken_part_on_one_line(root, broken, environment, command):
    """No traceback, no copy of leadlog's own SQL; what to do about it."""
    done = subprocess.run(
        [sys.executable, "-m", "leadlog", *command, "--directory", root],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 3
    assert line.startswith("Error: cannot read ")
    assert line.count(str(broken)) >= 1
    assert "No magic bytes found" in line
    assert "from a backup" in line
    assert not {"LINE", "Traceback", "\\n"} & set(line.replace(",", " ").split())


def test_a_library_user_gets_a_read_error(root, broken):
    """Not one of DuckDB's."""
    for read in (
        lambda: count_days(root, DAY),
        lambda: frame(root, "operations"),
    ):
        with pytest.raises(ReadError, match=r"No magic bytes found.*from a backup"):
            read()


def test_a_day_whose_parts_are_merged_meanwhile_is_counted_once(root, run, tools, monkeypatch):
    """What was listed is gone when it is to be read: it is listed again."""
    made = [
        orjson.dumps(line) + b"\n" for line in events(DAY, 300) if CATEGORY[:8] in line["log_type"]
    ]
    for number, name in enumerate(("", ".w1", ".w2")):
        tools.add(root, f"{CATEGORY}/{DAY}{name}.jsonl", content=b"".join(made[number::3]))
    expected = count_days(root, DAY, exact=True)
    listed = []

    def merged_after(*args, **more):
        found = log_files(*args, **more)
        if not listed:
            assert len(run().results) == 4
            (root / "archive" / "buckets" / f"{DAY}.json.zst").unlink()
        listed.append(found)
        return found

    monkeypatch.setattr(summary, "log_files", merged_after)
    found = count_days(root, DAY, exact=True)
    assert (found.tally, found.exact) == (expected.tally, expected.exact)
    assert [len(files) for files in listed] == [3, 1]

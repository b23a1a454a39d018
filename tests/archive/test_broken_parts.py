"""Readers of archive parts that are broken or removed while they are read."""

import subprocess
import sys

import orjson
import pytest

from leadlog.core.errors import ReadError
from leadlog.core.layout import log_files
from leadlog.reading import frame
from leadlog.reading.analytics import summary
from leadlog.reading.analytics.summary import count_days
from tests.bench.made_events import events

DAY = "2026-11-01"
CATEGORY = "database_operations"


LINES = [
    orjson.dumps(line) + b"\n"
    for line in events(DAY, 300)
    if line["log_type"] == "database_operation"
]


def seal(root, run):
    """Seal the log without a bucket table."""
    report = run()
    assert report.errors == ()
    (root / "archive" / "buckets" / f"{DAY}.json.zst").unlink()
    return [one.action.verb for one in report.results]


@pytest.fixture
def broken(root, run, tools):
    """Return a truncated part."""
    tools.add(root, f"{CATEGORY}/{DAY}.jsonl", content=b"".join(LINES))
    seal(root, run)
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
    """The error is one line with a remedy, without a traceback and without leadlog's SQL."""
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
    assert f"No magic bytes found at end of file '{broken}'" in line
    assert "from a backup" in line
    assert not [word for word in ("LINE 1", "Traceback", "SELECT") if word in line]


def test_a_library_user_gets_a_read_error(root, broken):
    """Library users get a ReadError, not one of DuckDB."""
    for read in (
        lambda: count_days(root, DAY),
        lambda: frame(root, "operations"),
    ):
        with pytest.raises(ReadError, match=r"No magic bytes found.*from a backup"):
            read()


@pytest.mark.parametrize("sealed", [0, 2], ids=["lines", "a part and lines"])
def test_a_day_that_is_merged_meanwhile_is_counted_once(root, run, tools, monkeypatch, sealed):
    """Files that are gone when Python or DuckDB reads them are listed again."""
    for number, name in enumerate(("", ".w1", ".w2")):
        tools.add(root, f"{CATEGORY}/{DAY}{name}.jsonl", content=b"".join(LINES[number::3]))
        if number + 1 == sealed:
            assert seal(root, run) == ["archive", "archive", "merge"]
    expected = count_days(root, DAY, exact=True)
    listed = []

    def merged_after(*args, **more):
        found = log_files(*args, **more)
        if not listed:
            assert seal(root, run)[-1] == "merge"
        listed.append(found)
        return found

    monkeypatch.setattr(summary, "log_files", merged_after)
    found = count_days(root, DAY, exact=True)
    assert (found.tally, found.exact) == (expected.tally, expected.exact)
    assert [len(files) for files in listed] == [2 if sealed else 3, 1]

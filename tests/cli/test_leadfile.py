"""A user's file of leads, and what else a file may hold."""

import gzip
import json

import pytest

from leadlog.cli.demo.leadfile import LeadFileError, read_leads
from leadlog.core.errors import ReadError

ROWS = [{"First Name": "Ana", "Last Name": "Gómez"}, "no lead", {}]


@pytest.mark.parametrize("data", [ROWS, {"leads": ROWS, "exported": "today"}])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_array_or_an_object_with_leads(tmp_path, data, mark):
    """Both forms are taken, with or without a byte order mark, and rows stay as they are."""
    path = tmp_path / "leads.json"
    path.write_bytes(mark + json.dumps(data, ensure_ascii=False).encode())
    assert read_leads(path) == ROWS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("leads.jsonl", b'{"name": "a"}\n{"name": "b"}\n'),
        ("leads.jsonl.gz", gzip.compress(mtime=0, data=b'{"name": "a"}\n{"name": "b"}\n')),
        ("leads.csv", b"name\na\nb\n"),
    ],
)
def test_every_form_that_a_migration_takes(tmp_path, name, content):
    """Lines and tables, packed or not, are read as `leadlog migrate` reads them."""
    path = tmp_path / name
    path.write_bytes(content)
    assert read_leads(path) == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,company\n", "line 1: its syntax is wrong: Expecting value"),
        (b'[{"name": "a"},\n{"name"', "line 2: its syntax is wrong"),
        (b'[{"name": "\xe9"}]', "line 1: the byte 0xe9 is not UTF-8"),
        (b"[" * 200_000, "line 1: "),
    ],
)
def test_what_is_no_record_is_refused_with_the_remedy(tmp_path, content, message):
    """The error names the file and the line, and the command that lists all errors."""
    path = tmp_path / "leads.json"
    path.write_bytes(content)
    with pytest.raises(LeadFileError, match=message) as caught:
        read_leads(path)
    assert str(path) in str(caught.value)
    assert "leadlog migrate leads.json --dry-run" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    """A missing file, or a directory, is named with the reason."""
    with pytest.raises(ReadError, match=r"leads\.json: No such file"):
        read_leads(tmp_path / "leads.json")
    with pytest.raises(ReadError, match="Is a directory"):
        read_leads(tmp_path)

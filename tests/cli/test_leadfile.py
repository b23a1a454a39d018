"""A user's file of leads, and what else a file may hold."""

import json

import pytest

from leadlog.cli.leadfile import LeadFileError, read_leads
from leadlog.errors import ReadError

ROWS = [{"First Name": "Ana", "Last Name": "Gómez"}, "no lead", {}]


@pytest.mark.parametrize("data", [ROWS, {"leads": ROWS, "exported": "today"}])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_array_or_an_object_with_leads(tmp_path, data, mark):
    """Both forms are taken, with or without a byte order mark, and rows stay as they are."""
    path = tmp_path / "leads.json"
    path.write_bytes(mark + json.dumps(data, ensure_ascii=False).encode())
    assert read_leads(path) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; the demo takes a JSON array of leads"),
        (b"  \n", "is empty"),
        (b"name,company\n", "is no JSON: Expecting value in line 1, column 1"),
        (b'[{"name": "a"},\n]', "line [12], column"),
        (b'{"name": "a"}\n{"name": "b"}\n', r"make it one array: jq -s \. leads\.json"),
        (b'{"name": "a"}', 'an object without a list of "leads"'),
        (b'{"leads": {}}', 'an object without a list of "leads"'),
        (b'"text"', "holds a text"),
        (b"17", "holds a number"),
        (b"null", "holds null"),
        (b'[{"name": "\xe9"}]', r"not UTF-8 \(byte 11\).*iconv"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_anything_else_is_refused_with_the_remedy(tmp_path, content, message):
    """The error names the file, what it holds and what would do."""
    path = tmp_path / "leads.json"
    path.write_bytes(content)
    with pytest.raises(LeadFileError, match=message) as caught:
        read_leads(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    """A file that is not there, or is a directory, is named with the reason."""
    with pytest.raises(ReadError, match=r"leads\.json: No such file"):
        read_leads(tmp_path / "leads.json")
    with pytest.raises(ReadError, match="Is a directory"):
        read_leads(tmp_path)

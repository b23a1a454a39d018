"""`leadlog errors` names a place in the code as its user would write it."""

import orjson
import pytest

from tests.bench.made_events import blank


@pytest.mark.handmade_lines
def test_a_place_below_the_working_directory_is_relative_to_it(run, tmp_path, monkeypatch):
    """A place elsewhere, and a text that is not a place, are not changed."""
    root, work = tmp_path / "log", tmp_path / "work"
    places = {
        "a": f"{work}/shop.py:45 in add",
        "b": f"{tmp_path}/other/lib.py:3 in call",
        "c": "somewhere",
    }
    (root / "error_logs").mkdir(parents=True)
    work.mkdir()
    lines = []
    for number, (fingerprint, place) in enumerate(places.items()):
        event = blank("error_log", 1_000_000 * number, number, "2026-11-01")
        event["error_details"] |= {"fingerprint": fingerprint * 16, "error_type": "database_error"}
        event["context"] |= {"operation_in_progress": "Contact.create", "called_from": place}
        lines.append(orjson.dumps(event) + b"\n")
    (root / "error_logs" / "2026-11-01.jsonl").write_bytes(b"".join(lines))
    monkeypatch.chdir(work)
    shown = run("errors", "--directory", str(root)).output
    assert "in Contact.create, called from shop.py:45 in add\n" in shown
    assert f"called from {tmp_path}/other/lib.py:3 in call\n" in shown
    assert "called from somewhere\n" in shown

"""The changelog's entries are whole, and none stands there twice."""

import itertools
import re
from difflib import SequenceMatcher
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def entries() -> list[str]:
    """Return the entries of the newest version, each on one line."""
    newest = CHANGELOG.read_text(encoding="utf-8").split("\n## ")[1]
    found = re.findall(r"^- (.*(?:\n  .*)*)", newest, re.MULTILINE)
    return [" ".join(one.split()) for one in found]


def test_an_entry_is_a_whole_sentence() -> None:
    """A merge can cut an entry in half."""
    assert [one for one in entries() if not one.endswith(".")] == []


def test_no_entry_stands_twice() -> None:
    """A merge can keep both the old and the new wording of an entry."""
    twice = [
        pair
        for pair in itertools.combinations(entries(), 2)
        if SequenceMatcher(None, *pair, autojunk=False).quick_ratio() > 0.75
        and SequenceMatcher(None, *pair, autojunk=False).ratio() > 0.7
    ]
    assert twice == []

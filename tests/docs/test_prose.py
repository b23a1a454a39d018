"""The words of the project: what docs, help, errors, docstrings and comments do not say."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import leadlog
import leadlog_processors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [Path(package.__path__[0]) for package in (leadlog, leadlog_processors)]
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_KIND = "number|digit|date|mapping|list|table|share|size|URL|text|event|JSON|duration|file mode"
INSTEAD = {
    rf"(?<!there )\b(is|was) no ({_KIND})\b(?! of anybody)": "is not a …",
    r"\bwhat the (database|server) made of\b": "the outcome",
    r"\bso manieth\b": "every n-th",
    r"\bparted by\b": "separated by",
    r"\blets? so many\b": "limits",
    r"\bhush(es|ed)?\b": "inhibits, suppressed",
    r"\b(likeness)\b": "similarity",
    r"\btaker\b": "importer",
    r"\btombstone grave\b|\bgraves?\b": "tombstones",
    r"--mend\b": "--repair",
    r"\b(utili[sz]e|leverage)s?\b": "use",
    r"\bin order to\b": "to",
    r"\b(simply|obviously|of course)\b": "leave it out",
}
"""What is not written, and what is."""


@pytest.mark.parametrize("wrong", INSTEAD)
def test_plain_words_are_used(wrong: str) -> None:
    """No page and no source says it in the other way; the list says what it says instead."""
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in (*PAGES, *SOURCES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(wrong, line, re.IGNORECASE)
    ]
    assert found == [], f"write: {INSTEAD[wrong]}"


SHARED = {
    *("Alert", "Batch", "Change", "Context", "Counts", "Difference", "Envelope", "Field"),
    *("Figures", "Filter", "Found", "Health", "Intake", "Limits", "Listing", "LoggingHandler"),
    *("Meter", "Operation", "Person", "Place", "Progress", "Quality", "Report", "Rest", "Row"),
    *("Rows", "Run", "Runs", "Scan", "Session", "Slot", "Source", "State", "Table", "Tally"),
    *("Target", "Transport", "Window", "Cell", "Column", "Destination", "Event", "Kind", "Page"),
}
"""Names that two rooms have by now; none is to be added."""


def test_no_two_classes_get_the_same_name() -> None:
    """One word for one thing, so that a name in a traceback or a page is found once."""
    names: Counter[str] = Counter()
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names.update(node.name for node in tree.body if isinstance(node, ast.ClassDef))
    twice = {name for name, n in names.items() if n > 1 and not name.startswith("_")}
    assert twice <= SHARED

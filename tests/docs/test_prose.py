"""The project's wording: expressions that docs, help, errors and docstrings avoid."""

import re
from pathlib import Path

import pytest

import leadlog
import leadlog_processors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [Path(package.__path__[0]) for package in (leadlog, leadlog_processors)]
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_KIND = (
    "number|digit|date|mapping|list|table|share|size|URL|text|event|JSON|duration|file mode|"
    "point in time|week|whole number|copy of|manifest|memory file system|feature|password"
)
INSTEAD = {
    rf"(?<!there )\b(is|was) no ({_KIND})\b(?! of anybody)": "is not a …",
    r"\bwhat the (database|server) made of\b": "the outcome",
    r"\bso manieth\b": "every n-th",
    r"\bparted by\b": "separated by",
    r"\b(brings?|brought) (its|their) lines home\b": "writes them to the files",
    r"\blets? so many\b": "limits",
    r"\bhush(es|ed)?\b": "inhibits, suppressed",
    r"\b(likeness)\b": "similarity",
    r"\btaker\b": "importer",
    r"\btombstone grave\b|\bgraves?\b": "tombstones",
    r"\bwhoever\b": "name who: the process, the caller, a writer",
    r"(?<!same )\bas above\b": "say it again",
    r"(?<!: )\b(any|suppressed no) more\b": "no longer",
    r"\bwhat bec(omes?|ame) of\b": "the outcome, the result, the counts",
    r"\btold apart\b": "distinguished",
    r"\b(told|tells?) of\b": "reported, shown",
    r"\bis told\b(?! to)": "is called with, is reported",
    r"\bfor ever\b": "forever",
    r"\b(brings?|goes|go|come|comes) home\b": "recovers, is written",
    r"\bso many (bytes|cells|characters|seconds|leads|runs|records|rows)\b": "name the parameter",
    r"--mend\b": "--repair",
    r"\bpeople should know of\b": "for the operator",
    r"\bso that nobody\b|\bsomebody writes\b": "name who: the process, the caller, a writer",
    r"\bthrown away\b": "discarded",
    r"\b(utili[sz]e|leverage)s?\b": "use",
    r"\bin order to\b": "to",
    r"\b(simply|obviously|of course)\b": "leave it out",
}
"""Pattern to avoid, and the wording to use instead."""


@pytest.mark.parametrize("wrong", INSTEAD)
def test_plain_words_are_used(wrong: str) -> None:
    """No page and no source contains the pattern."""
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in (*PAGES, *SOURCES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(wrong, line, re.IGNORECASE)
    ]
    assert found == [], f"write: {INSTEAD[wrong]}"

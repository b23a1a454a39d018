"""The pages' static files: small, complete, and with the licence of third-party code."""

import gzip
import json
import re
from importlib import resources
from pathlib import Path

import pytest

from leadlog.dashboard.assets import asset, page

FOLDER = resources.files("leadlog.dashboard") / "assets"
NAMES = sorted(entry.name for entry in FOLDER.iterdir())
QUESTIONS = Path(__file__).parents[2] / "docs" / "how-to" / "query.md"


def test_every_script_and_style_is_served():
    """Every file in the folder is served by its name, except pages and data."""
    own = {name for name in NAMES if name.endswith((".js", ".css", ".svg"))}
    assert own
    assert all(asset(name) is not None for name in own)
    for name in ("app.html", "login.html"):
        assert page(name).startswith("<!doctype html>")


def test_scripts_and_styles_are_small():
    """Below 70 KB when compressed, as they would be sent on a slow line."""
    content = [(FOLDER / name).read_bytes() for name in NAMES if name.endswith((".js", ".css"))]
    assert sum(len(gzip.compress(one)) for one in content) < 70_000


def test_the_licence_of_what_is_not_ours_is_beside_it():
    """The text of uPlot's MIT licence is shipped with it."""
    assert "MIT" in (FOLDER / "uplot.LICENSE").read_text("utf-8")
    assert "v1.6.32" in (FOLDER / "uplot.js").read_text("utf-8")[:80]


@pytest.mark.parametrize(
    "name", [one for one in NAMES if one.endswith(".js") and one != "uplot.js"]
)
def test_our_scripts_never_read_a_text_as_markup(name):
    """Texts are set as text; nothing makes code of them."""
    text = (FOLDER / name).read_text("utf-8")
    for sink in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert sink not in text, sink


def test_the_twenty_questions_are_those_of_the_documentation():
    """The page's twenty questions have the SQL and jq commands of the documentation."""
    found = re.findall(
        r"### (\d+\. [^\n]+)\n.*?```sql\n(.*?)```.*?\$ (jq .*?)\n```",
        QUESTIONS.read_text("utf-8"),
        re.DOTALL,
    )
    told = json.loads((FOLDER / "questions.json").read_text("utf-8"))
    assert [(one["title"], one["sql"], one["jq"]) for one in told] == [
        (title, sql.strip(), line) for title, sql, line in found
    ]
    assert len(told) == 20

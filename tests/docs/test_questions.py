"""The evaluation set for text-to-SQL that docs/questions.py makes of the twenty questions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.docs.test_examples import ROOT

SCRIPT = ROOT / "docs" / "questions.py"


def run(*arguments: object) -> str:
    """Run the script and return its output."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_right_answers_are_told_from_wrong_ones(tmp_path: Path) -> None:
    """A question's own SQL is right, another question's is wrong, and harmful SQL is just wrong."""
    folder = tmp_path / "set"
    run("make", folder)
    asked: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()
    ]
    assert [one["id"] for one in asked] == list(range(1, 21))
    assert sum(bool(one["answer"]) for one in asked) >= 15
    schema = json.loads((folder / "schema.json").read_text())
    assert schema["operations"]["execution_time_ms"] == "double"
    answers = tmp_path / "answers.jsonl"
    # The first two swapped, one that reads another file, one with other names, and one as it is.
    given = {
        1: asked[1]["sql"],
        2: asked[0]["sql"],
        3: "SELECT * FROM read_text('/etc/passwd')",
        4: f"SELECT * FROM ({asked[3]['sql'].rstrip(';')}) AS renamed",
        5: asked[4]["sql"],
    }
    answers.write_text("".join(json.dumps({"id": k, "sql": v}) + "\n" for k, v in given.items()))
    found = json.loads(run("score", folder, answers))
    assert found == {"questions": 20, "answered": 5, "right": [4, 5]}

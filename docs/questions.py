"""The twenty questions of docs/how-to/query.md as an evaluation set for text-to-SQL.

    python docs/questions.py make DIR             the demo's log, and its questions with answers
    python docs/questions.py score DIR ANSWERS    the number of correct answers in a file

`DIR/questions.jsonl` has `id`, `question`, `sql` and `answer` (the rows), `DIR/schema.json` the
tables with their columns and types. ANSWERS has a line for each question, `{"id": 1, "sql": "…"}`.
The SQL runs in the process of `leadlog query`, which can do nothing but read the log. An answer is
correct if its rows have the same values in the same order, whatever the names of the columns.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "how-to" / "query.md"
QUESTION = re.compile(r"### (\d+)\. ([^\n]+)\n\n```sql\n(.*?)```", re.DOTALL)
DIGITS = 9


def questions() -> list[dict[str, Any]]:
    """Return the questions of the page with their SQL."""
    found = QUESTION.findall(PAGE.read_text(encoding="utf-8"))
    return [
        {"id": int(number), "question": question, "sql": sql.strip()}
        for number, question, sql in found
    ]


def rows_of(log: Path, sql: str) -> list[list[Any]] | None:
    """Return the values of the rows of an SQL text; None if it fails."""
    from leadlog.core.errors import LeadlogError
    from leadlog.reading.query import Limits, run_query
    from leadlog.reading.values import json_text

    try:
        with run_query(log, sql, limits=Limits(seconds=20)) as rows:
            found = [row for batch in rows.reader for row in batch.to_pylist()]
    except LeadlogError as error:
        print(f"  {error}", file=sys.stderr)
        return None
    return [list(json.loads(json_text(row)).values()) for row in found]


def make(folder: Path) -> None:
    """Write the log, the questions with their answers, and the schema."""
    from leadlog.reading.analytics.engine import DuckDBEngine
    from leadlog.reading.duck import connect
    from leadlog.reading.tables import Tables

    folder.mkdir(parents=True)
    log = folder / "database_logs"
    demo = [sys.executable, "-m", "leadlog", "demo", "--count", "60"]
    subprocess.run(demo, check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    with (
        (folder / "questions.jsonl").open("w", encoding="utf-8") as stream,
        DuckDBEngine(log) as engine,
    ):
        for one in questions():
            answer = [list(row.values()) for row in engine.rows(one["sql"])]
            stream.write(json.dumps({**one, "answer": answer}) + "\n")
    with connect() as connection:
        tables = Tables(connection, log)
        schema = {
            name: {field.name: str(field.type) for field in tables.schema(name)}
            for name in tables.names()
        }
    (folder / "schema.json").write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; numbers may differ by a rounding error."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        try:
            return round(float(one) - float(other), DIGITS) == 0
        except (TypeError, ValueError):
            return False
    return bool(one == other)


def score(folder: Path, answers: Path) -> dict[str, Any]:
    """Return the number of questions and of answers, and the ids of the correct answers."""
    given = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    said = {one["id"]: str(one["sql"]) for one in given}
    right = []
    asked = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    for one in asked:
        rows = rows_of(folder / "database_logs", said[one["id"]]) if one["id"] in said else None
        if rows is not None and same(rows, one["answer"]):
            right.append(one["id"])
    return {"questions": len(asked), "answered": len(said), "right": right}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "score"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("answers", type=Path, nargs="?")
    given = parser.parse_args()
    if given.what == "make":
        make(given.folder)
        return 0
    if given.answers is None:
        parser.error("score needs the file of answers")
    print(json.dumps(score(given.folder, given.answers)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""DuckDB over every kind of file equals plain Python; Spark is tested in test_spark."""

import shutil
from pathlib import Path

import pytest

from leadlog.core.layout import log_files
from leadlog.reading import archive
from leadlog.reading.analytics.engine import DuckDBEngine
from leadlog.reading.analytics.queries import BUILT_IN
from leadlog.reading.analytics.summary import count_days
from tests.analytics.answers import answers, summaries
from tests.analytics.plain import PLAIN


def test_every_built_in_query_is_done_in_plain_python_too() -> None:
    """No built-in query is missing from the comparison."""
    assert PLAIN.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("kind", ["lines", "compressed", "parquet", "both"])
def test_duckdb_says_what_plain_python_says(
    kind: str, written: Path, sealed: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    """DuckDB and plain Python agree over lines, compressed lines, Parquet, and a mixture."""
    root = {"lines": written, "parquet": sealed}.get(kind, tmp_path / "log")
    if kind == "compressed":
        shutil.copytree(written, root)
        archive.run(root, archive.Policy(compress_after_days=1), today="2026-11-30")
        assert all(file.compressed for file in log_files(root))
    if kind == "both":
        shutil.copytree(sealed, root)
        for category in ("database_operations", "sync_operations"):
            shutil.copytree(written / category, root / category, dirs_exist_ok=True)
    with DuckDBEngine(root) as engine:
        found = answers(engine)
    found |= summaries(lambda *days: count_days(root, *days, exact=True, engine="duckdb"))
    assert found == expected

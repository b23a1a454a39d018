"""Erasure of a person from the log: files, archive, bucket tables and daily summaries.

    from leadlog.reading import erasure

    report = erasure.run("database_logs", lead_ids=["lead-1"], emails=["ana@acme.example"])

`leadlog erase` does the same from the command line, and also writes the audit record.
"""

from leadlog.reading.erasure.person import Identity
from leadlog.reading.erasure.report import Changed, ErasureReport
from leadlog.reading.erasure.run import run

__all__ = ["Changed", "ErasureReport", "Identity", "run"]

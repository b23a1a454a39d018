"""The quality of duplicate recognition, on a file of people with known duplicates.

Set `DUPLICATES_CSV` to a CSV file with the columns unique_id, first_name, surname, dob, city,
email and cluster (rows of one cluster are one person), such as the "fake_1000" set that record
linkage libraries are tried on.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from leadlog.leads.store import LeadDatabase

FILE = os.environ.get("DUPLICATES_CSV", "")


def pairs_of(groups):
    return {pair for group in groups for pair in combinations(sorted(group), 2)}


@pytest.mark.skipif(not FILE, reason="set DUPLICATES_CSV to a file of people with clusters")
def test_no_merge_is_false_and_the_recall_is_told(capsys):
    """Automatic merges have precision 1.000; their recall and that of suggestions is printed."""
    with Path(FILE).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    clusters, merged = defaultdict(set), defaultdict(set)
    row_of = {}
    with LeadDatabase(":memory:", capture=False) as db:
        for row in rows:
            clusters[row["cluster"]].add(int(row["unique_id"]))
            names = [row["first_name"], row["surname"]]
            if not any(names):
                continue
            lead_id = db.add_lead(
                {
                    "first_name": row["first_name"],
                    "last_name": row["surname"],
                    "email": row["email"],
                    "location": row["city"],
                }
            )
            merged[lead_id].add(int(row["unique_id"]))
            row_of.setdefault(lead_id, int(row["unique_id"]))
        suggested = {
            least: {
                tuple(sorted((row_of[pair.first["id"]], row_of[pair.second["id"]])))
                for pair in db.find_all_duplicates(least)
            }
            for least in (0.7, 0.85, 0.95)
        }
    true, found = pairs_of(clusters.values()), pairs_of(merged.values())
    with capsys.disabled():
        print(
            f"\n{len(rows)} rows, {len(clusters)} persons, {len(true)} pairs of rows are one person"
        )
        print(
            f"merged: {len(found)} pairs, precision {len(found & true) / len(found):.3f}, "
            f"recall {len(found & true) / len(true):.3f}"
        )
        for least, some in suggested.items():
            print(
                f"suggested from {least:.2f}: {len(some)} more, "
                f"precision {len(some & true) / max(1, len(some)):.3f}, "
                f"recall of both {len((found | some) & true) / len(true):.3f}"
            )
    assert found - true == set()
    assert found

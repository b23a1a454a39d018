"""Writes a data set from a log: three Parquet files with documents and a manifest.

    DIR/train.parquet  calibration.parquet  test.parquet
        croissant.json  README.md  DATASHEET.md
        manifest.json

The manifest is written last and lists the hashes of all other files; its own SHA-256 is the data
set's version. The same log yields the same bytes.
"""

import hashlib
import io
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from leadlog.core.doors import parameter
from leadlog.core.errors import TrainingError
from leadlog.core.files import replace
from leadlog.core.places import note_export
from leadlog.reading.erasure.ledger import erasure_ids
from leadlog.training.documents import card, croissant, datasheet
from leadlog.training.examples import GROUPS, PARTS, Split, label_runs, split
from leadlog.training.features import SQL_VERSION
from leadlog.training.runs import RUN_COLUMNS, load_runs, runs_engine
from leadlog.training.targets import Target, target_named

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

__all__ = ["MANIFEST", "Dataset", "parquet_bytes", "source_hashes", "write_dataset", "write_split"]

MANIFEST: Final = "manifest.json"
FORMAT: Final = "leadlog-dataset"
FORMAT_VERSION: Final = 1


class Dataset(NamedTuple):
    """A data set that was written.

    Attributes:
        directory: The folder of the data set.
        version: SHA-256 of its manifest.
        manifest: The content of the manifest.
    """

    directory: Path
    version: str
    manifest: dict[str, Any]


def write_dataset(
    directory: str | os.PathLike[str],
    output: str | os.PathLike[str],
    target: str = "slow",
    *,
    since: str | None = None,
    until: str | None = None,
    groups: Collection[str] = GROUPS,
    embargo_s: float | None = None,
    objective_ms: float | None = None,
) -> Dataset:
    """Write a data set from a log.

    Args:
        directory: The log directory.
        output: A folder to create; if it exists, it must be empty or hold a data set, which is
            replaced.
        target: `slow`, `failed`, `duration` or `throttled`.
        since: Earliest start of the runs, in the format of `timestamp` in the records.
        until: End of the period; only runs that ended before it are used.
        groups: Units that must not span two parts: `transaction`, `session`, `lead`.
        embargo_s: Gap between the parts in seconds; at least, and by default, the longest run.
        objective_ms: For `slow`, a limit in milliseconds instead of the operation's percentile.

    Raises:
        TrainingError: There is no such target or group, there are too few examples, or the folder
            holds other files.
        ReadError: A log file cannot be read.
        MissingExtraError: DuckDB or pyarrow is not installed.
    """
    wanted = target_named(target)
    if unknown := sorted(set(groups) - set(GROUPS)):
        raise TrainingError(f"no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    if objective_ms is not None and target != "slow":
        option = parameter("objective_ms", "--objective-ms")
        raise TrainingError(f"{option} belongs to the target slow, and the target is {target}")
    folder = _folder(Path(output))
    with runs_engine(directory, until) as engine:
        load_runs(engine)
        connection = engine.connection
        label_runs(connection, wanted, objective_ms)
        found = split(
            connection, wanted, since=since, until=until, groups=groups, embargo_s=embargo_s
        )
        sources = source_hashes(connection)
        total, labelled = connection.execute(
            f"SELECT count(*), count(label) FROM labelled WHERE {wanted.population}"
        ).fetchall()[0]
    made = write_split(
        folder,
        wanted,
        found,
        sources=sources,
        groups=groups,
        objective_ms=objective_ms,
        erasures=erasure_ids(Path(directory)),
        unlabelled=total - labelled,
    )
    note_export(Path(directory), folder / MANIFEST)
    return made


def write_split(
    folder: Path,
    target: Target,
    found: Split,
    *,
    sources: list[dict[str, Any]],
    groups: Collection[str],
    objective_ms: float | None = None,
    erasures: list[str] | None = None,
    unlabelled: int = 0,
) -> Dataset:
    """Write a split as a data set; see `write_dataset`.

    Raises:
        OSError: A file cannot be written.
    """
    files = []
    for part in PARTS:
        content = parquet_bytes(found.parts[part])
        replace(folder / f"{part}.parquet", content, mode=0o644)
        files.append(_described(part, found.parts[part], content))
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "target": {
            "name": target.name,
            "version": target.version,
            "kind": target.kind,
            "objective_ms": objective_ms,
        },
        "sql_version": SQL_VERSION,
        "features": [one.name for one in target.features],
        "operations": list(found.operations),
        "bounds": {
            "first": found.first,
            "last": found.last,
            "calibration": found.boundaries[0],
            "test": found.boundaries[1],
        },
        "embargo_s": found.embargo_s,
        "groups": sorted(groups, key=GROUPS.index),
        "dropped": {"unlabelled": unlabelled, **found.dropped},
        "files": files,
        "sources": sources,
        "erasures": erasures or [],
    }
    documents = {
        "croissant.json": croissant(manifest),
        "README.md": card(manifest),
        "DATASHEET.md": datasheet(manifest),
    }
    for name, content in documents.items():
        replace(folder / name, content, mode=0o644)
    manifest["documents"] = {
        name: hashlib.sha256(content).hexdigest() for name, content in documents.items()
    }
    content = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    replace(folder / MANIFEST, content, mode=0o644)
    return Dataset(folder, hashlib.sha256(content).hexdigest(), manifest)


def _folder(path: Path) -> Path:
    """Create the output folder; refuse one with other content than a data set."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = sorted(one.name for one in path.iterdir())
    except OSError as error:
        raise TrainingError(
            f"cannot make the folder {str(path)!r}: {error.strerror}; name another with -o"
        ) from error
    if names and MANIFEST not in names:
        raise TrainingError(
            f"{str(path)!r} holds {names[0]!r} but no data set; name an empty or a new folder "
            "with -o"
        )
    # Remove the manifest first: the folder is not a data set while its files are replaced.
    (path / MANIFEST).unlink(missing_ok=True)
    return path


def parquet_bytes(table: "pa.Table") -> bytes:
    """Return a table as a Parquet file; equal rows give equal bytes."""
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(table.combine_chunks(), stream, compression="zstd", row_group_size=100_000)
    return stream.getvalue()


def _described(part: str, table: "pa.Table", content: bytes) -> dict[str, Any]:
    labels = table.column("label").to_pylist()
    weights = table.column("weight").to_pylist()
    total = sum(weights)
    began = table.column("started_at")
    return {
        "part": part,
        "name": f"{part}.parquet",
        "rows": table.num_rows,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "label_mean": sum(map(float.__mul__, map(float, labels), weights)) / total,
        "first": began[0].as_py().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "last": began[-1].as_py().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def source_hashes(connection: "DuckDBPyConnection") -> list[dict[str, Any]]:
    """Return, per kind of run and UTC day, the number of runs and a hash of their content.

    The hash does not depend on the form of the day's file: plain, compressed or archived.
    """
    columns = ", ".join(f"coalesce({name}::VARCHAR, '~')" for name in RUN_COLUMNS)
    rows = connection.execute(
        f"""
        SELECT kind, strftime(make_timestamp(ended_us), '%Y-%m-%d') AS day, count(*),
            sha256(string_agg(sha256(concat_ws('|', {columns})), '' ORDER BY ended_us, event_id))
        FROM runs GROUP BY 1, 2 ORDER BY 1, 2"""
    ).fetchall()
    return [
        {"category": kind, "date": day, "events": events, "sha256": digest}
        for kind, day, events, digest in rows
    ]

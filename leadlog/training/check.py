"""Checks a data set against its manifest, and whether it is stale."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from leadlog.core.clock import parse
from leadlog.core.errors import MissingExtraError, TrainingError
from leadlog.reading.erasure.ledger import erasure_ids
from leadlog.training.dataset import FORMAT, FORMAT_VERSION, MANIFEST, source_hashes
from leadlog.training.documents import COLUMNS
from leadlog.training.examples import PARTS
from leadlog.training.features import SQL_VERSION
from leadlog.training.runs import load_runs, runs_engine
from leadlog.training.targets import target_named

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_dataset", "read_manifest", "read_part"]


def read_manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """Return a data set's manifest and its version.

    Raises:
        TrainingError: There is no manifest, or it has another format.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        manifest: dict[str, Any] = orjson.loads(content)
        known = manifest["format"] == FORMAT and manifest["format_version"] == FORMAT_VERSION
    except FileNotFoundError as error:
        raise TrainingError(
            f"{str(folder)!r} is not a data set: it has no {MANIFEST}; make one with "
            f"`leadlog dataset -o {folder}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"cannot read {path}: {error}; make the data set again with `leadlog dataset`"
        ) from error
    if not known:
        raise TrainingError(
            f"{path} is of the format {manifest['format']!r} {manifest['format_version']!r}, and "
            f"this reads {FORMAT!r} {FORMAT_VERSION}; make it again with `leadlog dataset`"
        )
    return manifest, hashlib.sha256(content).hexdigest()


def read_part(folder: Path, part: str) -> "pa.Table":
    """Return one part of a data set.

    Raises:
        TrainingError: It cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(
            "a data set needs pyarrow, which is not installed; install leadlog[analytics]"
        ) from error
    path = folder / f"{part}.parquet"
    try:
        # As a stream: given a path, pyarrow would parse folder names such as `day=1` as partitions.
        with path.open("rb") as stream:
            return pq.read_table(stream)
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(
            f"cannot read {path}: {error}; make the data set again with `leadlog dataset`"
        ) from error


def check_dataset(
    folder: str | os.PathLike[str], log: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Compare a data set with its manifest, and with the log from which it was made.

    Args:
        folder: The folder of the data set.
        log: The log directory; without it, erasures and changes of the log are not checked.

    Returns:
        `version`, `target`, `rows` (by part), `problems` (contradictions to the manifest, and
        leakage), `stale` (reasons to make it again) and `compared_with_log`.

    Raises:
        TrainingError: It is not a data set.
        ReadError: A log file cannot be read.
    """
    root = Path(folder)
    manifest, version = read_manifest(root)
    problems = list(_file_problems(root, manifest))
    if not problems:
        problems += _content_problems(root, manifest)
    stale = list(_old_versions(manifest))
    if log is not None:
        stale += _changes_of_log(manifest, Path(log))
    return {
        "version": version,
        "target": manifest["target"]["name"],
        "rows": {one["part"]: one["rows"] for one in manifest["files"]},
        "problems": problems,
        "stale": stale,
        "compared_with_log": log is not None,
    }


def _file_problems(root: Path, manifest: dict[str, Any]) -> Iterator[str]:
    hashes = {one["name"]: one["sha256"] for one in manifest["files"]} | manifest["documents"]
    for name, digest in hashes.items():
        try:
            content = (root / name).read_bytes()
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror}"
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            yield f"{name} is not the file that the manifest names: its SHA-256 is another one"


def _content_problems(root: Path, manifest: dict[str, Any]) -> Iterator[str]:
    target = target_named(manifest["target"]["name"])
    wanted = [*COLUMNS, *(one.name for one in target.features)]
    seen: dict[int, str] = {}
    last_end = 0
    for one in manifest["files"]:
        part = one["part"]
        table = read_part(root, part)
        if extra := [name for name in table.schema.names if name not in wanted]:
            yield f"{part} has the column {extra[0]!r}, which is not in the allow-list"
            continue
        if missing := [name for name in wanted if name not in table.schema.names]:
            yield f"{part} lacks the column {missing[0]!r}"
            continue
        if table.num_rows != one["rows"]:
            yield f"{part} has {table.num_rows} rows; the manifest says {one['rows']}"
        for group in set(table.column("group").to_pylist()):
            if "session" in manifest["groups"] and group in seen:
                yield f"group {group} is in {seen[group]} and in {part}"
            seen.setdefault(group, part)
        if table.column("label").null_count or table.column("weight").null_count:
            yield f"{part} has rows without a label or a weight"
        if target.kind == "binary" and set(table.column("label").to_pylist()) - {0, 1}:
            yield f"{part} has labels other than 0 and 1"
        if part != PARTS[0] and parse(one["first"]) < last_end + manifest["embargo_s"] * 1e6:
            yield f"{part} begins within the embargo after the part before it"
        last_end = parse(one["last"])


def _old_versions(manifest: dict[str, Any]) -> Iterator[str]:
    target = target_named(manifest["target"]["name"])
    if manifest["target"]["version"] != target.version:
        yield (
            f"the label {target.name!r} has version {target.version} now; the data set has "
            f"{manifest['target']['version']}"
        )
    if manifest["sql_version"] != SQL_VERSION:
        yield (
            f"the features have version {SQL_VERSION} now; the data set has "
            f"{manifest['sql_version']}"
        )


def _changes_of_log(manifest: dict[str, Any], log: Path) -> Iterator[str]:
    later = [one for one in erasure_ids(log) if one not in manifest["erasures"]]
    if later:
        yield (
            f"persons were erased from the log since ({len(later)} "
            f"{'erasure' if len(later) == 1 else 'erasures'}); make it again, and remove this one"
        )
    sources = manifest["sources"]
    with runs_engine(log) as engine:
        load_runs(engine)
        now = {(one["category"], one["date"]): one for one in source_hashes(engine.connection)}
    newest = max((one["date"] for one in sources), default="")
    for one in sources:
        found = now.get((one["category"], one["date"]))
        where = f"{one['category']} records of {one['date']}"
        if found is None:
            yield f"the {where} are no longer in the log"
        elif found["sha256"] != one["sha256"] and (
            one["date"] < newest or found["events"] <= one["events"]
        ):
            yield f"the {where} are others than those that the data set was made from"

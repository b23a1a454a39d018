"""What a migration puts aside first: verified copies of its sources and a backup of the store.

One directory for each migration, `<root>/<migration id>/`, with the copies in `sources/`, the
backup of the store, and `manifest.json`, which is written last: without it there is no backup.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import URL

from leadlog.core.errors import MigrationError
from leadlog.core.files import draft, replace
from leadlog.leads.store.location import in_memory

__all__ = ["BackupManifest", "copy_of", "default_root", "digest", "manifests", "read_manifest"]

_NAME = "manifest.json"
_PIECE = 1024 * 1024
Told = Callable[[int], object]
"""Told how many bytes more were read."""


@dataclass(slots=True)
class BackupManifest:
    """What was put aside for a migration.

    Attributes:
        migration_id: Which migration.
        created_at: When, RFC 3339.
        database: Where the store is, without the password.
        database_backup: The backup of the store, a name in the directory; None if there is none.
        leads: How many leads the store had.
        sources: `path`, `sha256`, `size_bytes` and `copy` (a name in the directory) of each file.
        rolled_back_at: When the store was brought back to it; None if it was not.
        directory: Where it is.
    """

    migration_id: str
    created_at: str
    database: str
    database_backup: str | None
    leads: int | None
    sources: list[dict[str, Any]] = field(default_factory=list)
    rolled_back_at: str | None = None
    directory: Path = field(default_factory=Path)

    def write(self) -> None:
        """Write it, whole or not at all."""
        found = asdict(self)
        del found["directory"]
        replace(self.directory / _NAME, json.dumps(found, indent=2).encode())


def default_root(url: URL) -> Path:
    """Where backups of migrations into a store are kept: beside its file, else here."""
    if url.get_backend_name() == "sqlite" and not in_memory(url) and "uri" not in url.query:
        return Path(str(url.database)).parent / "migration_backups"
    return Path("migration_backups").absolute()


def read_manifest(directory: Path) -> BackupManifest:
    """Read what was put aside in a directory.

    Raises:
        MigrationError: There is no such backup, or it is not readable.
    """
    try:
        found = json.loads((directory / _NAME).read_text("utf-8"))
        return BackupManifest(**found, directory=directory)
    except (OSError, ValueError, TypeError) as error:
        raise MigrationError(
            f"there is no whole backup in {directory} ({error}); `leadlog migrate backups` lists "
            "those that there are"
        ) from error


def manifests(root: Path) -> Iterator[BackupManifest]:
    """Give all backups below a directory, oldest first."""
    for path in sorted(root.glob(f"*/{_NAME}")):
        yield read_manifest(path.parent)


def digest(stream: BinaryIO, told: Told, *, into: BinaryIO | None = None) -> tuple[str, int]:
    """Return the SHA-256 of what is left of a stream, and its size in bytes.

    Args:
        stream: What to read.
        told: Called with the progress.
        into: Gets a copy.
    """
    found = hashlib.sha256()
    size = 0
    while piece := stream.read(_PIECE):
        found.update(piece)
        size += len(piece)
        if into is not None:
            into.write(piece)
        told(len(piece))
    return found.hexdigest(), size


def copy_of(source: Path, target: Path, sha256: str) -> None:
    """Copy a file, and read the copy back.

    Raises:
        MigrationError: The file has changed meanwhile, or the copy is not equal to it.
    """
    with draft(target) as partial:
        with source.open("rb") as stream, Path(partial).open("wb") as copy:
            now, _ = digest(stream, lambda _: None, into=copy)
        if now != sha256:
            raise MigrationError(
                f"{source} changed while it was copied; run this again when nothing writes to it"
            )
        with Path(partial).open("rb") as written_copy:
            written, _ = digest(written_copy, lambda _: None)
        if written != sha256:
            raise MigrationError(f"the copy {target} is not equal to {source}; check the disk")

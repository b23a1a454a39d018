"""The backup of a migration: verified copies of its sources and a backup of the store.

Each migration has a directory `<root>/<migration id>/` with the copies in `sources/`, the backup of
the store, and `manifest.json`, which is written last: a directory without it is not a backup.
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
"""Called with the number of further bytes read."""


@dataclass(slots=True)
class BackupManifest:
    """The manifest of a migration's backup.

    Attributes:
        migration_id: Id of the migration.
        created_at: Time of the backup, RFC 3339.
        database: URL of the store, with the password masked.
        database_backup: File name of the store's backup in the directory; None if there is none.
        leads: Number of leads in the store.
        sources: `path`, `sha256`, `size_bytes` and `copy` (a name in the directory) per file.
        rolled_back_at: Time of a rollback to this backup; None if there was none.
        directory: The directory of the backup.
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
        """Write the manifest atomically."""
        found = asdict(self)
        del found["directory"]
        replace(self.directory / _NAME, json.dumps(found, indent=2).encode())


def default_root(url: URL) -> Path:
    """Return the default directory of backups: next to the store's file, else the working one."""
    if url.get_backend_name() == "sqlite" and not in_memory(url) and "uri" not in url.query:
        return Path(str(url.database)).parent / "migration_backups"
    return Path("migration_backups").absolute()


def read_manifest(directory: Path) -> BackupManifest:
    """Return the manifest of a backup directory.

    Raises:
        MigrationError: There is no such backup, or it cannot be read.
    """
    try:
        found = json.loads((directory / _NAME).read_text("utf-8"))
        return BackupManifest(**found, directory=directory)
    except (OSError, ValueError, TypeError) as error:
        raise MigrationError(
            f"there is no complete backup in {directory} ({error}); `leadlog migrate backups` "
            "lists the existing ones"
        ) from error


def manifests(root: Path) -> Iterator[BackupManifest]:
    """Yield the manifests of all backups in a directory, oldest first."""
    for path in sorted(root.glob(f"*/{_NAME}")):
        yield read_manifest(path.parent)


def digest(stream: BinaryIO, told: Told, *, into: BinaryIO | None = None) -> tuple[str, int]:
    """Return the SHA-256 and the size in bytes of the rest of a stream.

    Args:
        stream: The stream to read.
        told: Called with the number of further bytes read.
        into: A stream to copy the content to.
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
    """Copy a file, and verify the copy by reading it back.

    Raises:
        MigrationError: The file no longer has this digest, or the copy differs from it.
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

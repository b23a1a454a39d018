"""The drop ledger: counts of lost lines, kept where another process can read them.

The log directory may be the very thing that cannot be written, so the counts lie in
`<tmpfs or temporary folder>/leadlog-<uid>/<hash of the log directory>/`, one small JSON file
per process, which outlives it.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

_INTERVAL_SECONDS = 1.0
_SUFFIX = ".drops.json"


def state_directory(directory: Path) -> Path:
    """Where the state of the log directory `directory` lies; it may not exist yet."""
    root = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, mode 0700
    if not os.access(root, os.W_OK):
        root = Path(tempfile.gettempdir())
    owner = os.getuid() if hasattr(os, "getuid") else 0
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    return root / f"leadlog-{owner}" / name


class DropLedger:
    """Writes one process's drop counts, at most once a second.

    Args:
        directory: the log directory that the drops belong to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._due = 0.0

    def note(self, dropped: Mapping[str, Mapping[str, int]], *, final: bool = False) -> None:
        """Keeps the counts so far.

        Args:
            dropped: lines lost, by category and cause.
            final: writes them although the last time was less than a second ago.
        """
        now = time.monotonic()
        if not dropped or (now < self._due and not final):
            return
        self._due = now + _INTERVAL_SECONDS
        state = {
            "directory": str(self._directory),
            "process_id": os.getpid(),
            "dropped": {category: dict(causes) for category, causes in dropped.items()},
        }
        folder = state_directory(self._directory)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"{os.getpid()}{_SUFFIX}"
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(orjson.dumps(state))
            temporary.replace(path)
        except OSError:
            # Nowhere left to keep them: the warning and `leadlog.stats()` still tell.
            return


def read_drops(directory: Path) -> list[dict[str, Any]]:
    """The drop counts of every process that lost lines of the log directory.

    Returns:
        One mapping per process: `directory`, `process_id`, `dropped` by category and cause.
    """
    found = []
    for path in sorted(state_directory(directory).glob(f"*{_SUFFIX}")):
        try:
            found.append(orjson.loads(path.read_bytes()))
        except (OSError, orjson.JSONDecodeError):
            continue
    return found

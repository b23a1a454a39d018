"""What an erasure is about, kept from its first change until nothing is left to do.

While files are rewritten, the lines go that say which address belongs to which id. A run that goes
on after a kill, or on a later day, takes what the first one found from here. It names the persons,
so it is readable by its owner only, and is removed with the last file that names them.
"""

import os
from pathlib import Path
from typing import Any

import attrs
import orjson

from leadlog.core.errors import ReadError
from leadlog.reading.erasure.person import Identity

__all__ = ["Journal"]

NAME = ".erasure.json"


class Journal:
    """The journal of one log directory.

    Args:
        root: the log directory.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / NAME

    def read(self) -> Identity:
        """What earlier runs have left to do; nothing where there is none.

        Raises:
            ReadError: it cannot be read.
        """
        try:
            data: dict[str, Any] = orjson.loads(self._path.read_bytes())
            return Identity(data["lead_ids"], data["emails"], data["operations"])
        except FileNotFoundError:
            return Identity()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReadError(
                f"cannot read {self._path}: {error}; remove it and name the leads again"
            ) from error

    def write(self, identity: Identity) -> None:
        """Keeps what is to be done, before anything is done.

        Raises:
            OSError: it cannot be written.
        """
        data = {name: sorted(texts) for name, texts in attrs.asdict(identity).items()}
        draft = self._path.with_name(f"{NAME}.tmp")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(orjson.dumps(data))
            stream.flush()
            os.fsync(fd)
        draft.replace(self._path)
        self._sync()

    def remove(self) -> None:
        """Forgets it.

        Raises:
            OSError: it cannot be removed.
        """
        self._path.unlink(missing_ok=True)
        self._path.with_name(f"{NAME}.tmp").unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

"""The journal of an erasure, kept from its first change until nothing is left to do.

While files are rewritten, the lines that relate addresses to ids are removed. A run that continues
after a kill, or on a later day, therefore reads the identities from the journal. It names the
persons, so it is as private as the log itself, and is removed with the last file that names them.
"""

from pathlib import Path
from typing import Any

import attrs
import orjson

from leadlog.core.errors import ReadError
from leadlog.core.files import replace, sync_folder
from leadlog.core.places import modes_of
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
        """Return the identity that earlier runs have left to erase; an empty one if there is none.

        Raises:
            ReadError: the journal cannot be read.
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
        """Store the identity before anything is erased.

        Raises:
            OSError: the journal cannot be written.
        """
        data = {name: sorted(texts) for name, texts in attrs.asdict(identity).items()}
        replace(self._path, orjson.dumps(data), mode=modes_of(self._path.parent)[0])

    def remove(self) -> None:
        """Remove the journal.

        Raises:
            OSError: the journal cannot be removed.
        """
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)

"""The ledger of erasures: the times at which persons were erased; it names no one and is kept.

Anything made from the log before, such as a data set or a model, is stale since then.
"""

import os
from pathlib import Path
from typing import Any

import orjson

from leadlog.core.clock import format_us, new_id, now_us
from leadlog.core.errors import ReadError
from leadlog.core.files import open_file
from leadlog.core.places import modes_of

__all__ = ["erasure_ids", "note_erasure"]

NAME = ".erasures.jsonl"


def note_erasure(directory: Path) -> None:
    """Append an erasure that changed something.

    Raises:
        OSError: The ledger cannot be written.
    """
    now = now_us()
    line = orjson.dumps({"erasure_id": new_id(now), "at": format_us(now)}) + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    fd = open_file(directory / NAME, flags, modes_of(directory)[0])
    with os.fdopen(fd, "ab") as stream:
        stream.write(line)
        stream.flush()
        os.fsync(fd)


def erasure_ids(directory: Path) -> list[str]:
    """Return the ids of all erasures of a log, in order.

    Raises:
        ReadError: The ledger cannot be read.
    """
    try:
        lines = (directory / NAME).read_bytes().splitlines()
        found: list[dict[str, Any]] = [orjson.loads(line) for line in lines if line.strip()]
        return [str(one["erasure_id"]) for one in found]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            f"cannot read {directory / NAME}: {error}; remove the line that is damaged"
        ) from error

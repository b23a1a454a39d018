"""What people said of errors: a small file beside the log, `error-marks.json`.

A mark belongs to a fingerprint. It stops to hold when the error comes again: a resolved one at
once, an ignored one after the time for which it was to be ignored.
"""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

from leadlog.core.clock import parse
from leadlog.core.errors import LogDirectoryError, ReadError
from leadlog.core.files import replace
from leadlog.core.places import modes_of
from leadlog.reading.moments import microseconds

__all__ = ["Mark", "marks_path", "read_marks", "set_mark", "state_of"]

Word = Literal["resolved", "ignored"]
State = Literal["open", "reopened", "resolved", "ignored"]

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """What was said of an error.

    Attributes:
        word: `resolved` or `ignored`.
        at: when, as `timestamp` in the records.
        days: for how long an ignored one is to be ignored.
    """

    word: Word
    at: str
    days: int | None = None


def marks_path(directory: str | os.PathLike[str]) -> Path:
    """Where the marks of a log lie."""
    return Path(directory) / "error-marks.json"


def read_marks(directory: str | os.PathLike[str]) -> dict[str, Mark]:
    """Fingerprint to mark.

    Raises:
        ReadError: the file cannot be read, or is none of leadlog's.
    """
    path = marks_path(directory)
    try:
        found = orjson.loads(path.read_bytes())
        return {fingerprint: Mark(**mark) for fingerprint, mark in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ReadError(
            f"cannot read the marks in {path}: {error}; correct the file, or remove it to start "
            "over"
        ) from error


def set_mark(directory: str | os.PathLike[str], fingerprint: str, mark: Mark | None) -> None:
    """Mark an error, or take its mark away. Readers see the old marks or the new ones.

    Raises:
        ReadError: the marks there are cannot be read.
        LogDirectoryError: they cannot be written.
    """
    path = marks_path(directory)
    try:
        with _alone(path.parent):
            marks = read_marks(directory)
            marks.pop(fingerprint, None)
            if mark is not None:
                marks[fingerprint] = mark
            plain = {key: asdict(one) for key, one in marks.items()}
            content = orjson.dumps(plain, option=orjson.OPT_INDENT_2)
            replace(path, content, mode=modes_of(path.parent)[0])
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror or error}; check that you may write there"
        ) from error


def state_of(mark: Mark | None, last_seen: dt.datetime) -> State:
    """Return whether an error is to be looked at, given when it came last (naive UTC)."""
    if mark is None:
        return "open"
    until = parse(mark.at)
    if mark.word == "ignored":
        until += (mark.days or 0) * _DAY_US
    return mark.word if microseconds(last_seen) <= until else "reopened"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from changing the marks meanwhile, where the system can lock folders."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)

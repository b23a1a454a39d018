"""Marks on errors, set by users: a small file in the log directory, `error-marks.json`.

A mark belongs to a fingerprint. It becomes void when the error occurs again: at once if it was
resolved, after the given number of days if it was ignored.
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
    """The mark of an error.

    Attributes:
        word: `resolved` or `ignored`.
        at: time of the mark, as `timestamp` in the records.
        days: number of days for which the error is ignored; None if it is resolved.
    """

    word: Word
    at: str
    days: int | None = None


def marks_path(directory: str | os.PathLike[str]) -> Path:
    """Return the path of the marks of a log."""
    return Path(directory) / "error-marks.json"


def read_marks(directory: str | os.PathLike[str]) -> dict[str, Mark]:
    """Return the marks by fingerprint.

    Raises:
        ReadError: the file cannot be read, or has another format.
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
    """Set or remove the mark of an error; readers see the old marks or the new ones.

    Raises:
        ReadError: the existing marks cannot be read.
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
    """Return the state of an error, given the time of its last occurrence (naive UTC)."""
    if mark is None:
        return "open"
    until = parse(mark.at)
    if mark.word == "ignored":
        until += (mark.days or 0) * _DAY_US
    return mark.word if microseconds(last_seen) <= until else "reopened"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the marks against concurrent changes, where the system can lock folders."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)

"""Damaged lines of a log, which are not events: listed, and quarantined on request."""

import base64
from pathlib import Path

import click

from leadlog.cli.terminal import count, message, print_json, safe
from leadlog.reading.damage import DamagedLine, damaged_lines

__all__ = ["list_lines"]

_SHOWN = 100


def list_lines(root: Path, taking: bool, as_json: bool) -> int:
    """Print the damaged lines, and quarantine those of past days on request.

    Args:
        root: the log directory.
        taking: whether to move them out of the log.
        as_json: whether to print them as JSON, uncut.

    Returns:
        The number of damaged lines left in the log; a line still being written is not counted.

    Raises:
        ReadError: a file cannot be read.
        LogDirectoryError: the log cannot be changed.
    """
    found = list(damaged_lines(root))
    kept = len([one for one in found if not one.unfinished])
    if as_json:
        print_json([_plain(root, one) for one in found])
    else:
        for one in found:
            click.echo(_line(root, one))
    if not found:
        message("every line is an event")
    if taking:
        from leadlog.reading.archive.quarantine import quarantine, quarantine_directory

        kept = 0
        for file in quarantine(root):
            kept += file.lines if file.kept else 0
            where = f"are in {quarantine_directory(root)} now"
            message(
                f"{count(file.lines, 'line')} of {file.path} "
                + (f"stay: {file.kept}" if file.kept else where)
            )
    return kept


def _name(root: Path, one: DamagedLine) -> str:
    path = one.file.path
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _line(root: Path, one: DamagedLine) -> str:
    text = safe(one.content[: 4 * _SHOWN].decode("utf-8", "backslashreplace"))
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    where = "" if one.offset is None else f" at byte {one.offset}"
    kind = ", unfinished" if one.unfinished else ""
    if one.cut is not None:
        kind = f", and the file cannot be read from here on ({safe(one.cut)})"
    return (
        f"{safe(_name(root, one))}: line {one.line_number + 1}{where}, "
        f"{len(one.content)} bytes{kind}: {text}"
    )


def _plain(root: Path, one: DamagedLine) -> dict[str, object]:
    return {
        "file": _name(root, one),
        "category": one.file.category,
        "line_number": one.line_number,
        "offset": one.offset,
        "unfinished": one.unfinished,
        "cut": one.cut,
        "base64": base64.b64encode(one.content).decode(),
    }

"""What is printed: stored values made harmless, JSON, tables.

A value in a log was written by anybody: a name may hold escape sequences that recolour or clear
a terminal, or marks that turn the direction of text around. Nothing stored reaches a terminal
raw.
"""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click
import orjson

__all__ = ["message", "print_json", "safe", "safe_json", "table"]

_JOINERS = "\u200c\u200d"  # needed by Persian, Indic scripts and emoji, and harmless


def safe(text: str) -> str:
    r"""A stored value as it may be shown: what is not printable is spelled out.

    >>> print(safe("a\x1b[2Jb\u202ec\nd"))
    a\x1b[2Jb\u202ec\nd
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def safe_json(line: bytes) -> bytes:
    r"""The same JSON with everything that is not printable as `\u` escapes.

    Control characters below space are escaped in JSON anyway; the others (delete, C1, marks of
    direction) are not, and terminals obey some of them.
    """
    if line.isascii():
        return line.replace(b"\x7f", b"\\u007f")
    text = line.decode("utf-8", "replace")
    if text.isprintable():
        return line
    return "".join(char if char.isprintable() else _escaped(char) for char in text).encode()


def _spelled(char: str) -> str:
    if char in _JOINERS:
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    return char.encode("unicode_escape").decode()


def _escaped(char: str) -> str:
    # Below space there are only the line breaks between JSON's own signs.
    if char < " " or char in _JOINERS or unicodedata.category(char) == "Zs":
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def message(text: str) -> None:
    """One line for people, on standard error."""
    click.echo(f"leadlog: {safe(text)}", err=True)


def print_json(value: Any) -> None:
    """A result as indented JSON on standard output."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str)
    sys.stdout.buffer.write(safe_json(text) + b"\n")
    sys.stdout.buffer.flush()


def table(
    rows: Iterable[Sequence[object]], header: Sequence[str] = (), *, right: Sequence[int] = ()
) -> list[str]:
    """Aligned columns, two spaces apart.

    Args:
        rows: cells; None is shown as `-`.
        header: titles of the columns.
        right: numbers of the columns that are aligned to the right.
    """
    cells = [["-" if cell is None else safe(str(cell)) for cell in row] for row in rows]
    if header:
        cells.insert(0, list(header))
    if not cells:
        return []
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]

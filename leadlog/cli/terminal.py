"""Terminal output: escaped stored values, JSON, tables, lines that fit the terminal.

A value in a log may come from anyone: a name may hold escape sequences that recolour or clear
a terminal, or marks that reverse the direction of text. Stored values are therefore never
printed raw.

Widths are counted in terminal cells: a Chinese character takes two, a combining accent none.
Output to a file or a pipe is never truncated.
"""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import click
import orjson

__all__ = [
    "Styled",
    "cells",
    "count",
    "fit",
    "line",
    "message",
    "print_json",
    "safe",
    "safe_json",
    "shows_progress",
    "table",
    "terminal_width",
]

_JOINERS = "\u200c\u200d"  # required by Persian, Indic scripts and emoji, and harmless


def safe(text: str) -> str:
    r"""Return a stored value with every unprintable character escaped.

    >>> print(safe("a\x1b[2Jb\u202ec\nd"))
    a\x1b[2Jb\u202ec\nd
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def safe_json(line: bytes) -> bytes:
    r"""Return the same JSON with every unprintable character as a `\u` escape.

    JSON already escapes control characters below space; it does not escape the others (delete, C1,
    direction marks), and terminals act on some of them.
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
    # The only characters below space are the line breaks between JSON tokens.
    if char < " " or char in _JOINERS or unicodedata.category(char) == "Zs":
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def cells(text: str) -> int:
    """Return the width of a text in terminal cells.

    >>> cells("Ana"), cells("山田"), cells("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    width: int = wcswidth(text)
    return width if width >= 0 else len(text)


def fit(text: str, width: int | None) -> str:
    """Truncate a text to at most `width` cells, ending it with … if anything is cut.

    >>> fit("Ana Gómez", 5), fit("山田太郎", 6), fit("Ana", None)
    ('Ana …', '山田…', 'Ana')
    """
    if width is None or cells(text) <= width:
        return text
    if width < 1:
        return ""
    from wcwidth import wcwidth

    taken, left = 0, width - 1
    for char in text:
        left -= max(wcwidth(char), 0)
        if left < 0:
            break
        taken += 1
    return f"{text[:taken]}…"


def terminal_width() -> int | None:
    """Return the width of the terminal in columns; None if standard output is not a terminal."""
    if not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size().columns, 20)


class Styled(NamedTuple):
    """A text with its keyword arguments for `click.style`."""

    text: str
    style: Mapping[str, Any] = {}


def line(parts: Iterable[Styled | str], width: int | None = None) -> str:
    """Join the non-empty parts with two spaces, truncated to `width` cells."""
    shown: list[str] = []
    left = width
    for part in parts:
        text, style = part if isinstance(part, Styled) else Styled(part)
        if not text:
            continue
        gap = "  " if shown else ""
        if left is not None:
            left -= len(gap)
            if left < 1:
                break
            text = fit(text, left)
            left -= cells(text)
        shown.append(gap + (click.style(text, **style) if style else text))
    return "".join(shown)


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun in the singular or plural.

    >>> count(1, "file"), count(2, "file"), count(0, "query", "queries")
    ('1 file', '2 files', '0 queries')
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def shows_progress() -> bool:
    """Return True if standard error is a terminal that can draw a progress bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def message(text: str) -> None:
    """Print one human-readable line on standard error."""
    click.echo(f"leadlog: {safe(text)}", err=True)


def print_json(value: Any) -> None:
    """Print a result as indented JSON on standard output."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str)
    sys.stdout.buffer.write(safe_json(text) + b"\n")
    sys.stdout.buffer.flush()


_LEAST_CELLS = 8
_INDENT = 2


def table(
    rows: Iterable[Sequence[object]], header: Sequence[str] = (), *, right: Sequence[int] = ()
) -> list[str]:
    """Return the lines of a table that fits the terminal with an indent of two cells.

    Args:
        rows: the cells of each row; None is shown as `-`.
        header: titles of the columns.
        right: indexes of the columns to align right; they are never truncated.
    """
    shown = [["-" if cell is None else safe(str(cell)) for cell in row] for row in rows]
    if header:
        shown.insert(0, [safe(title) for title in header])
    if not shown:
        return []
    widths = [max(cells(row[column]) for row in shown) for column in range(len(shown[0]))]
    width = terminal_width()
    if width is not None:
        _narrow(widths, [n for n in range(len(widths)) if n not in right], width - _INDENT)
    return [
        "  ".join(
            _aligned(cell, width, to_the_right=column in right)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]


def _narrow(widths: list[int], columns: Sequence[int], width: int) -> None:
    """Shrink the widest of the given columns until the table fits; modifies `widths`."""
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    while excess > 0 and columns:
        widest = max(columns, key=lambda column: widths[column])
        if widths[widest] <= _LEAST_CELLS:
            return
        others = [widths[column] for column in columns if column != widest]
        step = max(1, min(excess, widths[widest] - max([_LEAST_CELLS, *others])))
        widths[widest] -= step
        excess -= step


def _aligned(cell: str, width: int, *, to_the_right: bool) -> str:
    cell = fit(cell, width)
    space = " " * (width - cells(cell))
    return space + cell if to_the_right else cell + space

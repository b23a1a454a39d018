"""Building blocks of a page: escaped texts, figures, times, tables and sections."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

from leadlog.dashboard.wording import duration, figure, moment, percent, plain

__all__ = [
    "UNITS",
    "Column",
    "folded",
    "nothing",
    "section",
    "shown_figure",
    "table",
    "text",
    "time_of",
]

UNITS: Final[dict[str, Callable[[float | None], str]]] = {
    "count": figure,
    "share": percent,
    "ms": duration,
}
"""Unit of a figure to the function that formats it."""
_FOLDED: Final = 140
_MOST_TEXT: Final = 2_000


class Column(NamedTuple):
    """A column of a table: its title, whether it holds numbers, and whether it is secondary."""

    title: str
    number: bool = False
    quiet: bool = False


def text(stored: object) -> str:
    """Return a stored value as one line of escaped HTML text."""
    return escape(" ".join(plain(str(stored)).split()))


def shown_figure(value: float | None, unit: str = "count") -> str:
    """Return a figure with three significant digits; the exact value is in the markup."""
    shown = escape(UNITS[unit](value))
    if value is None:
        return f'<span class="none" title="not known">{shown}</span>'
    if unit == "count" and value >= 1000:
        return f'<data value="{value:g}" title="{value:,.0f}">{shown}</data>'
    return shown


def time_of(us: int) -> str:
    """Return a time to the minute, without the year.

    The full time is in the tooltip.
    """
    day, _, clock = moment(us).partition(", ")
    shown = f"{day.rpartition(' ')[0]}, {clock}"
    iso = moment(us, seconds=True)
    return f'<time title="{iso} UTC">{shown}</time>'


def folded(stored: str) -> str:
    """Return a text as HTML; a long one is folded, with its first line visible."""
    whole = plain(stored)
    if len(whole) > _MOST_TEXT:
        whole = f"{whole[: _MOST_TEXT - 1]}…"
    first, _, rest = whole.partition("\n")
    if not rest and len(first) <= _FOLDED:
        return f"<bdi>{escape(first)}</bdi>"
    cut = first if len(first) <= _FOLDED else f"{first[: _FOLDED - 1]}…"
    return (
        f"<details><summary><bdi>{escape(cut)}</bdi></summary>"
        f'<pre tabindex="0">{escape(whole)}</pre></details>'
    )


def table(
    label: str, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, kind: str = ""
) -> str:
    """Return an HTML table whose first column holds the row headers; cells are HTML."""
    head = "".join(
        f'<th scope="col"{_class(column)}>{escape(column.title)}</th>' for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{cell}</th>'
            if place == 0
            else f'<td{_class(column)} data-label="{escape(column.title)}"><div>{cell}</div></td>'
            for place, (column, cell) in enumerate(zip(columns, row, strict=True))
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">'
        f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _class(column: Column) -> str:
    names = [name for name, on in (("n", column.number), ("q", column.quiet)) if on]
    return f' class="{" ".join(names)}"' if names else ""


def section(name: str, title: str, count: str, inside: str) -> str:
    """Return a section with its title and a count; `count` and `inside` are HTML."""
    told = f' <span class="count">{count}</span>' if count else ""
    return f'<section id="{name}"><h2>{escape(title)}{told}</h2>{inside}</section>'


def nothing(text: str) -> str:
    """Return the placeholder of a table without rows."""
    return f'<p class="empty">{escape(text)}</p>'

"""SVG charts, drawn when the report is written: no script, no inline style, any width.

A chart stretches to its container, so it contains no text; labels are HTML around it.
"""

from collections.abc import Sequence
from html import escape

__all__ = ["bars", "course", "sparkline"]

_HIGH = 100.0
_GAP = 0.12


def bars(values: Sequence[float | None], label: str) -> str:
    """Return an SVG bar chart; the highest value fills the height, an unknown value is a gap.

    Args:
        values: values in time order, none below 0.
        label: text for screen readers.
    """
    most = max((one for one in values if one is not None), default=0) or 1
    shapes = []
    for place, value in enumerate(values):
        if value:
            high = max(_HIGH * value / most, 1.5)  # a value above 0 is always visible
            shapes.append(
                f'<rect x="{place + _GAP:g}" y="{_HIGH - high:.1f}" width="{1 - 2 * _GAP:g}" '
                f'height="{high:.1f}"/>'
            )
    return _svg("bars", len(values), "".join(shapes), label)


def course(values: Sequence[float | None], label: str) -> str:
    """Return an SVG line chart from 0 up; an unknown value interrupts the line.

    Args:
        values: values in time order, none below 0.
        label: text for screen readers.
    """
    most = max((one for one in values if one is not None), default=0) or 1
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            if pieces[-1]:
                pieces.append([])
            continue
        pieces[-1].append(f"{place + 0.5:g} {_HIGH - (_HIGH - 2) * value / most:.1f}")
    shapes = []
    for points in pieces:
        if len(points) == 1:  # a line of a single point would be invisible
            x, _, y = points[0].partition(" ")
            points[:] = [f"{float(x) - 0.3:g} {y}", f"{float(x) + 0.3:g} {y}"]
        if points:
            shapes.append(f'<path d="M{"L".join(points)}"/>')
    return _svg("course", len(values), "".join(shapes), label)


def sparkline(values: Sequence[float | None]) -> str:
    """Return a small bar chart next to a figure, hidden from screen readers."""
    return bars(values, "")


def _svg(kind: str, slots: int, shapes: str, label: str) -> str:
    told = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return (
        f'<svg class="{kind}" viewBox="0 0 {max(slots, 1)} {_HIGH:g}" '
        f'preserveAspectRatio="none" {told}>{shapes}</svg>'
    )

"""Static files of the pages, read into memory once; nothing else is ever served from disk."""

from functools import cache
from importlib import resources
from typing import Final, NamedTuple

__all__ = ["Asset", "asset", "page"]

_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NAMES: Final = (
    *("app.css", "icon.svg", "uplot.js", "uplot.css"),
    *("app.js", "dom.js", "format.js", "charts.js", "live.js", "state.js"),
    *("page-now.js", "page-explore.js", "page-errors.js", "page-entity.js", "page-session.js"),
    *("page-runs.js", "page-quality.js", "page-alerts.js", "page-sql.js"),
)


class Asset(NamedTuple):
    """One static file.

    Attributes:
        content: its content.
        type: its media type.
    """

    content: bytes
    type: str


@cache
def _all() -> dict[str, Asset]:
    folder = resources.files("leadlog.dashboard") / "assets"
    return {
        name: Asset((folder / name).read_bytes(), _TYPES[name[name.rindex(".") :]])
        for name in _NAMES
    }


def asset(name: str) -> Asset | None:
    """Return a static file by its name; None if there is none."""
    return _all().get(name)


@cache
def page(name: str) -> str:
    """Return the text of `app.html` or `login.html`."""
    return (resources.files("leadlog.dashboard") / "assets" / name).read_text("utf-8")

"""Publish measurements in a page of the documentation."""

from pathlib import Path


def publish(page: Path, text: str, name: str = "made by `make bench`") -> bool:
    """Put `text` between the markers of a page.

    Args:
        page: the page.
        text: markdown.
        name: text of the markers before `begin` and `end`.

    Returns:
        False if the page, or its markers, do not exist.
    """
    if not page.is_file():
        return False
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    content = page.read_text(encoding="utf-8")
    before, begins, rest = content.partition(begin)
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        return False
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
    return True

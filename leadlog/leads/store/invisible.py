r"""Invisible characters: zero-width, direction and filler characters, and controls.

Inside a text they may have meaning (a joiner in Persian or in an emoji), so stored texts keep them
there. Comparisons ignore them, and a text that contains nothing else is blank.

    >>> trimmed("\u202aIda\u202c\u200b "), unseen("Strand\u00adverk"), trimmed("\u200b")
    ('Ida', 'Strandverk', '')
"""

import re

__all__ = ["INVISIBLE", "trimmed", "unseen"]

# Unicode's Default_Ignorable_Code_Point, the controls that are not whitespace, interlinear
# annotation and the Braille blank.
INVISIBLE = (
    "\\x00-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5"
    "\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f"
    "\\ufeff\\uffa0\\ufff0-\\ufffb\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a"
    "\\U000e0000-\\U000e0fff"
)
"""The characters, escaped for a character class of a regular expression."""

_UNSEEN = re.compile(f"[{INVISIBLE}]+")
_NOTHING = re.compile(rf"[\s{INVISIBLE}]*")
# Characters without meaning at the edge of a text.
_EDGE = "\u00ad\u200b\u2060\ufeff"
_DIRECTION = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"
_BEFORE = re.compile(rf"[\s{_EDGE}{_DIRECTION}]+")
_AFTER = re.compile(rf"[\s{_EDGE}{_DIRECTION}]+\Z")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")


def unseen(text: str) -> str:
    """Return a text without invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub("", text)


def trimmed(text: str) -> str:
    """Return a text without surrounding blanks; an empty one if it has no visible character."""
    found = text.strip()
    if found.isascii():
        return found if found.isprintable() or not _blank(found) else ""
    if _blank(found):
        return ""
    if _RIGHT_TO_LEFT.search(found):
        return found.strip(f"{_EDGE} ").strip()
    begin = _BEFORE.match(found)
    end = _AFTER.search(found)
    return found[begin.end() if begin else 0 : end.start() if end else len(found)]


def _blank(text: str) -> bool:
    return _NOTHING.fullmatch(text) is not None

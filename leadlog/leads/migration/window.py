"""A sliding window over a text of any length, and a scanner for the end of a JSON value."""

import re
from collections.abc import Callable

__all__ = ["RAW_KEPT", "TextWindow", "ValueScanner"]

RAW_KEPT = 64 * 1024
"""Maximum length of the text kept of a rejected record, in characters."""

_BLANK = re.compile(r"[ \t\r\n]*")
_OUTSIDE = re.compile(r'["\[\]{},\n]')
_INSIDE = re.compile(r'["\\\n]')


class TextWindow:
    """The part of a text that is held in memory.

    Args:
        read: Returns about the given number of further characters; an empty text at the end.
        size: Minimum number of characters to request at a time.

    Attributes:
        text: The text in the window; `more` drops the part before `pos`.
        pos: The read position in `text`.
        ended: Whether the text's end is in the window.
    """

    def __init__(self, read: Callable[[int], str], size: int = 128 * 1024) -> None:
        self._read = read
        self._size = size
        self._dropped = self._lines = self._column = 0
        self.text = ""
        self.pos = 0
        self.ended = False

    @property
    def ahead(self) -> int:
        """Number of characters in the window from `pos` on."""
        return len(self.text) - self.pos

    def more(self) -> bool:
        """Drop the text before `pos` and read at least as much as is left; False at the end."""
        if self.ended:
            return False
        self._dropped += self.pos
        self._lines += self.text.count("\n", 0, self.pos)
        self._column = self.column(self.pos) - 1
        rest = self.text[self.pos :]
        found = self._read(max(self._size, len(rest)))
        self.text, self.pos = rest + found, 0
        self.ended = not found
        return not self.ended

    def next_sign(self) -> str:
        """Advance to the next non-blank character, and return it; an empty text at the end."""
        while True:
            match = _BLANK.match(self.text, self.pos)
            self.pos = match.end() if match else self.pos
            if self.pos < len(self.text):
                return self.text[self.pos]
            if not self.more():
                return ""

    def line(self, pos: int) -> int:
        """Return the line number, from 1, of a position in the window."""
        return self._lines + self.text.count("\n", 0, pos) + 1

    def column(self, pos: int) -> int:
        """Return the column number, from 1, of a position in the window."""
        newline = self.text.rfind("\n", 0, pos)
        return self._column + pos + 1 if newline < 0 else pos - newline

    def offset(self, pos: int) -> int:
        """Return the offset in the whole text of a position in the window."""
        return self._dropped + pos


class ValueScanner:
    """Finds the end of a JSON value by its quotes and brackets alone, piece by piece.

    It ignores all other syntax errors. It needs one byte of memory per open bracket.

    Args:
        newline_ends_string: Whether a line break ends a string, as a missing quote suggests;
            otherwise it belongs to the string.
        stack: Brackets that are already open.
    """

    def __init__(self, *, newline_ends_string: bool = False, stack: bytes = b"") -> None:
        self._newline_ends_string = newline_ends_string
        self._open = bytearray(stack)
        self._in_string = self._escaped = False

    def feed(self, text: str, pos: int) -> int | None:
        """Scan a piece of text; return the position of the value's end, or None.

        Args:
            text: The text that contains the piece.
            pos: Start of the piece in `text`.
        """
        if self._escaped and pos < len(text):
            self._escaped = False
            pos += 1
        while True:
            match = (_INSIDE if self._in_string else _OUTSIDE).search(text, pos)
            if match is None:
                return None
            sign, pos = match.group(), match.end()
            if self._in_string:
                if sign == "\\":
                    pos += 1
                    if pos > len(text):
                        self._escaped = True
                        return None
                elif sign == '"' or self._newline_ends_string:
                    self._in_string = False
                    if sign == "\n" and not self._open:
                        return pos - 1
            elif sign == '"':
                self._in_string = True
            elif sign in "[{":
                self._open.append(ord(sign))
            elif sign in "]}":
                if not self._close(ord("[" if sign == "]" else "{"), sign):
                    return pos - 1
                if not self._open:
                    return pos
            elif not self._open:  # a comma or a line break after a plain value
                return pos - 1

    def _close(self, opening: int, sign: str) -> bool:
        """Close a bracket and any left open inside it; False if it belongs to an outer value."""
        found = self._open.rfind(opening)
        if found >= 0:
            del self._open[found:]
            return True
        return bool(self._open) and sign == "}"

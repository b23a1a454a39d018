r"""Spellings of an id or an address: each form that it may have in a text, a URL or a page.

    ana@acme.example   ANA@Acme.Example   ana%40acme.example   ana%2540acme.example
    ana@acme.example   ana\x40acme.example   ana&#64;acme.example   ana=40acme.example

Base64 is decoded only where leadlog itself writes it.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from html.entities import html5
from urllib.parse import unquote

__all__ = ["Spelling"]

_ENTITIES: dict[str, list[str]] = {}
for _name, _meant in html5.items():
    if _name.endswith(";"):
        _ENTITIES.setdefault(_meant, []).append(_name[:-1])

_ESCAPED = re.compile(
    r"\\+(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8}))", re.ASCII
)
_OCTETS = re.compile(r"(?:\\+x[0-9A-Fa-f]{2})+|(?:\\+[0-3][0-7]{2})+|(?:=[0-9A-F]{2})+")
_LINE_END = re.compile(rb"(?<!=)(?<!=\r)\n")
_MOST_ROUNDS = 4
"""Largest number of nested encodings of a spelling."""
_CODE = (
    r"(?:%(?:25)*[0-9A-Fa-f]{2})+|\\+(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}|[0-7]{3}"
    r"|[abfnrtv0\"'/])|&(?:amp;)*\#?\w+;|=[0-9A-F]{2}"
)
_CODE_BEFORE = re.compile(rf"(?:{_CODE})\Z")
_CODE_AFTER = re.compile(_CODE)
_REACH = 24
"""Length of the longest code in characters."""


class Spelling:
    """Finds texts in every spelling, as whole words: `lead-1` is not found in `lead-12`.

    Args:
        texts: the texts to find, in any case.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        # Longest first: of two texts that begin at the same place, the longer one is covered.
        self._texts = sorted({one for one in texts if one}, key=lambda one: (-len(one), one))
        written = {_folded(one) for text in self._texts for one in (text, _in_ascii(text))}
        self._plain = re.compile("|".join(map(re.escape, written)) or r"(?!)")
        self._any = re.compile("|".join(map(_spelled, self._texts)) or r"(?!)", re.IGNORECASE)

    def may_be_in(self, content: bytes) -> bool:
        """Return whether one of the texts may be in some bytes; false is certain."""
        if not self._texts:
            return False
        text = content.decode("utf-8", "replace")
        if self._plain.search(_folded(text)):
            return True
        for _ in range(_MOST_ROUNDS):
            before = text
            # After each step, because plain text may look like a code.
            for step in (_unescaped, _without_octets, unquote, html.unescape):
                simpler = step(text)
                if simpler != text:
                    text = simpler
                    if self._plain.search(_folded(text)):
                        return True
            without = text.replace("\\", "").replace("=\r\n", "").replace("=\n", "")
            if without != text and self._plain.search(_folded(without)):
                return True
            if text == before:
                break
        return False

    def is_in_bytes(self, content: bytes) -> bool:
        """Return whether one of the texts is in some bytes, as a whole word."""
        return self.may_be_in(content) and any(
            self.is_in(line.decode("utf-8", "replace"))
            for line in _LINE_END.split(content)
            if self.may_be_in(line)
        )

    def is_in(self, text: str) -> bool:
        """Return whether one of the texts is in `text`, as a whole word."""
        return any(_is_whole(match) for match in self._any.finditer(text))

    def replaced(self, text: str, stand_in: Callable[[str], str]) -> str:
        """Return a text with each of the texts replaced by its stand-in."""
        return self._any.sub(
            lambda match: stand_in(self._decoded(match[0])) if _is_whole(match) else match[0], text
        )

    def _decoded(self, spelled: str) -> str:
        """Return the text that a spelling stands for."""
        for text in self._texts:
            if re.fullmatch(_spelled(text), spelled, re.IGNORECASE):
                return text
        return spelled  # pragma: no cover - it was found by one of them


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return _normal(_normal(text).casefold())


def _normal(text: str) -> str:
    # The test is much faster than the normalisation.
    if unicodedata.is_normalized("NFKC", text):
        return text
    return unicodedata.normalize("NFKC", text)


def _in_ascii(address: str) -> str:
    """Return an address with its domain in ASCII form, `xn--…`."""
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{domain.encode('idna').decode()}" if at else address
    except UnicodeError:
        return address


def _unescaped(text: str) -> str:
    if "\\u" not in text and "\\U" not in text:
        return text
    return _ESCAPED.sub(lambda one: _char_of(int(one[1] or one[2] or one[3], 16)), text)


def _char_of(code: int) -> str:
    return chr(code) if code < 0x110000 else "\ufffd"


def _without_octets(text: str) -> str:
    if "\\" not in text and "=" not in text:
        return text
    return _OCTETS.sub(_octets, text)


def _octets(match: re.Match[str]) -> str:
    found = match[0]
    digits = re.findall(r"[0-9A-Fa-f]{2,3}", found)
    base = 16 if found[0] == "=" or "x" in found[:8].lower() else 8
    data = bytes(int(one, base) for one in digits)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


@lru_cache(maxsize=4096)
def _spelled(text: str) -> str:
    """Return a regular expression for every spelling of a text."""
    whole = "".join(map(_spelled_char, text))
    other = _in_ascii(text)
    return whole if other == text else f"(?:{whole}|{''.join(map(_spelled_char, other))})"


@lru_cache(maxsize=4096)
def _spelled_char(char: str) -> str:
    found: list[str] = []
    for one in dict.fromkeys((char, char.lower(), char.upper(), char.casefold(), char.swapcase())):
        if len(one) != 1:
            found.append(re.escape(one))
            continue
        code, octets = ord(one), one.encode("utf-8", "surrogatepass")
        units = one.encode("utf-16-be", "surrogatepass").hex()
        found += [
            rf"\\*{re.escape(one)}",
            re.escape(unicodedata.normalize("NFD", one)),
            re.escape(unicodedata.normalize("NFC", one)),
            "".join(f"%(?:25)*{octet:02x}" for octet in octets),
            "".join(rf"\\+u{units[at : at + 4]}" for at in range(0, len(units), 4)),
            rf"\\+U{code:08x}",
            rf"\\+u\{{0*{code:x}\}}",
            "".join(rf"\\+x{octet:02x}" for octet in octets),
            "".join(rf"\\+{octet:03o}" for octet in octets),
            f"&(?:amp;)*#0*{code};",
            f"&(?:amp;)*#x0*{code:x};",
            *(f"&(?:amp;)*{name};" for name in _ENTITIES.get(one, ())),
            "".join(f"={octet:02X}" for octet in octets),
        ]
        if 0x80 <= code < 0x100:
            found.append(rf"\\+x{code:02x}")
        if 0x21 <= code < 0x7F:
            found.append(chr(code + 0xFEE0))  # its full-width form
    # A mail breaks lines with an equals sign at the end.
    return f"(?:{'|'.join(dict.fromkeys(found))})(?:=\\r?\\n)?"


def _is_whole(match: re.Match[str]) -> bool:
    text, start, end = match.string, match.start(), match.end()
    before = _CODE_BEFORE.search(text[max(0, start - _REACH) : start])
    last = _plainly(before[0])[-1:] if before else text[start - 1 : start] if start else ""
    after = _CODE_AFTER.match(text, end)
    first = _plainly(after[0])[:1] if after else text[end : end + 1]
    return not (_is_word(last) or _is_word(first))


def _is_word(char: str) -> bool:
    return char.isalnum() or char in ("_", "-")


_ESCAPE = re.compile(r"\\+(?:[uxU]([0-9A-Fa-f]+)|([0-7]{3})|(.))\Z")


def _plainly(token: str) -> str:
    """Return the character of a code; a space if that is unclear."""
    if token.startswith("\\"):
        match = _ESCAPE.match(token)
        if match is None or match[3]:
            return " "
        return _char_of(int(match[1], 16) if match[1] else int(match[2], 8))
    if token.startswith("&"):
        return html.unescape(token.replace("amp;", "")) or " "
    octets = re.sub(r"%(?:25)*|=", "", token)
    return bytes.fromhex(octets).decode("utf-8", "replace") or " "

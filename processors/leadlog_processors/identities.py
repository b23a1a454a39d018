"""Identities: replacement of e-mail addresses, phone numbers and known texts inside a text.

>>> replace_emails("ana@acme.com wrote to bob@acme.com.", str.upper)
'ANA@ACME.COM wrote to BOB@ACME.COM.'
>>> replace_phones("call (704) 585-7792 x12 before 2026-11-23 10:00", lambda phone: "***")
'call *** before 2026-11-23 10:00'
>>> replace_known("Ana met Anabel; ANA left", {"Ana": "***"})
'*** met Anabel; *** left'
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

_email: Final = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# All possessive: digits can be grouped in too many ways to try all of them.
_phone: Final = re.compile(
    r"(?<![\w.:/@#$-])(\+?(?:\([0-9]{1,5}\)|[0-9]++)(?:[ .\-/]{0,2}+(?:\([0-9]{1,5}\)|[0-9]++))*+)"
    r"(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?+(?![\w@]|[:-]\w)"
)
_no_phone: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[^0-9].*)?"  # a date
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"  # an IPv4 address
    r"|[0-9]+\.[0-9]+"  # a number
    r"|.*[0-9]\.[0-9]+ .*|.* [0-9]+\.[0-9].*"  # numbers
).fullmatch
_digit_groups: Final = re.compile(r"[0-9]+").findall


def _looks_like_a_phone(text: str) -> bool:
    groups = _digit_groups(text)
    digits = sum(map(len, groups))
    if len(groups) == 1:
        return (7 if text[0] == "+" else 10) <= digits <= 15
    return 9 <= digits <= 17 and digits >= 2 * len(groups) and _no_phone(text) is None


def replace_emails(text: str, stand_in: Callable[[str], str]) -> str:
    """Return `text` with every apparent e-mail address replaced by `stand_in(address)`."""
    return _email.sub(lambda match: stand_in(match[0]), text) if "@" in text else text


def replace_phones(text: str, stand_in: Callable[[str], str]) -> str:
    """Return `text` with every apparent phone number replaced by `stand_in(number)`.

    A phone number has 9 to 17 digits in groups of two or more, or 10 to 15 (after a plus: 7 to 15)
    in one group, and possibly an extension. Dates, decimal numbers, IPv4 addresses and parts of
    longer words are not phone numbers.
    """
    return _phone.sub(
        lambda match: stand_in(match[0]) if _looks_like_a_phone(match[1]) else match[0], text
    )


def replace_known(text: str, known: Mapping[str, str]) -> str:
    """Return `text` with known texts replaced.

    Args:
        text: any text.
        known: text to its replacement. Matched in any case, as whole words, longer ones first.
    """
    folded = text.casefold()
    found = [whole for whole in known if whole.casefold() in folded]
    if not found:
        return text
    found.sort(key=len, reverse=True)
    choices = "|".join(map(re.escape, found))
    by_folded = {whole.casefold(): known[whole] for whole in found}
    return re.sub(
        rf"(?<!\w)(?:{choices})(?!\w)",
        # A case-insensitive match may casefold differently: it is masked then, not kept.
        lambda match: by_folded.get(match[0].casefold(), "***"),
        text,
        flags=re.IGNORECASE,
    )

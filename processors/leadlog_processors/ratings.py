"""Ratings: the outcome for each field of a lead, by the rules documented in `quality`.

>>> rate({"name": "Jaime", "email": "sales@acme.com", "phone": "555"}) == (
...     FAULTY,
...     FAULTY,
...     MISSING,
...     MISSING,
...     INVALID,
...     MISSING,
...     MISSING,
... )
True
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isnan
from typing import Any, Final
from unicodedata import category

from leadlog_processors.vocabulary import (
    MAIL_PROVIDERS,
    NO_NAME_PARTS,
    PLACEHOLDERS,
    ROLES,
    SUFFIXES,
)

# The outcomes of a field. Numbers, so that the seven of a lead make a small dict key.
OK, MISSING, PLACEHOLDER, INVALID, FAULTY = range(5)
_USABLE: Final = (OK, FAULTY)

# Lengths; a longer text was pasted into the wrong field, and is not worth a regex.
_LONGEST_TEXT: Final = 200
_LONGEST_EMAIL: Final = 254
_LONGEST_LOCAL_PART: Final = 64
_LONGEST_URL: Final = 2000
_LONGEST_PHONE: Final = 50

_COUNTED: Final = frozenset((b"1234567", b"12345678", b"123456789", b"1234567890", b"0123456789"))
_FILLER_ENDS: Final = frozenset(digits[-4:] for digits in _COUNTED) | {
    digit * 4 for digit in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9")
}
_NO_PERSON: Final = ROLES | PLACEHOLDERS
_SCHEMES: Final = frozenset(("http", "https"))
_PROFILE: Final = "https://www.linkedin.com/in/"
_NUMBER: Final = (int, float)

_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~-]+"
_local_part: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*", re.ASCII).fullmatch
_host: Final = re.compile(r"(?!-)[A-Za-z0-9-]+(?<!-)(?:\.(?!-)[A-Za-z0-9-]+(?<!-))+").fullmatch
_after_host: Final = re.compile(r"\.?(?::[0-9]{1,5})?(?:[/?#]\S*)?").fullmatch
_before_host_end: Final = re.compile(r"\.?(?:[:/?#].*)?\Z", re.DOTALL).split
_space: Final = re.compile(r"\s").search
_linkedin: Final = re.compile(
    r"(?:https?://)?(?:[a-z]{1,3}\.)?linkedin\.com/"
    r"(?:(in|pub)|company|school|showcase|organization)/[^\s/?#]+(?:[/?#]\S*)?"
).fullmatch
_phone_extension: Final = re.compile(r"(?:;?ext\.?|extension|x|#)[\s=:.]*\d{1,7}").fullmatch
_no_phone_text: Final = re.compile(r"[^\d\s().\-/+]").search
_plus_in_front: Final = re.compile(r"\(?\+[^+]*\Z").match
_letter: Final = re.compile(r"[^\W\d_]").search
_letter_or_digit: Final = re.compile(r"[^\W_]").search


def _given(lead: Mapping[Any, Any], *keys: str) -> object:
    """Return the first value that is neither missing nor blank, or else None."""
    for key in keys:
        value = lead.get(key)
        if isinstance(value, str):
            if value.strip():
                return value
        elif value is not None and not (isinstance(value, float) and isnan(value)):
            return value
    return None


def _joined_name(lead: Mapping[Any, Any]) -> object:
    """Return first and last name joined, without placeholder parts."""
    given = [_given(lead, key) for key in ("first_name", "last_name")]
    parts = [part.strip() for part in given if isinstance(part, str)]
    if not parts:
        return given[0] if given[0] is not None else given[1]
    if PLACEHOLDERS.issuperset(map(str.casefold, parts)):
        return parts[0]
    return " ".join([part for part in parts if part.casefold() not in NO_NAME_PARTS])


def _text(value: object) -> str | None:
    """Return the text of a value; None if it is not text, "" if there is no value."""
    if isinstance(value, str):
        return value.strip()
    return "" if value is None or (isinstance(value, float) and isnan(value)) else None


def _rate_name(value: object) -> int:
    name = value.strip() if type(value) is str else _text(value)
    if not name:
        return INVALID if name is None else MISSING
    if name.casefold() in PLACEHOLDERS:
        return PLACEHOLDER
    if (
        not (name[0].isalpha() or _letter(name))
        or len(name) > _LONGEST_TEXT
        or "@" in name
        or "://" in name
    ):
        return INVALID
    # Latin letters end at U+024F; many other scripts write a full name without a space.
    return OK if " " in name or len(name.split()) > 1 or max(name) > "\u024f" else FAULTY


def _rate_words(value: object, needed: Callable[[str], object]) -> int:
    """Return the outcome of a company or title, which must contain what `needed` searches for."""
    text = value.strip() if type(value) is str else _text(value)
    if not text:
        return INVALID if text is None else MISSING
    if text.casefold() in PLACEHOLDERS:
        return PLACEHOLDER
    if (
        not (text[0].isalpha() or needed(text))
        or len(text) > _LONGEST_TEXT
        or "://" in text
        or ("@" in text and _rate_email(text) in _USABLE)  # "@Home" is a company
    ):
        return INVALID
    return OK


def _as_ascii(text: str) -> str:
    """Return `text` with "a" for each letter, digit and mark of other scripts, for ASCII rules."""
    return "".join(
        ["a" if c > "\x7f" and (c.isalnum() or category(c)[0] == "M") else c for c in text]
    )


@lru_cache(maxsize=1024)
def _is_host(host: str) -> bool:
    """Return whether `host` is a domain name of at least two labels, the last one not numeric.

    Cached, since many leads share a few mail providers and companies.
    """
    if host[-2:].isalpha() and host.replace(".", "").isalnum():
        # No hyphen: true for nearly every host, and needs no regex.
        return "." in host and ".." not in host and host[0] != "." and host[-2] != "."
    last = host.rpartition(".")[2]
    if len(last) < 2 or last.isdigit():
        return False
    return _host(host if host.isascii() else _as_ascii(host)) is not None


def _rate_email(value: object) -> int:
    address = value.strip() if type(value) is str else _text(value)
    if not address:
        return INVALID if address is None else MISSING
    local, _, host = address.partition("@")
    if (
        len(address) > _LONGEST_EMAIL
        or len(local) > _LONGEST_LOCAL_PART
        or not (local.isalnum() or _local_part(local if local.isascii() else _as_ascii(local)))
        or not _is_host(host)
    ):
        return PLACEHOLDER if address.casefold() in PLACEHOLDERS else INVALID
    local = local.casefold()
    if local in _NO_PERSON:
        if local in ROLES:
            return FAULTY
        if host.partition(".")[0].casefold() in PLACEHOLDERS:
            return PLACEHOLDER
    return OK


def _rate_linkedin(value: object) -> int:
    url = value.strip() if type(value) is str else _text(value)
    if not url:
        return INVALID if url is None else MISSING
    if len(url) <= _LONGEST_URL:
        if url.startswith(_PROFILE) and url[len(_PROFILE) :].replace("-", "").isalnum():
            return OK
        match = _linkedin(url.lower())
        if match is not None:
            return FAULTY if match[1] is None else OK
    return PLACEHOLDER if url.casefold() in PLACEHOLDERS else INVALID


def _rate_phone(value: object) -> int:
    if (
        type(value) is not str
        and isinstance(value, _NUMBER)
        and not isinstance(value, bool)
        and -1e16 < value < 1e16
    ):
        value = str(int(value))  # spreadsheets store it as a number
    phone = value.strip() if type(value) is str else _text(value)
    if not phone:
        return INVALID if phone is None else MISSING
    if len(phone) > _LONGEST_PHONE:
        return INVALID
    digits = phone.encode("utf-8", "replace").translate(None, b" -.()/+")
    if not digits.isdigit():
        # More than punctuation and digits: other scripts' digits, other spaces, an extension.
        found = _no_phone_text(phone)
        if found is not None and not _phone_extension(phone[found.start() :].casefold()):
            return PLACEHOLDER if phone.casefold() in PLACEHOLDERS else INVALID
        main = phone if found is None else phone[: found.start()]
        digits = "".join([str(int(c)) for c in main if c.isdecimal()]).encode()
    if not 7 <= len(digits) <= 15 or ("+" in phone and not _plus_in_front(phone)):
        return PLACEHOLDER if phone.casefold() in PLACEHOLDERS else INVALID
    if digits[-4:] in _FILLER_ENDS and (digits in _COUNTED or digits[-7:] == digits[-1:] * 7):
        return PLACEHOLDER  # 1234567890, 000-000-0000, +1 555 555 5555
    return OK


def _registered(domain: str) -> str:
    """Return the registered name: "acme" for mail.acme.co.uk, decoded from punycode."""
    rest, _, last = domain.rpartition(".")
    rest, _, name = rest.rpartition(".")
    if rest and len(last) == 2 and name in SUFFIXES:
        name = rest.rpartition(".")[2]
    if name[:4] == "xn--":
        try:
            return name[4:].encode("ascii").decode("punycode")
        except UnicodeError:
            return name
    return name


def _host_of(url: str) -> str | None:
    """Return the host of a valid http or https address, with or without scheme, or else None."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        rest = url
    elif scheme not in _SCHEMES and scheme.lower() not in _SCHEMES:
        return None
    host, _, path = rest.partition("/")
    if not _is_host(host):  # followed by a port, a query or a dot, or not a host at all
        host = _before_host_end(rest)[0]
        if not _is_host(host) or not _after_host(rest, len(host)):
            return None
    elif path and _space(path):
        return None
    return host.casefold()


def _rate_website(value: object, email: str | None) -> int:
    """Return the outcome of a website; `email` is the lead's address if valid, else None."""
    url = value.strip() if type(value) is str else _text(value)
    if not url:
        return INVALID if url is None else MISSING
    host = _host_of(url) if len(url) <= _LONGEST_URL else None
    if host is None:
        return PLACEHOLDER if url.casefold() in PLACEHOLDERS else INVALID
    if email is None:
        return OK
    domain = email.rstrip().rpartition("@")[2].casefold()
    if host == domain or host.endswith("." + domain):
        return OK
    name = _registered(domain)
    return OK if name == _registered(host) or name in MAIL_PROVIDERS else FAULTY


def rate(lead: Mapping[Any, Any]) -> tuple[int, int, int, int, int, int, int]:
    """Return the outcomes of the seven fields, in the order of `FIELDS`.

    A field's main key is tried first: `_given`, which handles blanks and aliases, is slow.
    """
    get = lead.get
    name = _rate_name(get("name"))
    if name == MISSING:
        found = _given(lead, "full_name")
        name = _rate_name(found if found is not None else _joined_name(lead))
    address = get("email")
    email = _rate_email(address)
    company = _rate_words(get("company"), _letter_or_digit)
    if company == MISSING:
        company = _rate_words(_given(lead, "company_name"), _letter_or_digit)
    url = get("linkedin_url")
    linkedin = MISSING if url is None else _rate_linkedin(url)
    if linkedin == MISSING and (url := get("linkedin")) is not None:
        linkedin = _rate_linkedin(url)
    number = get("phone")
    phone = MISSING if number is None else _rate_phone(number)
    known_address = address if email in _USABLE else None
    site = get("website")
    website = MISSING if site is None else _rate_website(site, known_address)
    if website == MISSING and (site := get("company_website")) is not None:
        website = _rate_website(site, known_address)
    role = get("title")
    title = MISSING if role is None else _rate_words(role, _letter)
    if title == MISSING and (role := get("job_title")) is not None:
        title = _rate_words(role, _letter)
    return name, email, company, linkedin, phone, website, title

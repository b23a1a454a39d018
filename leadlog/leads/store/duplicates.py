"""Duplicate keys, derived from the fields of a lead, that identify a person.

Two leads are the same person when they share, in this order,

1. `linkedin_url`: the LinkedIn profile, regardless of the address's country host, case, language or
            query;
2. `email`: the e-mail address, ignoring case. Dots and plus tags count: only some mail
   servers ignore them;
3. `name_company`: full name and company, ignoring case, spaces, accents, punctuation and a small
            list of legal forms,

and nothing contradicts it: a different name, e-mail address or profile is a veto, and the pair is
only suggested (`contradiction`). A value that identifies nobody is not a key: placeholders,
templates, a first name with a company (`leadlog.leads.store.placeholders`).

A shared mailbox (info@, sales@ …) identifies nobody alone: it is a key only together with the name.
The same holds for an address or a profile that a lead with another name claimed first. "Acme" and
"Acme Labs", "John Smith" and "Joan Smith" are different.

    >>> keys_of({"full_name": "José  Núñez", "company": "Acme, Inc.", "email": "Info@acme.com"})
    {'email_name': 'info@acme.com|jose nunez', 'name_company': 'jose nunez|acme'}
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from leadlog.leads.store.invisible import unseen
from leadlog.leads.store.placeholders import (
    is_no_address,
    is_no_company,
    is_no_profile,
    is_nobody,
    is_shared_box,
)

__all__ = [
    "KEY_FIELDS",
    "KINDS",
    "WITHOUT_NAME",
    "canonical_company",
    "canonical_email",
    "canonical_linkedin",
    "canonical_name",
    "comparable",
    "contradiction",
    "is_generation",
    "is_shared_mailbox",
    "keys_of",
    "names_agree",
    "names_fit",
]

KINDS = ("linkedin_name", "linkedin_url", "email_name", "email", "name_company")
"""The kinds of key, strongest first."""

WITHOUT_NAME = {"linkedin_name": "linkedin_url", "email_name": "email"}
"""Kinds of key that include the name, mapped to the kind of the value alone.

The name is part of the key only where the value alone identifies nobody, or another lead has it.
"""

KEY_FIELDS = frozenset({"full_name", "company", "email", "linkedin_url"})
"""The fields from which keys are derived."""

_LONGEST = 400
_REMEMBERED = 512  # values of a lead are needed again when it is a duplicate

# www, mobile and country hosts: uk.linkedin.com, de.linkedin.com …
_LINKEDIN_HOST = re.compile(r"(?:(?:www|m|mobile|touch|[a-z]{2})\.)?linkedin\.com")
# The form in nearly every export; any other address is parsed part by part.
_PLAIN_PROFILE = re.compile(
    rf"https?://{_LINKEDIN_HOST.pattern}/in/([a-z0-9](?:-?[a-z0-9])*)/?", re.ASCII
)
_SCHEME = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_ATOM = r"[^\s@,;:<>()\[\]\\\"|.]+"
_LOCAL = r"[^\s@,;:<>()\[\]\\\"|]+"  # dots are in the class: no backtracking
_EMAIL = re.compile(rf"{_LOCAL}@{_ATOM}(?:\.{_ATOM})+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LEGAL_FORMS = _words(
    "ab ag as bv co corp corporation gmbh inc incorporated kg limited llc llp ltd nv oy plc pty sa "
    "sarl sas srl"
)
_HONORIFICS = _words("mr mrs ms miss mx dr prof professor sir herr frau hr fr mag ing")
_GENERATIONS = _words("jr sr junior senior ii iii iv")
# Scripts that write no space between the parts of a name.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2}")
_WORD = re.compile(r"[\s\-]+")
_PROFILE_KINDS = frozenset({"linkedin_url", "linkedin_name"})
_ADDRESS_KINDS = frozenset({"email", "email_name"})
_ACCENTS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
# Letters that Unicode decomposition does not reduce to ASCII.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("'`\u00b4\u2018\u2019\u02bc.", None)
    | dict.fromkeys(',;:"\u201c\u201d()|', " ")
)


def comparable(value: str) -> str:
    """Return a text without case, extra spaces, accents of Latin letters and punctuation.

    Marks on letters of other scripts stay: there they form a different letter.
    """
    found = value.casefold()
    if found.isascii() and found.isprintable():
        if not found.replace(" ", "").isalnum():
            found = found.translate(_LETTERS)
        return " ".join(found.split())
    found = unseen(found)
    # Decompose first: some characters stand for several, including punctuation.
    found = unseen(unicodedata.normalize("NFKD", found)).casefold().translate(_LETTERS)
    found = unicodedata.normalize("NFC", _ACCENTS.sub("", found))
    return " ".join(found.split())


def is_generation(suffix: str) -> bool:
    """Return whether a suffix of a name distinguishes generations: Jr., Sr., III."""
    return comparable(suffix) in _GENERATIONS


@lru_cache(maxsize=_REMEMBERED)
def canonical_name(name: str | None) -> str | None:
    """Return the comparable form of a person's name; None for a placeholder or a blank one."""
    found = comparable(name) if name else ""
    return None if is_nobody(found) else found


@lru_cache(maxsize=4096)
def canonical_company(company: str | None) -> str | None:
    """Return the comparable form of a company's name, without its legal form.

    None for a blank one, a placeholder, and entries of people without a company. Cached, since many
    leads share a company.
    """
    words = (comparable(company) if company else "").split()
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    found = " ".join(words)
    return None if is_no_company(found) else found


@lru_cache(maxsize=_REMEMBERED)
def canonical_email(email: str | None) -> str | None:
    """Return the comparable form of an e-mail address; None for a placeholder or an invalid one."""
    if not email:
        return None
    if email.isascii() and email.isprintable():
        found = email.strip().lower()
    else:
        found = unicodedata.normalize("NFC", unseen(email).strip().casefold())
    if found.endswith(">") and found.count("<") == 1:  # Ada King <ada@acme.com>
        found = found[found.index("<") + 1 : -1].strip()
    found = found.removeprefix("mailto:")
    if not _EMAIL.fullmatch(found):
        return None
    box, _, domain = found.partition("@")
    return None if is_no_address(box, domain) else found


def is_shared_mailbox(email: str) -> bool:
    """Return whether several people read an address, judging by its part before the `@`.

    >>> [is_shared_mailbox(f"{box}@acme.com") for box in ("no-reply", "sales-uk", "ada")]
    [True, True, False]
    """
    return is_shared_box(email.partition("@")[0])


@lru_cache(maxsize=_REMEMBERED)
def canonical_linkedin(url: str | None) -> str | None:
    """Return a LinkedIn profile as `in/<name>`; None for any other address.

    None as well for hosts that only resemble LinkedIn (`linkedin.com.evil.com`,
    `linkedin.com@evil.com`), company pages, unfilled templates, and an address that contains
    another one.

        >>> canonical_linkedin("https://UK.linkedin.com/in/Ada-Lovelace/en?trk=public_profile")
        'in/ada-lovelace'
        >>> canonical_linkedin("https://linkedin.com.evil.com/in/ada") is None
        True
    """
    if not url:
        return None
    if plain := _PLAIN_PROFILE.fullmatch(url):
        return None if is_no_profile(plain[1]) else f"in/{plain[1]}"
    url = unseen(url).strip()
    try:
        address = urlsplit(url if _SCHEME.match(url) else f"//{url}", scheme="https")
        host, port = (address.hostname or "").removesuffix("."), address.port
    except ValueError:
        return None
    if address.username is not None or port not in {None, 80, 443} or "\\" in url:
        return None
    if not _LINKEDIN_HOST.fullmatch(host):
        return None
    path = [part for part in address.path.split("/") if part]
    if len(path) < 2 or path[0].casefold() not in {"in", "pub"}:
        return None
    if "linkedin.com" in address.path.casefold() or any(part.endswith(":") for part in path):
        return None
    folder = path[0].casefold()
    # Old addresses, /pub/ada-lovelace/1a/2b3/4c5, need their numbers; /in/<name> may be followed
    # by a language or a page of the profile.
    wanted = path[1:2] if folder == "in" else path[1:5]
    name = "/".join(unicodedata.normalize("NFC", unquote(part)).casefold() for part in wanted)
    broken = not name.isprintable() or "\ufffd" in name
    if broken or name.count("/") != len(wanted) - 1 or is_no_profile(name.partition("/")[0]):
        return None
    return f"{folder}/{name}"


def names_agree(first: str | None, second: str | None) -> bool:
    """Return whether two names can belong to one person: the same words, in any order."""
    one, other = canonical_name(first), canonical_name(second)
    if one is None or other is None:
        return False
    return one == other or sorted(one.split()) == sorted(other.split())


def names_fit(first: str | None, second: str | None) -> bool:
    """Return whether two names of one profile can belong to one person; one may be shorter.

    Titles are ignored, initials match a name, and parts may be missing.

    >>> names_fit("Dr. Ida Strand", "I. Strand"), names_fit("Ida", "Ida Strand")
    (True, True)
    >>> names_fit("Ida Strand", "Tom Vang"), names_fit("Jon Lien Sr", "Jon Lien Jr")
    (False, False)
    """
    one, other = canonical_name(first), canonical_name(second)
    if one is None or other is None:
        return True
    ours, theirs = (
        [word for word in _WORD.split(name) if word and word not in _HONORIFICS]
        for name in (one, other)
    )
    if _GENERATIONS & set(ours) != _GENERATIONS & set(theirs):
        return False
    shorter, longer = sorted((ours, theirs), key=len)
    for word in shorter:
        match = next((there for there in longer if _one_name(word, there)), None)
        if match is None:
            return False
        longer.remove(match)
    return True


def _one_name(one: str, other: str) -> bool:
    return one == other or (1 in {len(one), len(other)} and one[0] == other[0])


def _is_full(name: str) -> bool:
    """Return whether a name in comparable form has more than one part, initials aside."""
    if not name.isascii() and _UNSPACED.search(name.replace(" ", "")):
        return True
    count = 0
    for word in name.split():
        count += len(word) > 1 and word not in _HONORIFICS
        if count > 1:
            return True
    return False


def contradiction(
    there: Mapping[str, Any], incoming: Mapping[str, Any], shared: Collection[str]
) -> str | None:
    """Return the difference that makes two leads with a shared key two persons, or None.

    Args:
        there: `full_name`, `email` and `linkedin_url` of the stored lead.
        incoming: Those of the incoming lead.
        shared: The kinds of key that both share.
    """
    by_profile = not _PROFILE_KINDS.isdisjoint(shared)
    by_address = not _ADDRESS_KINDS.isdisjoint(shared)
    names = there.get("full_name"), incoming.get("full_name")
    if by_profile:
        if not names_fit(*names):
            return "another name"
    else:
        if by_address and not names_agree(*names):
            return "another name"
        profiles = {canonical_linkedin(lead.get("linkedin_url")) for lead in (there, incoming)}
        if len(profiles - {None}) > 1:
            return "another LinkedIn profile"
    if not by_address:
        emails = {canonical_email(lead.get("email")) for lead in (there, incoming)}
        if len({one for one in emails if one and not is_shared_mailbox(one)}) > 1:
            return "another e-mail address"
    return None


def _bounded(value: str) -> str:
    """Return a key short enough for an index; a longer one is replaced by its digest."""
    if len(value) <= _LONGEST:
        return value
    return f"sha256:{sha256(value.encode(errors='surrogatepass')).hexdigest()}"


def keys_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a lead by kind, strongest first; only the kinds that it has.

    Args:
        fields: `full_name`, `company`, `email` and `linkedin_url`; any may be missing or None.
    """
    keys: dict[str, str] = {}
    name = canonical_name(fields.get("full_name"))
    if profile := canonical_linkedin(fields.get("linkedin_url")):
        if name:
            keys["linkedin_name"] = _bounded(f"{profile}|{name}")
        keys["linkedin_url"] = _bounded(profile)
    if email := canonical_email(fields.get("email")):
        if name:
            keys["email_name"] = _bounded(f"{email}|{name}")
        if not is_shared_mailbox(email):
            keys["email"] = _bounded(email)
    if name and _is_full(name) and (company := canonical_company(fields.get("company"))):
        keys["name_company"] = _bounded(f"{name}|{company}")
    return keys

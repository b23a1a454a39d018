"""What tells one person from another: keys derived from the fields of a lead.

Two leads are the same person when they share, in this order,

1. `linkedin_url`: the LinkedIn profile, whatever country host, case, language or query the
   address has;
2. `email`: the e-mail address without regard to case, if the names agree. Dots and plus tags
   count: only some mail servers ignore them;
3. `name_company`: name and company, exact but for case, spaces, accents, punctuation and a small
   list of legal forms, unless their LinkedIn profiles differ.

A shared mailbox (info@, sales@ …) says nothing on its own: it is a key together with the name
only. So is the address of a lead whose address another lead, with another name, came with first.
"Acme" and "Acme Labs", "John Smith" and "Joan Smith" are different.

    >>> keys_of({"full_name": "José  Núñez", "company": "Acme, Inc.", "email": "Info@acme.com"})
    {'email_name': 'info@acme.com|jose nunez', 'name_company': 'jose nunez|acme'}
"""

import re
import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = [
    "KEY_FIELDS",
    "KINDS",
    "canonical_company",
    "canonical_email",
    "canonical_linkedin",
    "canonical_name",
    "is_shared_mailbox",
    "keys_of",
    "names_agree",
]

KINDS = ("linkedin_url", "email_name", "email", "name_company")
"""The kinds of key, strongest first."""

KEY_FIELDS = frozenset({"full_name", "company", "email", "linkedin_url"})
"""The fields that keys are made of."""

_LONGEST = 400


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# www, mobile and country hosts: uk.linkedin.com, de.linkedin.com …
_LINKEDIN_HOST = re.compile(r"(?:(?:www|m|mobile|touch|[a-z]{2})\.)?linkedin\.com")
_NO_PROFILE = frozenset({"me", "null", "none", "nan", "undefined", "unknown", "username", "n-a"})
_SCHEME = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_ATOM = r"[^\s@,;:<>()\[\]\\\"|.]+"
_LOCAL = r"[^\s@,;:<>()\[\]\\\"|]+"  # with its dots in one class: nothing to try in two ways
_EMAIL = re.compile(rf"{_LOCAL}@{_ATOM}(?:\.{_ATOM})+")
_SHARED = _words(
    "abuse accounting accounts admin administration administrator billing bookings bureau contact "
    "contacto contactus customerservice donotreply enquiries enquiry feedback finance hello help "
    "helpdesk hi hr info infos information inquiries inquiry invoice invoices it jobs kontakt mail "
    "mailbox marketing media news newsletter noreply office orders postmaster press reception "
    "recruiting recruitment reservations sales secretary security service services shop staff "
    "support team undisclosed unknown verkauf vertrieb webmaster"
)
_NO_LETTERS = re.compile(r"[\W_\d]+")
_LEGAL_FORMS = _words(
    "ab ag as bv co corp corporation gmbh inc incorporated kg limited llc llp ltd nv oy plc pty sa "
    "sarl sas srl"
)
# Whole values that name nobody and no company: two leads that have them have nothing in common.
_NOBODY = _words(
    "- -- . ? 0 anonymous asdf asdfgh contact customer dummy example foo lead n/a na name nan nil "
    "no-name none null owner private sample tba tbd test tester unknown unbekannt user x xx xxx "
    "xxxx"
) | {"no name", "not available", "not known", "not provided", "not specified", "test user"}
_NO_COMPANY = _NOBODY | {
    "company",
    "confidential",
    "consultant",
    "freelance",
    "freelancer",
    "independent",
    "independent consultant",
    "no company",
    "personal",
    "retired",
    "self",
    "self employed",
    "self-employed",
    "stealth",
    "stealth mode",
    "stealth startup",
    "student",
    "unemployed",
    "various",
}
_ACCENTS = re.compile(r"([a-z])[\u0300-\u036f]+")
# Letters whose stroke or form no decomposition takes away.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("'`\u00b4\u2018\u2019\u02bc.", None)
    | dict.fromkeys(',;:"\u201c\u201d()|', " ")
)


def _folded(value: str) -> str:
    """Without regard to case, spaces, the accents of Latin letters, and punctuation.

    Marks on letters of other scripts stay: there they make another letter, not an accent.
    """
    found = value.casefold()
    if found.isascii():
        return " ".join(found.translate(_LETTERS).split())
    # Taken apart first: some characters stand for several, punctuation among them.
    found = unicodedata.normalize("NFKD", found).casefold().translate(_LETTERS)
    found = unicodedata.normalize("NFC", _ACCENTS.sub(r"\1", found))
    return " ".join(found.split())


def canonical_name(name: str | None) -> str | None:
    """Return the comparable form of a person's name; None for a placeholder or a blank one."""
    found = _folded(name) if name else ""
    return None if not found or found in _NOBODY else found


def canonical_company(company: str | None) -> str | None:
    """Return the comparable form of a company's name, without its legal form.

    None for a blank one, a placeholder, and what people without a company put there.
    """
    words = (_folded(company) if company else "").split()
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    found = " ".join(words)
    return None if not found or found in _NO_COMPANY else found


def canonical_email(email: str | None) -> str | None:
    """Return the comparable form of an e-mail address; None for what is none."""
    if not email:
        return None
    found = unicodedata.normalize("NFC", email.strip().casefold())
    return found if _EMAIL.fullmatch(found) else None


def is_shared_mailbox(email: str) -> bool:
    """Whether an address is read by several people, by its part before the `@`.

    >>> [is_shared_mailbox(f"{box}@acme.com") for box in ("no-reply", "sales-uk", "ada")]
    [True, True, False]
    """
    words = _NO_LETTERS.split(email.partition("@")[0].partition("+")[0].casefold())
    return words[0] in _SHARED or "".join(words) in _SHARED


def canonical_linkedin(url: str | None) -> str | None:
    """Return a LinkedIn profile as `in/<name>`; None for what is no person's profile.

    Hosts that only look like LinkedIn (`linkedin.com.evil.com`, `linkedin.com@evil.com`) are
    none, and neither are company pages.

        >>> canonical_linkedin("https://UK.linkedin.com/in/Ada-Lovelace/en?trk=public_profile")
        'in/ada-lovelace'
        >>> canonical_linkedin("https://linkedin.com.evil.com/in/ada") is None
        True
    """
    if not url:
        return None
    url = url.strip()
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
    folder = path[0].casefold()
    # Old addresses, /pub/ada-lovelace/1a/2b3/4c5, need their numbers; after /in/<name> come a
    # language or a page of the profile.
    wanted = path[1:2] if folder == "in" else path[1:5]
    name = "/".join(unicodedata.normalize("NFC", unquote(part)).casefold() for part in wanted)
    broken = not name.isprintable() or " " in name or "\ufffd" in name
    if broken or name.count("/") != len(wanted) - 1 or name in _NO_PROFILE:
        return None
    return f"{folder}/{name}"


def names_agree(first: str | None, second: str | None) -> bool:
    """Whether two names can be one person's: the same words, in any order."""
    one, other = canonical_name(first), canonical_name(second)
    if one is None or other is None:
        return False
    return one == other or sorted(one.split()) == sorted(other.split())


def _bounded(value: str) -> str:
    """A key short enough for an index; a longer one by its digest."""
    if len(value) <= _LONGEST:
        return value
    return f"sha256:{sha256(value.encode(errors='surrogatepass')).hexdigest()}"


def keys_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a lead by kind, strongest first; none for what it does not have.

    Args:
        fields: `full_name`, `company`, `email` and `linkedin_url`; any may be missing or None.
    """
    keys: dict[str, str] = {}
    name = canonical_name(fields.get("full_name"))
    if profile := canonical_linkedin(fields.get("linkedin_url")):
        keys["linkedin_url"] = _bounded(profile)
    if email := canonical_email(fields.get("email")):
        if name:
            keys["email_name"] = _bounded(f"{email}|{name}")
        if not is_shared_mailbox(email):
            keys["email"] = _bounded(email)
    if name and (company := canonical_company(fields.get("company"))):
        keys["name_company"] = _bounded(f"{name}|{company}")
    return keys

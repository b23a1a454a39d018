"""Similarity of leads: suggests pairs that may be the same person although they share no key.

A score never merges anything; only equal keys do (`leadlog.leads.store.duplicates`). It is the
weighted mean over the values that both leads have (names, companies, e-mail addresses and phone
numbers), compared by RapidFuzz in their canonical forms. If only the names can be compared, the
score is at most 0.8; different LinkedIn profiles halve it.

    >>> one = person({"full_name": "Jon Smith", "company": "Acme"})
    >>> similarity(one, person({"full_name": "John Smith", "company": "Acme Inc"}))
    Similarity(score=0.964, reason='names 95 % alike; same company')
    >>> similarity(one, person({"full_name": "Jon Smith Jr", "company": "Acme"})) is None
    True

For one lead, indexes provide a bounded number of candidates: leads whose name begins alike, leads
of the same company whose name begins with the same letter, and leads whose e-mail address begins
alike. For a whole store, all leads are read in order of company, of name and of e-mail address, and
each is compared with its nearest neighbours, which bounds memory and time; a pair that is not close
in any of these orders is not found.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz
from sqlalchemy import Connection, and_, func, select

from leadlog.leads.store import duplicates
from leadlog.leads.store.duplicates import canonical_company, canonical_name
from leadlog.leads.store.models import COLUMNS, Lead, from_row
from leadlog.leads.store.placeholders import is_no_number
from leadlog.leads.store.search import next_after

__all__ = [
    "ComparedLead",
    "DuplicatePair",
    "Similarity",
    "pairs",
    "person",
    "similarity",
    "suggestions",
]

_WEIGHTS = {"names": 55, "companies": 25, "e-mail addresses": 30, "phone numbers": 20}
_GENERATIONS = frozenset(["jr", "sr", "junior", "senior", "ii", "iii", "iv"])
_SAME = {"companies": "company", "e-mail addresses": "e-mail address", "names": "name"}
_UNLIKE = 0.5
_NAME_ALONE = 0.8
_CONTRADICTED = 0.85
_DIGITS_COMPARED = 8


@dataclass(frozen=True, slots=True)
class Similarity:
    """The similarity of two leads.

    Attributes:
        score: 0 to 1, rounded to three decimals.
        reason: A description of the similarities, for people.
    """

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class ComparedLead:
    """The values of a lead that are compared, in canonical form; None for missing ones."""

    name: str | None
    company: str | None
    email: str | None
    profile: str | None
    phone: str | None


def person(fields: Mapping[str, Any]) -> ComparedLead:
    """Return the values of a lead that are compared.

    Args:
        fields: `full_name`, `company`, `email`, `linkedin_url`, `phone`; any may be missing.
    """
    digits = "".join(char for char in fields.get("phone") or "" if char.isdecimal())
    if is_no_number(digits):
        digits = ""
    return ComparedLead(
        duplicates.canonical_name(fields.get("full_name")),
        duplicates.canonical_company(fields.get("company")),
        duplicates.canonical_email(fields.get("email")),
        duplicates.canonical_linkedin(fields.get("linkedin_url")),
        digits[-_DIGITS_COMPARED:] if len(digits) >= _DIGITS_COMPARED else None,
    )


def similarity(one: ComparedLead, other: ComparedLead) -> Similarity | None:
    """Return the similarity of two leads; None if they are clearly two persons."""
    if one.profile is not None and one.profile == other.profile:
        if duplicates.names_fit(one.name, other.name):
            return Similarity(1.0, "same LinkedIn profile")
        return Similarity(_CONTRADICTED, "same LinkedIn profile; different names")
    if one.name is None or other.name is None:
        return None
    names = _names(one.name, other.name)
    if names < _UNLIKE:
        return None
    found = {"names": names}
    if one.company is not None and other.company is not None:
        found["companies"] = _companies(one.company, other.company)
    weights = dict(_WEIGHTS)
    if one.email is not None and other.email is not None:
        found["e-mail addresses"] = _emails(one.email, other.email)
        if duplicates.is_shared_mailbox(one.email) or duplicates.is_shared_mailbox(other.email):
            weights["e-mail addresses"] = 5
    if one.phone is not None and other.phone is not None:
        found["phone numbers"] = float(one.phone == other.phone)
    total = sum(weights[what] for what in found)
    score = sum(weights[what] * alike for what, alike in found.items()) / total
    if len(found) == 1:
        score *= _NAME_ALONE
    if found.get("names") == found.get("companies") == 1.0:
        score = max(score, _CONTRADICTED)  # an equal key that another value contradicts
    reasons = [_reason(what, alike) for what, alike in found.items()]
    if one.profile is not None and other.profile is not None:
        score *= 0.5
        reasons.append("different LinkedIn profiles")
    return Similarity(round(score, 3), "; ".join(reasons))


def _names(one: str, other: str) -> float:
    if one == other:
        return 1.0
    ours, theirs = one.split(), other.split()
    if _GENERATIONS & set(ours) != _GENERATIONS & set(theirs):
        return 0.0  # father and son
    alike: float = fuzz.token_sort_ratio(one, other) / 100
    if len(ours) == len(theirs) and ours[-1] == theirs[-1]:
        pairs = zip(ours[:-1], theirs[:-1], strict=True)
        if all(a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]) for a, b in pairs):
            return max(alike, 0.9)  # J. Smith, John Smith
    return alike


def _companies(one: str, other: str) -> float:
    if one == other:
        return 1.0
    alike: float = fuzz.token_sort_ratio(one, other) / 100
    ours, theirs = one.split(), other.split()
    shorter = min(len(ours), len(theirs))
    return max(alike, 0.7) if ours[:shorter] == theirs[:shorter] else alike


def _emails(one: str, other: str) -> float:
    if one == other:
        return 1.0
    (box, _, domain), (other_box, _, other_domain) = one.partition("@"), other.partition("@")
    if box == other_box:
        return 0.8
    alike: float = fuzz.ratio(box, other_box) / 100
    return alike if domain == other_domain else alike / 2


def _reason(what: str, alike: float) -> str:
    if alike == 1.0:
        return f"same {_SAME.get(what, what.removesuffix('s'))}"
    if alike < _UNLIKE:
        return f"different {what}"
    return f"{what} {alike:.0%} alike".replace("%", " %")


_CANDIDATES = 300
_WINDOW = 12
_FETCHED = 1000
_SMALL_NAME = func.lower(Lead.full_name)
_SMALL_COMPANY = func.lower(Lead.company)
_SMALL_EMAIL = func.lower(Lead.email)
_COMPARED = select(Lead.id, Lead.full_name, Lead.company, Lead.email, Lead.linkedin_url, Lead.phone)
_WALKS = (
    _COMPARED.where(Lead.company.is_not(None)).order_by(_SMALL_COMPANY, _SMALL_NAME),
    _COMPARED.order_by(_SMALL_NAME),
    _COMPARED.where(Lead.email.is_not(None)).order_by(_SMALL_EMAIL),
)


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two leads of the store that may be the same person.

    Attributes:
        first: The `id`, `full_name`, `company` and `email` of one lead; the values of the
            other compared fields are included.
        second: The same of the other lead.
        score: Their similarity, 0 to 1.
        reason: A description of the similarities.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    score: float
    reason: str


def _starts(column: Any, prefix: str) -> Any:
    """Return a prefix condition that can use the index on the lower-case text."""
    beyond = next_after(prefix)
    return column >= prefix if beyond is None else and_(column >= prefix, column < beyond)


def _blocks(fields: Mapping[str, Any]) -> Iterator[Any]:
    name, company = canonical_name(fields.get("full_name")), fields.get("company")
    email = (fields.get("email") or "").lower()
    words = (fields.get("full_name") or "").lower().split()
    if name is not None and len(words) > 1:
        yield _starts(_SMALL_NAME, f"{words[0]} {words[-1][0]}")
        last = words[-1].rstrip(",")
        yield _starts(_SMALL_NAME, f"{last} {words[0][0]}")
    if name is not None and (canonical := canonical_company(company)) is not None:
        first = (company or "").lower().split()[0].rstrip(",.") or canonical
        yield and_(_starts(_SMALL_COMPANY, first), _starts(_SMALL_NAME, words[0][0]))
    box = email.partition("@")[0]
    if len(box) >= 4:
        yield _starts(_SMALL_EMAIL, box[: max(4, len(box) - 3)])


def suggestions(
    connection: Connection, fields: Mapping[str, Any], known: set[str], least: float, limit: int
) -> list[dict[str, Any]]:
    """Return leads similar to a lead, most similar first.

    Args:
        connection: The connection to query.
        fields: The fields of the lead.
        known: Ids of leads to leave out.
        least: Lowest score.
        limit: Maximum number of leads.

    Returns:
        The leads, each with `score` and `reason`.
    """
    me = person(fields)
    found: dict[str, tuple[Similarity, dict[str, Any]]] = {}
    for block in _blocks(fields):
        for row in connection.execute(select(*COLUMNS).where(block).limit(_CANDIDATES)):
            lead = from_row(row)
            if lead["id"] in known or lead["id"] in found:
                continue
            alike = similarity(me, person(lead))
            if alike is not None and alike.score >= least:
                found[lead["id"]] = alike, lead
    best = sorted(found.values(), key=lambda pair: (-pair[0].score, pair[1]["id"]))[:limit]
    return [{**lead, "score": alike.score, "reason": alike.reason} for alike, lead in best]


def pairs(connection: Connection, least: float) -> Iterator[DuplicatePair]:
    """Iterate over the pairs of similar leads of a store, each pair once.

    Args:
        connection: The connection to query; in use until the iterator is exhausted.
        least: Lowest score.
    """
    seen: set[tuple[str, str]] = set()
    for walk in _WALKS:
        window: deque[tuple[Mapping[str, Any], ComparedLead]] = deque(maxlen=_WINDOW)
        rows = connection.execution_options(yield_per=_FETCHED).execute(walk)
        for row in rows.mappings():
            lead = dict(row)
            me = person(lead)
            for other, them in window:
                alike = similarity(me, them)
                if alike is None or alike.score < least:
                    continue
                key = (min(lead["id"], other["id"]), max(lead["id"], other["id"]))
                if key not in seen:
                    seen.add(key)
                    yield DuplicatePair(other, lead, alike.score, alike.reason)
            window.append((lead, me))

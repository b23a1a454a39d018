"""How alike two leads are: a score with its reasons, for suggestions that a person decides on.

A score never merges anything; only equal keys do (`leadlog.leads.store.duplicates`). It is the
weighted mean of what both leads have: names, companies, e-mail addresses and phone numbers,
compared by RapidFuzz in their canonical forms. Leads that have nothing in common but the name
score at most 0.8, those with different LinkedIn profiles half.

    >>> one = person({"full_name": "Jon Smith", "company": "Acme"})
    >>> similarity(one, person({"full_name": "John Smith", "company": "Acme Inc"}))
    Similarity(score=0.964, reason='names 95 % alike; same company')
    >>> similarity(one, person({"full_name": "Jon Smith Jr", "company": "Acme"})) is None
    True
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz

from leadlog.leads.store import duplicates
from leadlog.leads.store.placeholders import is_no_number

__all__ = ["Person", "Similarity", "person", "similarity"]

_WEIGHTS = {"names": 55, "companies": 25, "e-mail addresses": 30, "phone numbers": 20}
_GENERATIONS = frozenset(["jr", "sr", "junior", "senior", "ii", "iii", "iv"])
_SAME = {"companies": "company", "e-mail addresses": "e-mail address", "names": "name"}
_UNLIKE = 0.5
_NAME_ALONE = 0.8
_CONTRADICTED = 0.85
_DIGITS_COMPARED = 8


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike two leads are.

    Attributes:
        score: 0 to 1, in thousandths.
        reason: What is alike, for people.
    """

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Person:
    """What of a lead is compared, in canonical form; None for what it does not have."""

    name: str | None
    company: str | None
    email: str | None
    profile: str | None
    phone: str | None


def person(fields: Mapping[str, Any]) -> Person:
    """Return what is compared of a lead.

    Args:
        fields: `full_name`, `company`, `email`, `linkedin_url`, `phone`; any may be missing.
    """
    digits = "".join(char for char in fields.get("phone") or "" if char.isdecimal())
    if is_no_number(digits):
        digits = ""
    return Person(
        duplicates.canonical_name(fields.get("full_name")),
        duplicates.canonical_company(fields.get("company")),
        duplicates.canonical_email(fields.get("email")),
        duplicates.canonical_linkedin(fields.get("linkedin_url")),
        digits[-_DIGITS_COMPARED:] if len(digits) >= _DIGITS_COMPARED else None,
    )


def similarity(one: Person, other: Person) -> Similarity | None:
    """Return how alike two leads are; None if they are plainly two persons."""
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
        score = max(score, _CONTRADICTED)  # a key that something else contradicts
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

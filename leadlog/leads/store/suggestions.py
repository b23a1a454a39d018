"""Finds leads that may be the same person though no key says so.

For one lead, the indexes give a bounded number of candidates: those whose name begins alike,
those of its company whose name begins with the same letter, and those whose e-mail address begins
alike. For a whole store, all leads are walked in the order of company, of name and of e-mail
address, and each is compared with its nearest neighbours, so that memory and time stay bounded;
a pair that no order brings near each other is not found.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select

from leadlog.leads.store.duplicates import canonical_company, canonical_name
from leadlog.leads.store.models import Lead
from leadlog.leads.store.search import next_after
from leadlog.leads.store.serialise import COLUMNS, from_row
from leadlog.leads.store.similarity import Person, Similarity, person, similarity

__all__ = ["DuplicatePair", "pairs", "suggestions"]

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
        first: Id, name, company and e-mail address of the one, by `id`, `full_name`, `company`
            and `email`.
        second: The other.
        score: How alike they are, 0 to 1.
        reason: What is alike.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    score: float
    reason: str


def _starts(column: Any, prefix: str) -> Any:
    """A condition that an index on the text in small letters serves."""
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
    """Return leads that are much like a lead, the most alike first.

    Args:
        connection: Where to look.
        fields: The lead.
        known: Ids of leads that are left out.
        least: Lowest score.
        limit: Most leads.

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
    """Iterate over the pairs of leads of a store that are much alike, each pair once.

    Args:
        connection: Where to look; it is in use until the end.
        least: Lowest score.
    """
    seen: set[tuple[str, str]] = set()
    for walk in _WALKS:
        window: deque[tuple[Mapping[str, Any], Person]] = deque(maxlen=_WINDOW)
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

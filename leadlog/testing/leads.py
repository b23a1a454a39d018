"""Generated leads, as messy as a real CRM export, and reproducible.

They include blanks, placeholders, bad e-mails, accents and other scripts, people entered twice,
phone numbers in many notations, unrequested columns and rows without a name. No real person is in
them: e-mail and web addresses are below `.example` and `example.com`, phone numbers in the ranges
that the numbering authorities reserve for fiction.

    >>> first, second = generate_leads(2)
    >>> first["name"], second["company"]
    ('Søren Gößl', 'Ångström S.A.')
    >>> list(generate_leads(2)) == [first, second]
    True
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Literal, TypeVar

__all__ = ["generate_leads"]

T = TypeVar("T")
Lead = dict[str, Any]


def _list(separator: str, text: str) -> Sequence[str]:
    return tuple(text.split(separator))


# `=` separates a name from its form in an address, if that is more than lower-casing it.
_GIVEN = _list(
    " ",
    "Anna Ben Carla David Emma Frank Grace Henry Isabel Jack Karin Liam Maria Noah Olivia Paul "
    "Rosa Samuel Tara Victor Wendy Priya Arjun Kwame Amina Patrick Jean-Luc=jeanluc José=jose "
    "Zoë=zoe Renée=renee Björn=bjoern Jürgen=juergen Łukasz=lukasz Małgorzata=malgorzata Åsa=asa "
    "Søren=soeren Çağla=cagla Ngọc=ngoc Iñaki=inaki Siobhán=siobhan D'Arcy=darcy François=francois",
)
_FAMILY = _list(
    " ",
    "Adams Becker Carter Dubois Evans Fischer Garcia Hughes Ivanova Jensen Keller Lopez Martin "
    "Novak Okafor Petit Quinn Rossi Schmidt Taylor Usman Vogel West Young Zimmer Iyer Mensah "
    "O'Brien=obrien Müller=mueller Nuñez=nunez Gößl=goessl Wiśniewski=wisniewski Dvořák=dvorak "
    "Søndergaard=sondergaard Öztürk=ozturk Nguyễn=nguyen Lefèvre=lefevre Ångström=angstrom "
    "Smith-Jones=smithjones van_der_Berg=vanderberg",
)
_OTHER_SCRIPTS = _list(
    " ",
    "李_娜=na.li 王_伟=wei.wang 山田_太郎=taro.yamada 김_민준=minjun.kim Анна_Петрова=a.petrova "
    "Γιώργος_Παπαδόπουλος=g.papadopoulos محمد_العلي=m.alali נועה_כהן=noa.cohen "
    "प्रिया_शर्मा=priya.sharma สมชาย_ใจดี=somchai.j",
)
_COMPANY = _list(
    "|",
    "{} Inc|{} Ltd|{} GmbH|{} & Söhne|{} Consulting|{} S.A.|{} Logistics|{}, {} & Partners|"
    "{} Software|Grupo {}|{} Health|Studio {}",
)
_TITLES = _list(
    "|",
    "CEO|Head of Sales|VP Marketing|Founder|Geschäftsführer|Directrice commerciale|"
    "Account Executive|Office Manager|Data Engineer|CTO|sales manager|Senior Vice President, EMEA",
)
_PLACEHOLDERS = ("n/a", "N/A", "test", "asdf", "unknown", "-", "none", "xxx", "TBD", "null")
_BLANKS = (None, "", "", "   ", "\t")
_NOTES = (
    "Met at the fair, wants a call back.",
    "asked for a quote\r\nsecond line pasted from a mail",
    "Très intéressée, rappeler en janvier ☎",
    'says "not before Q3"; budget ~ 20k€',
    "do not call",
    "👍 warm\u00a0intro by Tom",
    "copied from C:\\leads\\old.xls",
)
_SOURCES = ("LinkedIn Outreach", "Referral", "Cold Call", "Webinar", "Trade fair", "webinar", "")
_STAGES = ("New", "Contacted", "On Hold", "Negotiation", "Closed Won", "closed lost", None)

_EXPORT_COLUMNS = {
    "company": "Company",
    "email": "Email 1",
    "linkedin_url": "LinkedIn",
    "title": "Job Title",
    "phone": "Phone 1",
    "website": "Website",
    "notes": "Notes",
    "lead_source": "Source",
    "deal_stage": "Deal Stage",
}


class _Dice:
    """Random choices based on `Random.random` alone, whose sequence Python guarantees.

    `choice`, `shuffle` and `randrange` have no such guarantee.
    """

    def __init__(self, seed: int) -> None:
        self._random: Callable[[], float] = Random(seed).random  # noqa: S311 - no secret

    def chance(self, share: float) -> bool:
        """Return True with probability `share`."""
        return self._random() < share

    def number(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, inclusive."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, values: Sequence[T]) -> T:
        """Return one of `values`."""
        return values[int(self._random() * len(values))]

    def name(self, names: Sequence[str]) -> tuple[str, str]:
        """Return a name and its form in an address."""
        shown, _, address = self.pick(names).partition("=")
        return shown.replace("_", " "), address or shown.lower()


def generate_leads(
    count: int, seed: int = 1, *, columns: Literal["record", "export"] = "record"
) -> Iterator[Lead]:
    """Yield leads, using constant memory for any count.

    A longer run begins with the leads of a shorter one. The sequence of a seed is the same on
    every machine and Python version.

    Args:
        count: number of leads.
        seed: the seed; each seed gives different leads.
        columns: `record` uses the field names of leadlog (name, or sometimes full_name, company,
            email, linkedin_url, title, phone, website, notes) and a few columns that leadlog does
            not know; `export` uses the column names of a CRM export (First Name, Last Name,
            Email 1, …), which must be mapped first.

    Yields:
        Plain dicts of strings, numbers, lists and None, as read from JSON; the people are the
        same with both kinds of column names.

    Raises:
        ValueError: `columns` is neither of the two.
    """
    if columns not in ("record", "export"):
        raise ValueError(f"columns is {columns!r}; it can be 'record' or 'export'")
    return _leads(count, _Dice(seed), export=columns == "export")


def _leads(count: int, dice: _Dice, *, export: bool) -> Iterator[Lead]:
    recent: deque[tuple[Lead, str, str]] = deque(maxlen=500)
    for number in range(count):
        if number > 10 and dice.chance(0.08):
            lead, given, family = _entered_again(dice, *dice.pick(recent))
        else:
            lead, given, family = _person(dice)
            recent.append((dict(lead), given, family))
            _spoil(dice, lead)
        lead.update(_unasked(dice, number))
        full_name, sparse = dice.chance(0.1), dice.chance(0.1)
        if export:
            lead = _as_export(lead, given, family)
        elif full_name:
            lead = {"full_name" if key == "name" else key: value for key, value in lead.items()}
        yield {key: value for key, value in lead.items() if value is not None or not sparse}


def _person(dice: _Dice) -> tuple[Lead, str, str]:
    """Return one lead as it should have been entered, and the parts of its name."""
    if dice.chance(0.08):
        name, address = dice.name(_OTHER_SCRIPTS)
        given, _, family = name.partition(" ")
    else:
        given, given_address = dice.name(_GIVEN)
        family, family_address = dice.name(_FAMILY)
        address = f"{given_address}.{family_address}"
        name = f"{given} {family}"
    owner, owner_address = dice.name(_FAMILY)
    company = dice.pick(_COMPANY).format(owner, family)
    domain = f"{owner_address}-{dice.number(1, 400)}.example".replace("'", "")
    address = address.replace("'", "").replace("-", "")
    digits = f"{dice.number(1, 9_999):04d}"
    if dice.chance(0.12):
        email = f"{address}{digits}@example.com"
    else:
        more, host = dice.pick(("", "", "", "+crm", "2")), dice.pick(("", "", "", "mail."))
        email = f"{address}{more}@{host}{domain}"
    return (
        {
            "name": name,
            "company": company,
            "email": email,
            "linkedin_url": f"https://www.linkedin.com/in/{address.replace('.', '-')}-{digits}",
            "title": dice.pick(_TITLES),
            "phone": _phone(dice),
            "website": dice.pick(
                ("https://{}", "https://www.{}/", "http://{}/en", "www.{}")
            ).format(domain),
            "notes": dice.pick(_NOTES) if dice.chance(0.25) else None,
        },
        given,
        family,
    )


def _phone(dice: _Dice) -> str:
    form = dice.pick(
        (
            "(212) 555-01{:02d}",
            "+1 415 555 01{:02d}",
            "303.555.01{:02d}x{}",
            "001-617-555-01{:02d}",
            "+44 20 7946 09{:02d}",
            "030 23125 1{:02d}",
            "+33 1 99 00 12 {:02d}",
            "70255501{:02d}",
        )
    )
    return form.format(dice.number(0, 99), dice.number(100, 9_999))


def _spoil(dice: _Dice, lead: Lead) -> None:
    """Introduce typical mistakes: blank fields, typing errors, upper case."""
    for field, blank, placeholder in (
        ("name", 0.015, 0.01),
        ("company", 0.05, 0.02),
        ("email", 0.07, 0.02),
        ("linkedin_url", 0.45, 0.01),
        ("title", 0.20, 0.02),
        ("phone", 0.25, 0.03),
        ("website", 0.30, 0.02),
    ):
        if dice.chance(blank):
            lead[field] = dice.pick(_BLANKS)
        elif dice.chance(placeholder):
            lead[field] = dice.pick(_PLACEHOLDERS)
    if dice.chance(0.04) and (lead["email"] or "").strip():
        lead["email"] = _mistyped(dice, lead["email"])
    if dice.chance(0.04) and (lead["name"] or "").strip():
        lead["name"] = dice.pick((lead["name"].upper(), f" {lead['name']}  ", lead["name"].lower()))
    if dice.chance(0.02) and (lead["phone"] or "").strip():
        lead["phone"] = dice.pick(("ask reception", "0000000000", 2125550100))


def _mistyped(dice: _Dice, email: str) -> str:
    return dice.pick(
        (
            email.replace("@", " at "),
            email.replace("@", ""),
            email.replace("@", "@@"),
            email.replace(".example", ""),
            f"{email} ",
            f"{email}.",
            f"<{email}>",
            email.replace("@", "@ "),
            f"{email}; office@example.com",
        )
    )


def _entered_again(dice: _Dice, lead: Lead, given: str, family: str) -> tuple[Lead, str, str]:
    """Return the same person with one field in common, as entered by a colleague."""
    again: Lead = {"name": lead["name"], "company": lead["company"], "email": None}
    way = dice.number(1, 4)
    if way == 1:
        again["email"] = f" {lead['email'].upper()}" if dice.chance(0.3) else lead["email"].title()
    elif way == 2:
        country = dice.pick(("de", "fr", "uk", "pl"))
        again["linkedin_url"] = (
            f"{lead['linkedin_url'].replace('//www.', f'//{country}.')}/?trk=public_profile"
        )
    elif way == 3:
        again["name"], again["company"] = lead["name"].upper(), f"{lead['company']} "
        again["phone"] = _phone(dice)
    else:
        again = dict(lead)
        again["title"] = dice.pick(_TITLES)
    return again, given, family


def _unasked(dice: _Dice, number: int) -> Lead:
    """Return columns for which leadlog has no field."""
    more: Lead = {}
    if dice.chance(0.8):
        more["lead_source"] = dice.pick(_SOURCES)
    if dice.chance(0.5):
        more["deal_stage"] = dice.pick(_STAGES)
    if dice.chance(0.3):
        more["Score (0-100)"] = dice.pick((dice.number(0, 100), None, "n/a"))
    if dice.chance(0.15):
        day, month = dice.number(1, 28), dice.number(1, 12)
        more["created"] = dice.pick((f"{day:02d}.{month:02d}.2025", f"2025-{month:02d}-{day:02d}"))
    if dice.chance(0.1):
        more["tags"] = [dice.pick(("vip", "EMEA", "fair-2025", "naïve"))]
    if dice.chance(0.05):
        more["Unnamed: 14"] = number
    return more


def _as_export(lead: Lead, given: str, family: str) -> Lead:
    """Return the same row with a CRM's column names.

    Changes made to the name are made to its parts as well.
    """
    name = lead.pop("name")
    first: Any = given
    last: Any = family
    if name is None or not name.strip():
        first, last = name, name
    elif name.strip().casefold() != f"{given} {family}".casefold():
        first, last = name, ""
    elif name.isupper():
        first, last = given.upper(), family.upper()
    return {"First Name": first, "Last Name": last} | {
        _EXPORT_COLUMNS.get(key, key): value for key, value in lead.items()
    }

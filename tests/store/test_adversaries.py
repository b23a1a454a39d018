"""Different people who look alike are never merged."""

from __future__ import annotations

from itertools import islice, permutations

import pytest

from leadlog.leads.store import LeadDatabase

# Each group: leads that are all different people, however alike they look.
DIFFERENT = {
    "a shared mailbox": [
        {"name": "Ada King", "email": "info@acme.example"},
        {"name": "Bob Ray", "email": "INFO@acme.example"},
        {"name": "Carl Orff", "email": "sales@acme.example"},
        {"name": "Dora Maar", "email": "sales@acme.example"},
        {"name": "Eve Adams", "email": "no-reply@acme.example"},
        {"name": "Finn Mac", "email": "no-reply@acme.example"},
    ],
    "a family with one address": [
        {"name": "Ada King", "email": "king.family@home.example"},
        {"name": "Byron King", "email": "king.family@home.example"},
        {"name": "Ralph King", "email": "King.Family@home.example"},
    ],
    "father, son and grandson": [
        {"name": "John Smith", "company": "Smith Ltd"},
        {"name": "John Smith Jr.", "company": "Smith Ltd"},
        {"name": "John Smith Sr.", "company": "Smith Ltd"},
        {"name": "John Smith III", "company": "Smith Ltd"},
    ],
    "the same name in two companies": [
        {"name": "John Smith", "company": "Acme"},
        {"name": "John Smith", "company": "Acme Labs"},
        {"name": "John Smith", "company": "Labs"},
        {"name": "John Smith", "company": "Acme Holding"},
        {"name": "John Smith"},
        {"name": "John Smith", "company": "n/a"},
        {"name": "John Smith", "company": "Freelance"},
    ],
    "names that differ by a letter": [
        {"name": "John Smith", "company": "Acme"},
        {"name": "Joan Smith", "company": "Acme"},
        {"name": "Jon Smith", "company": "Acme"},
        {"name": "John Smyth", "company": "Acme"},
    ],
    "one company and name, two LinkedIn profiles": [
        {
            "name": "Li Wei",
            "company": "Acme",
            "linkedin_url": "https://www.linkedin.com/in/li-wei-1",
        },
        {
            "name": "Li Wei",
            "company": "Acme",
            "linkedin_url": "https://cn.linkedin.com/in/li-wei-2",
        },
    ],
    "addresses that only look like LinkedIn's": [
        {"name": "Ada King", "linkedin_url": "https://www.linkedin.com/in/ada"},
        {"name": "Bob Ray", "linkedin_url": "https://linkedin.com.evil.com/in/ada"},
        {"name": "Carl Orff", "linkedin_url": "https://linkedin.com@evil.com/in/ada"},
        {"name": "Dora Maar", "linkedin_url": "https://evil.com/linkedin.com/in/ada"},
        {"name": "Eve Adams", "linkedin_url": "https://notlinkedin.com/in/ada"},
        {"name": "Finn Mac", "linkedin_url": "https://linkedin.com.evil.com/in/ada"},
        {"name": "Gil Bates", "linkedin_url": "https://linkedin.co/in/ada"},
        {"name": "Hal Abel", "linkedin_url": "https://www.linkedin.com:8443/in/ada"},
        {"name": "Ida Noe", "linkedin_url": "https://xx.yy.linkedin.com/in/ada"},
        {"name": "Jan Neva", "linkedin_url": "https://www.linked\u0456n.com/in/ada"},  # Cyrillic і
        {"name": "Kim Poe", "linkedin_url": "https://www.linkedin.com/company/ada"},
        {"name": "Lou Reid", "linkedin_url": "https://www.linkedin.com/in/"},
        {"name": "Max Headroom", "linkedin_url": "https://www.linkedin.com/in/"},
    ],
    "mail domains that only look alike": [
        {"name": "Ada King", "email": "ada@acme.example"},
        {"name": "Ada King", "email": "ada@acme.example.evil.example"},
        {"name": "Ada King", "email": "ada@acme-example.example"},
        {"name": "Ada King", "email": "ada@acm\u0435.example"},  # Cyrillic е
        {"name": "Ada King", "email": "ada+acme@acme.example"},
        {"name": "Ada King", "email": "a.da@acme.example"},
    ],
    "placeholders": [
        {"name": "Unknown", "company": "Acme", "email": "n/a"},
        {"name": "unknown", "company": "Acme", "email": "n/a"},
        {"name": "Test", "company": "Acme"},
        {"name": "test", "company": "Acme"},
        {"name": "N/A", "company": "N/A", "linkedin_url": "n/a"},
        {"name": "N/A", "company": "N/A", "linkedin_url": "n/a"},
    ],
    "profiles in profiles": [
        {
            "name": name,
            "company": name.split()[1],
            "linkedin_url": f"https://www.linkedin.com/in/https://www.linkedin.com/in/{name}",
        }
        for name in ("Ida Strand", "Tom Vang", "Siw Aas")
    ],
    "one profile, pasted beside several people": [
        {"name": name, "linkedin_url": "https://www.linkedin.com/in/ida-strand"}
        for name in ("Ida Strand", "Tom Vang", "Siw Aas", "Ida Vang")
    ],
    "one name and company, two addresses": [
        {"name": "Jon Lien", "company": "Fjordvik", "email": "jon.lien@fjordvik.example"},
        {"name": "Jon Lien", "company": "Fjordvik", "email": "jon.lien2@fjordvik.example"},
    ],
    "one profile and name, two addresses": [
        {"name": "Jon Lien", "linkedin_url": "linkedin.com/in/jon", "email": "jon@a.example"},
        {"name": "Jon Lien", "linkedin_url": "linkedin.com/in/jon", "email": "jon@b.example"},
    ],
    "one address and name, two profiles": [
        {"name": "Jon Lien", "linkedin_url": "linkedin.com/in/jon-1", "email": "jon@a.example"},
        {"name": "Jon Lien", "linkedin_url": "linkedin.com/in/jon-2", "email": "jon@a.example"},
    ],
    "first names in one company": [
        {"name": "Jon", "company": "Fjordvik", "title": "Buyer"},
        {"name": "Jon", "company": "Fjordvik", "title": "Seller"},
        {"first_name": "Jon", "company": "Fjordvik"},
        {"name": "J. Lien", "company": "Fjordvik"},
        {"name": "J Lien", "company": "Fjordvik"},
    ],
    "placeholder addresses": [
        {"name": "Jon Lien", "email": email, "company": f"Company {number}"}
        for number, email in enumerate(
            ("na@na.com", "NA@na.com", "test@test.com", "test@test.com", "no-email@x.example")
        )
    ],
    "scripts where a mark makes another letter": [
        {"name": "Йосиф Гай", "company": "Acme"},
        {"name": "Иосиф Гаи", "company": "Acme"},
        {"name": "が か", "company": "Acme"},
        {"name": "か か", "company": "Acme"},
    ],
}


@pytest.mark.parametrize("group", DIFFERENT)
def test_who_only_looks_alike_is_never_merged(group):
    """Leads of different people stay separate, in every order of adding (or many of them)."""
    leads = DIFFERENT[group]
    orders = [leads, leads[::-1], *islice(permutations(leads), 24)]
    for order in orders:
        with LeadDatabase(":memory:", capture=False) as one:
            assert len({one.add_lead(lead) for lead in order}) == len(leads)
        with LeadDatabase(":memory:", capture=False) as many:
            assert many.add_leads(order, batch_size=3).created == len(leads)


SAME = {
    "LinkedIn's hosts of countries, cases and languages": [
        {"name": "Ada King", "linkedin_url": "https://www.linkedin.com/in/ada-king"},
        {"name": "A. King", "linkedin_url": "http://uk.linkedin.com/in/Ada-King/"},
        {"name": "Ada K.", "linkedin_url": "de.linkedin.com/in/ada-king/en?trk=x#top"},
        {"name": "Ada", "linkedin_url": "https://m.linkedin.com/in/ada%2Dking"},
    ],
    "spellings of one address": [
        {"name": "Ada King", "email": "Ada@Acme.example"},
        {"name": "KING, Ada", "email": "ada@acme.example"},
        {"name": "Ada  King", "email": " ADA@ACME.EXAMPLE "},
    ],
    "characters that nobody sees": [
        {"name": "Ida Strand", "company": "Strandverk"},
        {"name": "Ida\u200b Strand", "company": "Strandverk"},
        {"name": "\u202aIda Strand\u202c", "company": "Strand\u00adverk"},
    ],
    "one profile with shorter forms of one name": [
        {
            "name": "Dr. Ida Maria Strand",
            "linkedin_url": "linkedin.com/in/ida",
            "email": "i@a.example",
        },
        {"name": "I. Strand", "linkedin_url": "linkedin.com/in/ida", "company": "Strandverk"},
        {"name": "Ida", "linkedin_url": "linkedin.com/in/ida", "email": "info@a.example"},
    ],
    "legal forms, accents and spaces": [
        {"name": "José Núñez", "company": "Acme, Inc."},
        {"name": "jose nunez", "company": "ACME LLC"},
        {"name": "JOSÉ  NÚÑEZ", "company": "Acme GmbH"},
    ],
}


@pytest.mark.parametrize("group", SAME)
def test_who_is_only_spelled_differently_is_one_lead(group):
    """Different spellings of one person become one lead, in every order of adding."""
    for order in permutations(SAME[group]):
        with LeadDatabase(":memory:", capture=False) as db:
            assert len({db.add_lead(lead) for lead in order}) == 1


def test_two_keys_of_two_leads_update_the_stronger_and_report_the_other(db):
    """With the profile of one lead and the address of another, the profile decides."""
    by_profile = db.add_lead({"name": "Ada King", "linkedin_url": "linkedin.com/in/ada"})
    by_address = db.add_lead({"name": "Ada King", "email": "ada@acme.example"})
    both = {
        "name": "Ada King",
        "linkedin_url": "https://uk.linkedin.com/in/ada",
        "email": "ada@acme.example",
        "title": "Countess",
    }
    (outcome,) = db.add_leads([both]).outcomes
    assert (outcome.lead_id, outcome.matched_on) == (by_profile, "linkedin_url")
    assert outcome.possible_duplicates == (by_address,)
    assert db.get_lead(by_address)["title"] is None
    assert {lead["id"] for lead in db.find_duplicates(both)} == {by_profile, by_address}

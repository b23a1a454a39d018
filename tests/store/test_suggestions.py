"""Similar leads are suggested with a score and a reason, and never merged."""

from __future__ import annotations

import pytest

from leadlog.core.errors import ValidationError
from leadlog.leads.store.similarity import person, similarity

JON = {"name": "Jon Smith", "company": "Acme Inc", "email": "jon.smith@acme.example"}


def score(one, other):
    def fields(lead):
        return person({**lead, "full_name": lead["name"]})

    found = similarity(fields(one), fields(other))
    back = similarity(fields(other), fields(one))
    assert (found and found.score) == (back and back.score)
    return 0.0 if found is None else found.score


@pytest.mark.parametrize(
    "other",
    [
        {"name": "John Smith", "company": "ACME"},
        {"name": "Smith, Jon", "company": "Acme Incorporated"},
        {"name": "J. Smith", "company": "Acme"},
        {"name": "Jon Smyth", "company": "Acme", "email": "jon.smyth@acme.example"},
        {"name": "Jon Smith", "company": "Acme Labs", "email": "jon.smith@acme.example"},
    ],
)
def test_what_is_likely_the_same_person_scores_high(other):
    """Typing errors, initials, word order and legal forms score high."""
    assert score(JON, other) >= 0.85


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Jon Smith Jr", "company": "Acme", "email": "jon.smith@acme.example"},
        {"name": "Jon Smith", "company": "Beta Bank", "email": "js@beta.example"},
        {"name": "Joan Smithers", "company": "Gamma", "email": "joan@gamma.example"},
        {"name": "Jon Smith"},
        {"name": "Maria Garcia", "company": "Acme", "email": "maria@acme.example"},
    ],
)
def test_what_is_likely_somebody_else_scores_low(other):
    """Father and son, namesakes elsewhere, colleagues, and a name alone score low."""
    assert score(JON, other) < 0.85


def test_a_suggestion_has_a_score_and_a_reason_and_merges_nothing(db):
    """find_duplicates returns shared keys first, then similar leads, most similar first."""
    jon = db.add_lead(JON)
    joan = db.add_lead({"name": "Joan Smith", "company": "Acme", "email": "joan@acme.example"})
    db.add_lead({"name": "Maria Garcia", "company": "Acme"})
    john = {"name": "John Smith", "company": "Acme", "email": "john.smith@acme.example"}
    found = db.find_duplicates(john)
    assert [(lead["id"], lead["matched_on"], lead["would_merge"]) for lead in found] == [
        (jon, None, False),
    ]
    assert found[0]["score"] == pytest.approx(0.962, abs=0.01)
    assert found[0]["reason"] == ("names 95 % alike; same company; e-mail addresses 95 % alike")
    assert {lead["id"] for lead in db.find_duplicates(john, min_score=0.6)} == {jon, joan}
    assert db.find_duplicates(john, min_score=None) == []
    assert db.find_duplicates(john, min_score=0.5, limit=1)[0]["id"] == jon
    assert db.add_lead(john) not in {jon, joan}
    assert db.stats()["total_leads"] == 4


def test_a_shared_key_has_a_score_and_a_reason_too(db):
    """A lead that add_lead would merge scores 1; other matches say what differs."""
    ada = db.add_lead({"name": "Ada King", "company": "Acme", "email": "ada@acme.example"})
    same, other = (
        db.find_duplicates({"name": name, "email": "ada@acme.example"})[0]
        for name in ("ADA KING", "Bob Ray")
    )
    assert (same["id"], same["score"], same["reason"]) == (ada, 1.0, "same e-mail address")
    assert (other["id"], other["score"]) == (ada, 0.0)
    assert other["would_merge"] is False


@pytest.mark.parametrize("least", [-0.1, 1.5, "high", True])
def test_a_bad_score_is_refused(db, least):
    """A score outside 0 to 1 is refused."""
    with pytest.raises(ValidationError, match="min_score is"):
        db.find_duplicates({"name": "Ada"}, min_score=least)
    with pytest.raises(ValidationError, match="min_score is"):
        list(db.find_all_duplicates(least))


def test_all_pairs_of_a_store_come_once(db):
    """A pair that is close in several orders is reported once."""
    names = ["Jon Smith", "John Smith", "Maria Garcia", "Mariah Garcia", "Wei Chen"]
    db.add_leads(
        {"name": name, "company": "Acme", "email": f"{name.replace(' ', '.')}@acme.example"}
        for name in names
    )
    db.add_leads(
        {"name": f"Person {chr(97 + n)}x{n * 7919}", "company": f"C{n}"} for n in range(99)
    )
    pairs = [
        {pair.first["full_name"], pair.second["full_name"]} for pair in db.find_all_duplicates(0.9)
    ]
    assert len(pairs) == 2
    assert {"Jon Smith", "John Smith"} in pairs
    assert {"Maria Garcia", "Mariah Garcia"} in pairs
    assert db.stats()["total_leads"] == 104

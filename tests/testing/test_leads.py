"""The lead generator: the same messy leads for everybody."""

import hashlib
import json
import re
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.testing import generate_leads


def digest(leads):
    """Return one digest for all of the leads."""
    text = json.dumps(list(leads), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def names(leads):
    """Return the name of each lead, under either key; None if it has none."""
    return [lead.get("name", lead.get("full_name")) for lead in leads]


@pytest.mark.parametrize(
    ("seed", "columns", "expected"),
    [
        (1, "record", "2ae51e6f7053cf67"),
        (1, "export", "e18a2a8812b1dc9b"),
        (2, "record", "4d4d85cda0693ec8"),
    ],
)
def test_same_on_every_machine(seed, columns, expected):
    """A seed gives the leads that it gave on the machine where this was written."""
    assert digest(generate_leads(2_000, seed, columns=columns)) == expected


@given(st.integers(0, 60), st.integers(0, 60), st.integers())
def test_shorter_run_is_the_beginning_of_a_longer_one(count, more, seed):
    """A shorter run gives the first leads of a longer one."""
    longer = generate_leads(count + more, seed)
    assert list(generate_leads(count, seed)) == list(islice(longer, count))


def test_leads_are_json():
    """Leads are what a JSON file can hold, and nothing else."""
    leads = list(generate_leads(500))
    assert json.loads(json.dumps(leads)) == leads


def test_nobody_real_is_in_them():
    """The only domains are those reserved for examples, and LinkedIn's for made-up profiles."""
    text = json.dumps(list(generate_leads(5_000)), ensure_ascii=False)
    domains = set(re.findall(r"[a-z0-9-]+\.(?:com|net|org|io|de|fr|uk|pl)\b", text, re.IGNORECASE))
    assert all(domain.lower().endswith(("example.com", "linkedin.com")) for domain in domains)


def test_mess_of_real_exports_is_in_them():
    """Blanks, placeholders, bad e-mails, other scripts and unknown columns all occur."""
    leads = list(generate_leads(2_000))
    mails = [str(lead.get("email") or "") for lead in leads]
    assert 0.01 < sum(not (name or "").strip() for name in names(leads)) / 2_000 < 0.06
    assert sum(mail.strip().casefold() in ("n/a", "test", "asdf", "unknown") for mail in mails) > 5
    assert sum("@" not in mail and "example" in mail for mail in mails) > 5
    assert any("@@" in mail for mail in mails)
    assert sum(not (name or "").isascii() for name in names(leads)) > 200
    assert sum("李" in (name or "") for name in names(leads)) > 0
    assert {"lead_source", "Score (0-100)", "Unnamed: 14", "tags"} <= {
        key for lead in leads for key in lead
    }


def test_people_entered_twice():
    """Some leads come again: e-mail in other letters, country host, same name and company."""
    leads = list(generate_leads(2_000))
    mails = [lead["email"] for lead in leads if "@" in str(lead.get("email"))]
    exact, folded = Counter(mails), Counter(mail.strip().casefold() for mail in mails)
    assert sum(folded.values()) - len(folded) > sum(exact.values()) - len(exact) + 10

    profiles = [str(lead.get("linkedin_url") or "") for lead in leads]
    usual = {profile.partition("/in/")[2] for profile in profiles if "//www." in profile}
    country = [profile for profile in profiles if re.match(r"https://(de|fr|uk|pl)\.", profile)]
    again = [profile for profile in country if re.split(r"/in/|/\?", profile)[1] in usual]
    assert len(again) > 10

    people = Counter(
        (name.strip().casefold(), str(lead.get("company")).strip())
        for lead, name in zip(leads, names(leads), strict=True)
        if name and name.strip()
    )
    assert sum(count > 1 for count in people.values()) > 50


def test_export_columns_hold_the_same_people():
    """Under a CRM's column names there are the same leads, with the name in two parts."""
    records = generate_leads(300)
    for record, row in zip(records, generate_leads(300, columns="export"), strict=True):
        assert {"First Name", "Last Name"} <= row.keys()
        assert "name" not in row
        assert row.get("Email 1") == record.get("email")
        assert row.get("Company") == record.get("company")


def test_unknown_columns_argument_is_refused():
    """A misspelt kind of columns is an error that names the two there are."""
    with pytest.raises(ValueError, match="'record' or 'export'"):
        generate_leads(1, columns="exports")

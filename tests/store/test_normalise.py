"""The mapping of an export's columns to fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.errors import ValidationError
from leadlog.leads.store.columns import Columns
from leadlog.leads.store.invisible import trimmed
from leadlog.leads.store.normalise import field_of, to_fields

EXPORT_ROW = {
    "Index": "1",
    "Account Id": "2FCBFE58CC70308",
    "Lead Owner": "Selena Doyle",
    "First Name": "Jaime",
    "Last Name": "Hayes",
    "Company": "Mays Inc",
    "Phone 1": "9802005297",
    "Phone 2": "917-584-0243x4606",
    "Email 1": "fstephens@shepherd.info",
    "Email 2": "rusheddie@massey.info",
    "Website": "https://black.com/",
    "Source": "LinkedIn Outreach",
    "Deal Stage": "On Hold",
    "Notes": "Heart represent while into.",
}


def test_a_row_of_a_crm_export_finds_its_fields():
    """The columns of a common export become fields, and the others stay as they are."""
    found = to_fields(EXPORT_ROW)
    assert found.fields == {
        "full_name": "Jaime Hayes",
        "company": "Mays Inc",
        "phone": "9802005297",
        "email": "fstephens@shepherd.info",
        "website": "https://black.com/",
        "source": "LinkedIn Outreach",
        "status": "On Hold",
        "notes": "Heart represent while into.",
    }
    assert found.raw_data == {
        "Index": "1",
        "Account Id": "2FCBFE58CC70308",
        "Lead Owner": "Selena Doyle",
        "Phone 2": "917-584-0243x4606",
        "Email 2": "rusheddie@massey.info",
    }


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("name", "full_name"),
        ("Full Name", "full_name"),
        ("job_title", "title"),
        ("LinkedIn", "linkedin_url"),
        ("linkedin-url", "linkedin_url"),
        ("company_name", "company"),
        ("E-Mail Address", "email"),
        ("PHONE_NUMBER", "phone"),
        ("Company Website", "website"),
        ("Deal Stage", "status"),
        ("lead_source", "source"),
        ("\ufeffNotes", "notes"),
        ("Number of Employees", "company_size"),
        ("Last Name", "full_name"),
        ("E-mail\nAddress", "email"),
        ("Company / Account", "company"),
        ("# Employees", "company_size"),
        ("Na\u00adme", "full_name"),
        ("Pr\u00e9nom", "full_name"),
        ("PRE\u0301NOM", "full_name"),
        ("Email (2)", "email"),
        ("URL", "website"),
        ("Email 2", None),
        ("", None),
    ],
)
def test_column_names_are_known_in_any_spelling(column, field):
    """Case, spaces, underscores, hyphens and a byte order mark are ignored."""
    assert field_of(column) == field


def test_blank_values_are_none():
    """Blank text becomes None, which shows that the column was present."""
    assert to_fields({"email": " ", "First Name": "", "Last Name": None}).fields == {
        "email": None,
        "full_name": None,
    }


def test_the_first_value_that_is_not_blank_wins_and_the_other_is_kept():
    """Of two columns for one field, the first non-blank one wins and the other is kept."""
    found = to_fields({"email": "", "Work Email": "a@b.example", "Email 1": "c@d.example"})
    assert found.fields == {"email": "a@b.example"}
    assert found.raw_data == {"Email 1": "c@d.example"}


def test_the_same_value_twice_is_kept_once():
    """A lead with equal name and full_name, as the store returns it, keeps no copy in raw_data."""
    found = to_fields({"name": "Ada Lovelace", "full_name": "Ada Lovelace", "first_name": "Ada"})
    assert found.fields == {"full_name": "Ada Lovelace"}
    assert found.raw_data == {"first_name": "Ada"}


@pytest.mark.parametrize(
    ("columns", "name", "partial"),
    [
        ({"Last Name": "Lovelace", "First Name": "Ada"}, "Ada Lovelace", False),
        ({"first": 1, "firstName": "Ada", "MiddleName": "K.", "Surname": "L"}, "Ada K. L", False),
        ({"Last Name": "Lovelace"}, "Lovelace", True),
        ({"First Name": "Ada", "name": ""}, "Ada", True),
        ({"First Name": "Ada", "name": "Ada King"}, "Ada King", False),
        ({"Name": "Jon", "Surname": "Lien"}, "Jon Lien", False),
        ({"Name": "Mary Ann", "Last Name": "Dahl"}, "Mary Ann Dahl", False),
        ({"Name": "Lien", "First Name": "Jon"}, "Jon Lien", False),
        ({"Name": "Jon", "First Name": "Jon", "Last Name": "Lien"}, "Jon Lien", False),
        ({"Name": "Jon A. Lien", "First Name": "Jon", "Last Name": "Lien"}, "Jon A. Lien", False),
        ({"Name": "Lien, Jon", "First Name": "Jon", "Last Name": "Lien"}, "Lien, Jon", False),
        ({"Name": "Jon Lien", "Surname": "LIEN"}, "Jon Lien", False),
        ({"Name": "Jon", "First Name": "Jon"}, "Jon", True),
        ({"Name": "Jon", "Middle Name": "A.", "Surname": "Lien"}, "Jon A. Lien", False),
        ({"Name": "Spring offer", "First Name": "Jon", "Last Name": "Lien"}, "Jon Lien", False),
        ({"First Name": "Jon", "Last Name": "Lien", "Suffix": "Jr."}, "Jon Lien Jr.", False),
        ({"First Name": "Jon", "Last Name": "Lien", "Suffix": "PhD"}, "Jon Lien", False),
    ],
)
def test_a_name_is_made_of_its_parts(columns, name, partial):
    """First, middle and last name form the full name if there is no column for it."""
    found = to_fields(columns)
    assert found.fields["full_name"] == name
    assert found.part_of_name is partial


@pytest.mark.parametrize(
    ("lead", "fields", "raw"),
    [
        (
            {"Title": "Ms.", "Job Title": "Head of Purchasing"},
            {"title": "Head of Purchasing"},
            {"Title": "Ms."},
        ),
        ({"Title": "Ms.", "Job Title": ""}, {"title": None}, {"Title": "Ms."}),
        ({"Title": "Buyer", "Job Title": ""}, {"title": "Buyer"}, {}),
        ({"Title": "Buyer", "Position": "CTO"}, {"title": "CTO"}, {"Title": "Buyer"}),
        (
            {"Email": "a@b.example", "Work Email": "c@d.example"},
            {"email": "c@d.example"},
            {"Email": "a@b.example"},
        ),
        (
            {"URL": "https://www.linkedin.com/in/ida"},
            {"linkedin_url": "https://www.linkedin.com/in/ida"},
            {},
        ),
        ({"URL": "https://strandverk.example"}, {"website": "https://strandverk.example"}, {}),
    ],
)
def test_the_more_specific_column_wins(lead, fields, raw):
    """Job Title wins over Title in any order, and a salutation is not a title."""
    for columns in (lead, dict(reversed(lead.items()))):
        found = to_fields(columns)
        assert (found.fields, found.raw_data) == (fields, raw)


def test_a_column_can_be_given_its_field():
    """A given mapping wins over the known names, in any spelling; raw_data keeps a column."""
    columns = Columns({"Ansprechpartner": "name", "firma": "raw-data", "Who Pays": "company"})
    found = to_fields({"ANSPRECHPARTNER": "Ida", "Firma": "x", "who pays": "Acme"}, columns)
    assert found.fields == {"full_name": "Ida", "company": "Acme"}
    assert found.raw_data == {"Firma": "x"}
    columns = Columns({"a": "First Name", "b": "last_name"})
    assert to_fields({"b": "Strand", "a": "Ida"}, columns).fields == {"full_name": "Ida Strand"}


def test_a_mapping_to_no_field_is_refused_with_those_that_there_are():
    """The error names the column, the unknown field and the valid fields."""
    with pytest.raises(ValidationError, match=r"no field 'compny' for the column 'Who'.*company"):
        Columns({"Who": "compny"})


def test_raw_data_of_an_exported_lead_stays_raw_data():
    """The raw_data of a lead returned by the store is stored as raw_data again."""
    found = to_fields({"name": "Ada", "raw_data": {"Index": 1}, "index": 2})
    assert found.raw_data == {"Index": 1, "index": 2}


def test_raw_columns_of_one_name_are_both_kept():
    """Two different values under one name are kept under two names."""
    found = to_fields({"x": 1, "raw_data": {"x": 2, "x (2)": 3}})
    assert found.raw_data == {"x": 1, "x (2)": 2, "x (2) (2)": 3}


def test_a_date_that_cannot_be_read_is_kept_as_it_is():
    """An ambiguous date such as 03/04/2026 is kept in raw_data instead of being guessed."""
    found = to_fields({"name": "Ada", "Created At": "03/04/2026"})
    assert "created_at" not in found.fields
    assert found.raw_data == {"Created At": "03/04/2026"}


@pytest.mark.parametrize("lead", [None, "Ada", ["Ada"], 5, {"Ada"}])
def test_what_is_no_mapping_is_refused(lead):
    """A lead that is not a mapping is refused with an error that says what a lead is."""
    with pytest.raises(ValidationError, match="a lead is a mapping of columns to values"):
        to_fields(lead)


def test_a_value_that_cannot_be_stored_is_refused_by_field():
    """A value of a wrong type is refused with its field and a remedy."""
    with pytest.raises(ValidationError, match=r"company is \['Acme'\], a list; give text"):
        to_fields({"Company Name": ["Acme"]})


COLUMNS = st.sampled_from(
    [
        "name",
        "full_name",
        "Full Name",
        "First Name",
        "first_name",
        "Last Name",
        "Company",
        "company_name",
        "Email 1",
        "email",
        "Email 2",
        "phone",
        "Phone 1",
        "notes",
        "Deal Stage",
        "status",
        "Index",
        "created_at",
        "x",
        "x (2)",
        "raw_data",
    ]
) | st.text(max_size=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
LEADS = st.dictionaries(COLUMNS, TEXT | st.integers(-999, 999) | st.none(), max_size=8)


def words(values):
    return [trimmed(str(value)) for value in values if value is not None]


@given(LEADS)
def test_no_value_is_ever_lost(lead):
    """Each non-blank value is found in a field or in raw_data."""
    found = to_fields(lead)
    kept = words(found.fields.values()) + words(found.raw_data.values())
    name = found.fields.get("full_name") or ""
    for column, value in lead.items():
        for word in words([value]):
            part = field_of(column) == "full_name" and word in name
            date = field_of(column) in {"created_at", "updated_at"}
            assert not word or word in kept or part or date


@given(LEADS)
def test_unknown_columns_are_untouched(lead):
    """An unknown column keeps its name and its value, including blank ones."""
    raw = to_fields(lead).raw_data
    for column, value in lead.items():
        if field_of(column) is None and "(" not in column:
            assert raw[column] == value


@given(LEADS)
def test_what_was_normalised_stays_as_it_is(lead):
    """Normalising a normalised lead changes nothing."""
    once = to_fields(lead)
    again = to_fields({**once.fields, "raw_data": once.raw_data})
    assert (again.fields, again.raw_data) == (once.fields, once.raw_data)

"""JSON in the shapes of various programs: envelopes, nested values, rows, maps."""

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.leads.migration import MigrationManager
from leadlog.leads.migration.shapes import flattened
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.columns import Columns

PEOPLE = [
    {"first": "Ida", "last": "Strand", "email": "ida@strandverk.example", "company": "Strandverk"},
    {"first": "Tom", "last": "Vang", "email": "tom@vangbygg.example", "company": "Vangbygg"},
]
FOUND = {(f"{one['first']} {one['last']}", one["email"], one["company"]) for one in PEOPLE}


def hubspot(one):
    return {"firstname": one["first"], "lastname": one["last"], **plain(one)}


def plain(one):
    return {"email": one["email"], "company": one["company"]}


def named(one):
    return {"name": f"{one['first']} {one['last']}", **plain(one)}


SHAPES = {
    "Airtable": {
        "records": [
            {"id": f"rec{n}", "createdTime": "2026-01-01T00:00:00.000Z", "fields": named(one)}
            for n, one in enumerate(PEOPLE)
        ],
        "offset": "itr",
    },
    "HubSpot": {
        "results": [{"id": str(n), "properties": hubspot(one)} for n, one in enumerate(PEOPLE)],
        "paging": {"next": {"after": "2"}},
    },
    "JSON:API": {"data": [{"type": "contact", "attributes": hubspot(one)} for one in PEOPLE]},
    "Elasticsearch": {
        "took": 1,
        "hits": {
            "total": {"value": 2},
            "hits": [{"_index": "a", "_source": named(one)} for one in PEOPLE],
        },
    },
    "GraphQL": {
        "data": {"leads": {"edges": [{"node": named(one), "cursor": "x"} for one in PEOPLE]}}
    },
    "Pipedrive": {
        "success": True,
        "data": [
            {
                "name": named(one)["name"],
                "email": [
                    {"label": "home", "value": "home@a.example", "primary": False},
                    {"label": "work", "value": one["email"], "primary": True},
                ],
                "organization": {"name": one["company"], "value": 7},
            }
            for one in PEOPLE
        ],
    },
    "names in parts": [
        {"name": {"first": one["first"], "last": one["last"]}, **plain(one)} for one in PEOPLE
    ],
    "lists": [
        {
            "name": named(one)["name"],
            "emails": ["", one["email"], "b@a.example"],
            "company": [one["company"]],
        }
        for one in PEOPLE
    ],
    "Firebase": {f"-N{n}": named(one) for n, one in enumerate(PEOPLE)},
    "Firebase, under a key": {"leads": {f"-N{n}": named(one) for n, one in enumerate(PEOPLE)}},
    "pandas": {
        column: {str(n): named(one)[column] for n, one in enumerate(PEOPLE)}
        for column in ("name", "email", "company")
    },
    "pandas, split": {
        "columns": ["name", "email", "company"],
        "index": [0, 1],
        "data": [list(named(one).values()) for one in PEOPLE],
    },
    "Google Sheets": {
        "range": "A1:C3",
        "majorDimension": "ROWS",
        "values": [["Name", "Email", "Company"], *(list(named(one).values()) for one in PEOPLE)],
    },
    "rows under a header": [
        ["Name", "Email", "Company"],
        *(list(named(one).values()) for one in PEOPLE),
    ],
}


def migrated(tmp_path, source):
    """Migrate JSON; return the result and the leads."""
    path = tmp_path / "source.json"
    path.write_text(source if isinstance(source, str) else json.dumps(source), "utf-8")
    with LeadDatabase(":memory:", capture=False) as db:
        result = MigrationManager(db).migrate_json_files([path], backup=False)
        assert result.data_integrity_maintained is not False
        return result, list(db.get_all_leads())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_people_are_found_in_whatever_shape(tmp_path, shape):
    """Each person has name, address and company, and nothing is rejected."""
    result, leads = migrated(tmp_path, SHAPES[shape])
    assert {(one["full_name"], one["email"], one["company"]) for one in leads} == FOUND
    assert (result.rejected, len(leads)) == (0, 2)


def test_what_a_value_is_taken_out_of_is_kept(tmp_path):
    """Other addresses and the company's id are kept; mere wrappers are not."""
    one = SHAPES["Pipedrive"]["data"][0]
    _, leads = migrated(tmp_path, SHAPES["Pipedrive"])
    (lead,) = [lead for lead in leads if lead["full_name"] == one["name"]]
    assert lead["raw_data"]["email"] == one["email"]
    assert lead["raw_data"]["organization"] == one["organization"]
    _, (alone,) = migrated(tmp_path, [{"name": "Ida", "emails": ["ida@a.example"]}])
    assert (alone["email"], alone["raw_data"]) == ("ida@a.example", {})


def test_mongo_exports_have_their_own_types(tmp_path):
    """mongoexport's extended JSON, one object per line, is read."""
    line = {"_id": {"$oid": "64" * 12}, **named(PEOPLE[0]), "createdAt": {"$date": "2026-01-02"}}
    _, (lead,) = migrated(tmp_path, json.dumps(line))
    assert lead["id"] == "64" * 12
    assert lead["created_at"].isoformat().startswith("2026-01-02")


@pytest.mark.parametrize(
    "record",
    [
        {"name": {"title": "Dr"}, "email": "ida@a.example"},
        {"fields": {"colour": "red"}},
        {"company": {"country": "NO"}, "name": "Ida"},
        ["Ida", "ida@a.example"],
        [["Colour", "Size"], ["red", 7]],
        {"0": {"name": "Ida"}, "1": {"colour": "red"}},
        {"values": [["Name"], ["Ida", "too", "many"]]},
    ],
)
def test_what_has_no_person_in_it_is_rejected_as_it_is(tmp_path, record):
    """The reject has the record exactly as in the source."""
    result, leads = migrated(tmp_path, [record])
    assert leads == []
    assert result.rejected == 1
    assert result.rejects[0].record == record


def test_a_row_that_is_longer_than_the_header_is_rejected(tmp_path):
    """A row longer than the header is rejected; the surrounding rows are read."""
    rows = [["Name", "Email"], ["Ida"], ["Tom", "tom@a.example", "?"], ["Siw", "siw@a.example"]]
    result, leads = migrated(tmp_path, rows)
    assert {one["full_name"] for one in leads} == {"Ida", "Siw"}
    assert [one.record for one in result.rejects] == [rows[2]]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "email", "company", "fields", "data", "id", "0", "first"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_no_value_of_a_record_is_lost(record):
    """Each text of a record of any shape is in the resulting lead."""
    columns = Columns()
    before = json.dumps(record)
    flat = flattened(record, columns)
    assert json.dumps(record) == before
    assert texts(record) <= texts(flat)


def texts(value):
    """Yield the texts in a value, at any depth."""
    if isinstance(value, dict):
        return set().union(*map(texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts, value))
    return {value} if isinstance(value, str) and value else set()


def test_one_person_is_never_taken_for_several(tmp_path):
    """Objects inside a record are its values, in any order."""
    for first, second in product(("address", "company", "owner"), repeat=2):
        if first != second:
            record = {"name": "Ida", first: {"name": "Acme"}, second: {"name": "Oslo"}}
            _, leads = migrated(tmp_path, [record])
            assert [one["full_name"] for one in leads] == ["Ida"]


def test_what_a_name_has_beside_its_parts_is_kept(tmp_path):
    """Additional keys of a name object, and parts that a column repeats, are kept."""
    name = {"first": "Ida", "last": "Strand", "nick": "Idun"}
    _, (lead,) = migrated(tmp_path, [{"name": name}])
    assert (lead["full_name"], lead["raw_data"]["name"]) == ("Ida Strand", name)
    both = {"name": {"first": "Ida"}, "first name": "Ada", "last name": "King"}
    assert texts(both) <= texts(flattened(both, Columns()))

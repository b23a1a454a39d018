"""The table's fields: missing, computed or of the wrong type, and their creation."""

from __future__ import annotations

import pytest

from leadlog.core.errors import AirtableError, SettingsError, SyncError


@pytest.fixture
def bare(serve):
    """A table with few fields, one of them computed and one of the wrong type."""
    return serve(
        fields=[
            {"name": "Full Name", "type": "singleLineText"},
            {"name": "Company", "type": "formula"},
            {"name": "Verified", "type": "singleLineText"},
            {"name": "Email", "type": "email"},
        ]
    )


def test_every_problem_is_told_with_its_remedy(bare, connect):
    """Missing, computed and wrong fields are reported before anything is written."""
    sync = connect(bare)
    found = {one.field: one for one in sync.check_schema().problems}
    assert found["company"].problem == "computed"
    assert found["verified"].problem == "wrong_type"
    assert found["verified"].wanted == ("checkbox",)
    assert found["title"].problem == "missing"
    assert found["id"].problem == "missing"
    assert "email" not in found
    with pytest.raises(SyncError, match=r"is computed \(formula\).*leadlog sync schema"):
        sync.bidirectional_sync()
    assert bare.counters.by_method == {"GET": 2}


def test_missing_fields_can_be_created(bare, connect, db):
    """Missing fields are created with the right types; other problems are left to people."""
    sync = connect(bare, fields={"company": False, "verified": False})
    created = sync.create_missing_fields()
    assert "Lead ID" in created
    assert {field.name: field.type for field in bare.fields}["Enriched"] == "checkbox"
    assert not sync.check_schema().problems
    db.add_lead({"name": "Ada", "email": "ada@x.example"})
    assert sync.bidirectional_sync().success


def test_a_field_can_be_named_by_its_id(airtable, connect, db):
    """A field can be configured by the id in its browser address."""
    sync = connect(fields={"title": airtable.field("Job Title").id})
    db.add_lead({"name": "Ada", "title": "Countess"})
    sync.sync_to_airtable()
    assert airtable.records()[0]["fields"]["Job Title"] == "Countess"


def test_a_renamed_field_is_told(airtable, connect):
    """A renamed field is reported and still used."""
    sync = connect()
    sync.bidirectional_sync()
    airtable.rename_field("Phone", "Telephone")
    assert sync.check_schema().renamed == {"Phone": "Telephone"}


def test_a_table_that_is_not_there_is_told(airtable, connect):
    """An unknown table is refused with the names of the existing ones."""
    with pytest.raises(AirtableError, match="no table 'Nope'; it has 'Leads'"):
        connect(table="Nope").check_schema()


def test_a_field_for_the_last_change_has_to_be_one(airtable, connect):
    """A text field is refused as the field for the time of the last change."""
    with pytest.raises(SyncError, match="'Company' must hold the time"):
        connect(modified_field="Company").bidirectional_sync()


def test_a_sync_needs_a_base(db):
    """Without a base the error says where to find its id."""
    from leadlog.leads.airtable import AirtableSyncManager

    with pytest.raises(SettingsError, match="airtable_base_id is not set"):
        AirtableSyncManager(db, api_key="k")

"""The fake Airtable's cells keep and refuse what Airtable's do."""

from datetime import UTC, datetime, timedelta

import pytest
from pyairtable.formulas import match

from leadlog.testing.airtable.fields import TYPES

FIELDS = [
    {"name": "Name", "type": "singleLineText"},
    *({"name": kind, "type": kind} for kind in TYPES if kind != "formula"),
    {"name": "Label", "type": "formula", "options": {"formula": "UPPER({Name}) & '-' & number"}},
    {
        "name": "Mail Modified",
        "type": "lastModifiedTime",
        "options": {"referencedFieldIds": ["email", "url"]},
    },
    {
        "name": "Trimmed",
        "type": "email",
        "normalise": lambda text: text.strip().lower(),
    },
]
CHOICES = {"choices": ["Red", "Blue"]}


@pytest.fixture
def airtable(fake):
    """A table with one field of every type."""
    fields = [
        field | {"options": CHOICES} if field["type"].endswith(("Select", "Selects")) else field
        for field in FIELDS
    ]
    return fake(fields=fields)


KEPT = [
    ("singleLineText", " two  words ", " two  words "),
    ("multilineText", "a\nb", "a\nb"),
    ("richText", "**a**", "**a**\n"),
    ("email", "no address", "no address"),
    ("url", "example.com", "example.com"),
    ("phoneNumber", "+1 (555) 0100", "+1 (555) 0100"),
    ("number", 1.5, 1.5),
    ("number", 20.0, 20),
    ("number", 0, 0),
    ("number", 2**53 + 1, 2**53),
    ("number", 10**20, 1e20),
    ("number", -0.25, -0.25),
    ("currency", 12, 12),
    ("percent", 0.5, 0.5),
    ("duration", 90, 90),
    ("rating", 3, 3),
    ("rating", 0, None),
    ("checkbox", True, True),
    ("checkbox", False, None),
    ("date", "2026-03-01", "2026-03-01"),
    ("date", "2026-03-01T23:30:00-05:00", "2026-03-02"),
    ("dateTime", "2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00.000Z"),
    ("dateTime", "2026-03-01T12:00:00.123456Z", "2026-03-01T12:00:00.123Z"),
    ("dateTime", "2026-03-01", "2026-03-01T00:00:00.000Z"),
    ("singleSelect", "Red", "Red"),
    ("singleSelect", {"name": "Blue"}, "Blue"),
    ("singleSelect", "", None),
    ("multipleSelects", ["Blue", "Red", "Blue"], ["Blue", "Red"]),
    ("multipleSelects", [], None),
    ("Trimmed", " A@Example.com ", "a@example.com"),
    *((kind, None, None) for kind in ("number", "date", "singleSelect", "checkbox", "email")),
]


@pytest.mark.parametrize(("field", "sent", "kept"), KEPT)
def test_what_a_cell_keeps(table, field, sent, kept):
    """A value that fits is kept as Airtable keeps it, and given back by every way to read it."""
    made = table.create({field: sent})
    assert made["fields"].get(field) == kept
    assert type(made["fields"].get(field)) is type(kept)
    assert table.all()[0] == table.get(made["id"]) == made


REFUSED = [
    ("singleLineText", 5),
    ("singleLineText", "x" * 100_001),
    ("email", True),
    ("url", ["x"]),
    ("number", "5"),
    ("number", True),
    ("number", "NaN"),
    ("rating", 6),
    ("rating", 1.5),
    ("checkbox", "true"),
    ("checkbox", 1),
    ("date", "01/03/2026"),
    ("date", 20260301),
    ("dateTime", "yesterday"),
    ("dateTime", "0001-01-01T00:00:00+05:00"),
    ("date", "9999-12-31T23:59:59-05:00"),
    ("singleSelect", 1),
    ("singleSelect", {"name": "Green"}),
    ("singleSelect", {}),
    ("singleSelect", ["Red"]),
    ("multipleSelects", "Red"),
    ("multipleSelects", [1]),
    ("autoNumber", 1),
    ("createdTime", "2026-03-01"),
    ("lastModifiedTime", "2026-03-01"),
    ("Label", "x"),
    ("Label", None),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_what_a_cell_refuses(airtable, table, refused, field, value):
    """A value of another type, and anything for a computed field, is refused by its field."""
    assert refused(table.create, {field: value}) == (422, "INVALID_VALUE_FOR_COLUMN")
    assert len(airtable) == 0


CAST = [
    ("singleLineText", 5, "5"),
    ("singleLineText", True, "true"),
    ("number", "1,234.50 USD", 1234.5),
    ("number", "none", None),
    ("rating", "4", 4),
    ("checkbox", "checked", True),
    ("checkbox", "no", None),
    ("date", "soon", None),
    ("singleSelect", "Green ", "Green"),
    ("singleSelect", " ", None),
    ("singleSelect", 7, "7"),
    ("multipleSelects", "Red, Green", ["Red", "Green"]),
]


@pytest.mark.parametrize(("field", "sent", "kept"), CAST)
def test_typecast_makes_values_fit(table, field, sent, kept):
    """With typecast, texts become numbers, marks and new choices; what cannot, is left blank."""
    assert table.create({field: sent}, typecast=True)["fields"].get(field) == kept


@pytest.mark.parametrize(
    ("field", "value"), [("singleSelect", "Green"), ("multipleSelects", ["Green"])]
)
def test_new_choice_needs_typecast(airtable, table, refused, field, value):
    """A choice that is not there is refused; typecast makes it, unless the request fails."""
    assert refused(table.create, {field: value}) == (422, "INVALID_MULTIPLE_CHOICE_OPTIONS")
    records = [{field: value}, {"rating": 9}]
    assert refused(table.batch_create, records, typecast=True)[0] == 422
    assert len(airtable.field(field).choices) == 2
    table.batch_create([{field: value}] * 2, typecast=True)
    assert [one["name"] for one in airtable.field(field).choices] == ["Red", "Blue", "Green"]


def test_computed_fields_fill_themselves(airtable, table, clock):
    """Numbers, times and formulas come by themselves; each last-modified time has its fields."""
    first = table.create({"Name": "ana", "number": 4})
    clock.seconds += 60
    second = table.create({"email": "a@example.com"})
    assert [one["fields"]["autoNumber"] for one in (first, second)] == [1, 2]
    assert second["fields"]["createdTime"] == second["createdTime"] == "2026-03-01T12:01:00.000Z"
    assert first["fields"]["Label"] == "ANA-4"
    assert "Mail Modified" not in first["fields"]
    assert second["fields"]["Mail Modified"] == "2026-03-01T12:01:00.000Z"
    clock.seconds += 60
    changed = table.update(second["id"], {"Name": "eva"})["fields"]
    assert changed["Mail Modified"] == "2026-03-01T12:01:00.000Z"
    assert changed["lastModifiedTime"] == "2026-03-01T12:02:00.000Z"
    assert "lastModifiedTime" not in airtable.record(airtable.create())["fields"]


def test_clock_of_the_server_may_be_wrong(fake):
    """A server whose clock is a day ahead stamps tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    airtable = fake(epoch=tomorrow)
    stamp = airtable.record(airtable.create())["createdTime"]
    assert stamp == tomorrow.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_formula_that_cannot_be_computed(airtable, table):
    """A formula that names a field which is gone, or itself, shows an error in its cell."""
    one = airtable.create({"Name": "ana"})
    airtable.add_field("Circle", "formula", formula="{Circle} & 'x'")
    airtable.add_field("Sum", "formula", formula="LEN(Name) > 2", result={"type": "number"})
    airtable.rename_field("number", "Count")
    fields = table.get(one)["fields"]
    assert fields["Label"] == fields["Circle"] == {"error": "#ERROR!"}
    assert fields["Sum"] == 1


def test_zone_of_a_field(airtable, table, refused):
    """A time without a zone is in the field's own; a zone that does not exist is refused."""
    airtable.add_field("Local", "dateTime", timeZone="Europe/Berlin")
    assert table.create({"Local": "2026-03-01T12:00:00"})["fields"]["Local"] == (
        "2026-03-01T11:00:00.000Z"
    )
    options = {
        "timeZone": "Europe/Nowhere",
        "dateFormat": {"name": "iso"},
        "timeFormat": {"name": "24hour"},
    }
    table.schema()
    create = (table.create_field, "Other", "dateTime", None, options)
    assert refused(*create) == (422, "INVALID_REQUEST_UNKNOWN")
    rating = {"icon": "star", "color": "redBright", "max": 11}
    create = (table.create_field, "Other", "rating", None, rating)
    assert refused(*create) == (422, "INVALID_REQUEST_UNKNOWN")


def test_schema_of_every_type_is_understood(airtable, table):
    """pyairtable knows every field's type and reads its options."""
    schema = table.schema()
    assert [
        type(field).__name__ for field in schema.fields if "Unknown" in type(field).__name__
    ] == []
    assert schema.field("Mail Modified").options.referenced_field_ids == [
        airtable.field("email").id,
        airtable.field("url").id,
    ]
    assert [choice.name for choice in schema.field("singleSelect").options.choices] == [
        "Red",
        "Blue",
    ]


def test_filters_see_every_type(airtable, table):
    """The formula that pyairtable's `match` builds for a value finds the record with it."""
    for values in (
        {"Name": "it's \\ {odd}"},
        {"number": 3},
        {"number": -1.5},
        {"checkbox": True},
        {"date": "2026-03-01"},
        {"multipleSelects": ["Red", "Blue"]},
    ):
        one = airtable.create(values)
        (name, value), *_ = values.items()
        shown = ", ".join(value) if isinstance(value, list) else value
        assert [record["id"] for record in table.all(formula=match({name: shown}))] == [one]

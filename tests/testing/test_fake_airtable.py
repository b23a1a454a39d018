"""The fake Airtable answers as Airtable does, seen through the real pyairtable."""

import threading
import time
from collections import Counter

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pyairtable import Api

from leadlog.core.errors import FakeAirtableError
from leadlog.testing import FakeAirtable


def ids(records):
    """The ids of records, in order."""
    return [record["id"] for record in records]


# --------------------------------------------------------------------------------------- records


def test_what_is_created_can_be_read(airtable, table):
    """A record is answered with an id, a time and its fields, and is the same when it is read."""
    made = table.create({"Full Name": "Ana", "Verified": True})
    assert made["createdTime"] == "2026-03-01T12:00:00.000Z"
    assert made["id"].startswith("rec")
    assert made["fields"] == {
        "Full Name": "Ana",
        "Verified": True,
        "Last Modified": "2026-03-01T12:00:00.000Z",
    }
    assert table.get(made["id"]) == made
    assert airtable.records() == [made]
    assert airtable.record(made["id"]) == made


def test_blank_values_are_left_out(table):
    """False, an empty text and null are not in answers at all."""
    made = table.create({"Full Name": "Ana", "Verified": False, "Email": "", "Company": None})
    assert set(made["fields"]) == {"Full Name", "Last Modified"}
    assert set(table.update(made["id"], {"Full Name": ""})["fields"]) == {"Last Modified"}


def test_patch_changes_and_put_replaces(table):
    """PATCH leaves what it does not name; PUT empties it."""
    made = table.create({"Full Name": "Ana", "Email": "a@example.com"})
    patched = table.update(made["id"], {"Company": "Acme"})
    assert patched["fields"]["Email"] == "a@example.com"
    put = table.update(made["id"], {"Full Name": "Eva"}, replace=True)
    assert set(put["fields"]) == {"Full Name", "Last Modified"}
    (batch,) = table.batch_update([{"id": made["id"], "fields": {"Company": "Acme"}}], replace=True)
    assert set(batch["fields"]) == {"Company", "Last Modified"}


def test_batches_of_ten(airtable, table):
    """25 records are three calls each to create, to change and to delete."""
    made = table.batch_create([{"Full Name": str(n)} for n in range(25)])
    table.batch_update([{"id": one, "fields": {"Company": "Acme"}} for one in ids(made)])
    assert {record["fields"]["Company"] for record in airtable.records()} == {"Acme"}
    deleted = table.batch_delete(ids(made))
    assert [one["deleted"] for one in deleted] == [True] * 25
    assert len(airtable) == 0
    assert airtable.counters.by_route == {"create": 3, "update": 3, "delete": 3}


def test_batch_is_all_or_nothing(airtable, table, refused):
    """One bad record of ten refuses the whole batch, for creates, updates and deletes."""
    made = ids(table.batch_create([{"Full Name": str(n)} for n in range(9)]))
    before = airtable.records()
    records = [{"Full Name": "new"}] * 9
    wrong = [*records, {"Verified": "yes"}]
    assert refused(table.batch_create, wrong) == (422, "INVALID_VALUE_FOR_COLUMN")
    changes = [{"id": one, "fields": {"Company": "Acme"}} for one in made]
    gone = {"id": "recAAAAAAAAAAAAAA", "fields": {}}
    assert refused(table.batch_update, [*changes, gone]) == (422, "ROW_DOES_NOT_EXIST")
    assert refused(table.batch_delete, [*made, gone["id"]]) == (422, "ROW_DOES_NOT_EXIST")
    assert airtable.records() == before


@pytest.mark.parametrize(("status", "kind"), [(403, "MODEL_ID_NOT_FOUND"), (404, "NOT_FOUND")])
def test_record_that_does_not_exist(fake, connect, refused, status, kind):
    """A path that names no record is 403 or 404, as the test wants it."""
    table = connect(fake(missing_status=status))
    for call in (table.get, table.delete, lambda one: table.update(one, {"Email": "x"})):
        assert refused(call, "recAAAAAAAAAAAAAA") == (status, kind)


def test_fields_by_id(airtable, connect):
    """Fields can be sent and answered by id; names then do not matter."""
    table = connect(airtable, use_field_ids=True)
    email = airtable.field("Email").id
    made = table.create({email: "a@example.com"})
    airtable.rename_field("Email", "E-Mail")
    assert table.get(made["id"])["fields"][email] == "a@example.com"
    assert table.update(made["id"], {email: "b@example.com"})["fields"][email] == "b@example.com"
    assert airtable.records()[0]["fields"]["E-Mail"] == "b@example.com"
    assert table.all()[0]["fields"][email] == "b@example.com"


def test_unknown_field(table, airtable, refused):
    """A field that does not exist, or was renamed, is refused by its name."""
    assert refused(table.create, {"Nope": "x"}) == (422, "UNKNOWN_FIELD_NAME")
    airtable.rename_field("Email", "E-Mail")
    assert refused(table.create, {"Email": "x"}) == (422, "UNKNOWN_FIELD_NAME")
    assert refused(table.all, fields=["Email"]) == (422, "UNKNOWN_FIELD_NAME")
    assert refused(table.all, sort=["Email"]) == (422, "UNKNOWN_FIELD_NAME")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "INVALID_REQUEST_BODY"),
        (b"[]", "INVALID_REQUEST_BODY"),
        (b'{"fields": {"Score": NaN}}', "INVALID_REQUEST_BODY"),
        (b"{}", "INVALID_REQUEST_MISSING_FIELDS"),
        (b'{"fields": []}', "INVALID_REQUEST_MISSING_FIELDS"),
        (b'{"records": []}', "INVALID_RECORDS"),
        (b'{"records": [1]}', "INVALID_RECORDS"),
        (b'{"records": [%s]}' % b",".join([b'{"fields": {}}'] * 11), "INVALID_RECORDS"),
    ],
)
def test_body_that_is_no_request(airtable, raw, body, kind):
    """A body that is not a JSON object of fields, or of at most ten records, creates nothing."""
    answer = raw("POST", data=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, kind)
    assert len(airtable) == 0


def test_same_record_twice_in_a_batch(airtable, raw):
    """A record can be changed once in a request."""
    one = airtable.create()
    changes = [{"id": one, "fields": {"Company": name}} for name in ("a", "b")]
    answer = raw("PATCH", json={"records": changes})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "INVALID_RECORDS")


# ----------------------------------------------------------------------------------------- lists


def test_pages_of_at_most_a_hundred(airtable, table):
    """250 records are three pages; the pages have every record once and in order."""
    expected = [airtable.create({"Full Name": str(n)}) for n in range(250)]
    pages = list(table.iterate())
    assert [len(page) for page in pages] == [100, 100, 50]
    assert [one for page in pages for one in ids(page)] == expected
    assert [len(page) for page in table.iterate(page_size=80, max_records=170)] == [80, 80, 10]
    assert airtable.counters.by_route == {"list": 6}


def test_page_size_above_a_hundred_is_refused(table, refused):
    """No page has more than 100 records or fewer than one."""
    for size in (0, 101):
        assert refused(table.all, page_size=size) == (422, "INVALID_REQUEST_UNKNOWN")


def test_rows_deleted_and_added_while_reading(airtable, table):
    """A row deleted between two pages is not in the list, and no other one is lost for it."""
    expected = [airtable.create() for _ in range(150)]
    pages = table.iterate()
    found = ids(next(pages))
    airtable.delete(expected[3])
    airtable.delete(expected[100])
    found += ids(next(pages))
    assert found == [one for one in expected if one != expected[100]]


def test_iterator_that_nobody_reads_expires(airtable, table, clock, refused):
    """A list left alone for too long has to be started again."""
    for _ in range(101):
        airtable.create()
    pages = table.iterate()
    next(pages)
    clock.seconds += 301
    assert refused(next, pages) == (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
    assert len(table.all()) == 101


def test_offset_that_nobody_gave(table, refused, raw):
    """An offset of another list is no longer there, and a text is none at all."""
    answer = raw("GET", params={"offset": "itrAAAAAAAAAAAAAA/recAAAAAAAAAAAAAA"})
    assert answer.json()["error"]["type"] == "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"
    answer = raw("GET", params={"offset": "x"})
    assert answer.json()["error"]["type"] == "INVALID_OFFSET_VALUE"


def test_some_fields_in_some_order(airtable, table):
    """A list has the fields that were asked for, sorted by several; blanks come first."""
    for name, company in [("b", "x"), ("a", "y"), ("C", "x"), ("d", None)]:
        airtable.create({"Full Name": name, "Company": company, "Email": "e@example.com"})
    found = table.all(fields=["Full Name", "Company"], sort=["-Company", "Full Name"])
    assert [record["fields"] for record in found] == [
        {"Full Name": "a", "Company": "y"},
        {"Full Name": "b", "Company": "x"},
        {"Full Name": "C", "Company": "x"},
        {"Full Name": "d"},
    ]


def test_long_filters_go_by_post(airtable, table):
    """A list too long for an address is asked for by POST …/listRecords and answered alike."""
    expected = [airtable.create({"Full Name": str(n)}) for n in range(120)]
    formula = f"OR({{Full Name}}='{'x' * 16_000}', TRUE())"
    found = table.all(formula=formula, sort=["Full Name"], fields=["Full Name"])
    assert sorted(ids(found)) == sorted(expected)
    assert [request.method for request in airtable.requests] == ["POST", "POST"]


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": "Full Name"},
        {"sort": [{"field": "Full Name", "direction": "up"}]},
        {"fields": "Full Name"},
        {"fields": [1]},
        {"pageSize": "many"},
        {"maxRecords": 0},
    ],
)
def test_list_parameters_are_checked(raw, airtable, asked):
    """A wrong parameter is refused, not left out."""
    path = f"/v0/{airtable.base_id}/{airtable.table_id}/listRecords"
    answer = raw("POST", path, json=asked)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "INVALID_REQUEST_UNKNOWN")


def test_many_lists_at_a_time(airtable, raw):
    """A hundred lists can be read on at a time; the oldest has to be started again."""
    for _ in range(2):
        airtable.create()
    offsets = [raw("GET", params={"pageSize": 1}).json()["offset"] for _ in range(101)]
    kinds = [raw("GET", params={"offset": offset}).status_code for offset in offsets]
    assert kinds == [422] + [200] * 100


def test_what_the_fake_cannot_do_is_refused(table, refused):
    """Texts instead of values, and views that do not exist, are not answered as if they did."""
    assert refused(table.all, cell_format="string") == (422, "INVALID_REQUEST_UNKNOWN")
    assert refused(table.all, view="Mine") == (422, "VIEW_NAME_NOT_FOUND")


# --------------------------------------------------------------------------------------- upserts


def test_upsert_updates_one_match_and_creates_without(airtable, table):
    """An upsert updates existing records and creates the others; the answer says which."""
    there = airtable.create({"Lead ID": "1", "Company": "Acme"})
    answer = table.batch_upsert(
        [{"fields": {"Lead ID": "1", "Email": "a@example.com"}}, {"fields": {"Lead ID": "2"}}],
        ["Lead ID"],
    )
    assert answer["updatedRecords"] == [there]
    assert answer["createdRecords"] == [answer["records"][1]["id"]]
    assert airtable.record(there)["fields"]["Company"] == "Acme"
    again = table.batch_upsert([{"fields": {"Lead ID": "2"}}], ["Lead ID"])
    assert (again["createdRecords"], len(airtable)) == ([], 2)


def test_upsert_by_id_and_by_several_fields(airtable, table):
    """A record with an id needs no match; else all fields to merge on have to be equal."""
    one = airtable.create({"Full Name": "Ana", "Company": "Acme"})
    two = airtable.create({"Full Name": "Ana", "Company": "Other"})
    answer = table.batch_upsert(
        [
            {"id": one, "fields": {"Email": "a@example.com"}},
            {"fields": {"Full Name": "Ana", "Company": "Other", "Email": "b@example.com"}},
        ],
        ["Full Name", "Company"],
    )
    assert answer["updatedRecords"] == [one, two]


def test_upsert_with_several_matches_fails(airtable, table, refused):
    """Two rows with one Lead ID, and the whole request fails."""
    airtable.duplicate(airtable.create({"Lead ID": "1"}))
    before = airtable.records()
    records = [{"fields": {"Lead ID": "2"}}, {"fields": {"Lead ID": "1"}}]
    assert refused(table.batch_upsert, records, ["Lead ID"]) == (422, "INVALID_REQUEST_UNKNOWN")
    assert airtable.records() == before


@pytest.mark.parametrize(
    "merge_on",
    [
        [],
        ["Lead ID", "Email", "Company", "Full Name"],
        ["Last Modified"],
        ["Verified"],
        ["Nope"],
        "Lead ID",
    ],
)
def test_upsert_merges_on_one_to_three_fields_that_can(airtable, raw, merge_on):
    """Computed fields, check boxes, none and four are refused."""
    answer = raw(
        "PATCH",
        json={
            "performUpsert": {"fieldsToMergeOn": merge_on},
            "records": [{"fields": {"Lead ID": "1"}}],
        },
    )
    assert answer.status_code == 422
    assert len(airtable) == 0


def test_upsert_needs_a_value_and_no_twins(airtable, table, raw, refused):
    """A record without the value to merge on, and two with the same one, are refused."""
    assert refused(table.batch_upsert, [{"fields": {"Lead ID": ""}}], ["Lead ID"])[0] == 422
    twins = [{"fields": {"Lead ID": "1"}}] * 2
    assert refused(table.batch_upsert, twins, ["Lead ID"])[0] == 422
    assert len(airtable) == 0


KEYS = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.lists(KEYS, min_size=1, max_size=4, unique=True)),
        st.tuples(st.just("edit"), KEYS, KEYS),
        st.tuples(st.just("delete"), KEYS),
    ),
    max_size=8,
)


@given(STEPS)
def test_upserts_find_what_a_search_finds(steps):
    """After any edits, an upsert finds the same rows as a search through all of them."""
    rows: dict[str, str] = {}
    with FakeAirtable(per_base=None, per_token=None) as airtable, requests.Session() as client:
        for step in steps:
            if step[0] == "upsert":
                matches = Counter(rows.values())
                answer = client.patch(
                    f"{airtable.endpoint_url}/v0/{airtable.base_id}/Leads",
                    headers={"Authorization": f"Bearer {airtable.api_key}"},
                    json={
                        "performUpsert": {"fieldsToMergeOn": ["Lead ID"]},
                        "records": [{"fields": {"Lead ID": key}} for key in step[1]],
                    },
                )
                assert answer.ok is all(matches[key] < 2 for key in step[1])
                if answer.ok:
                    created = answer.json()["createdRecords"]
                    assert len(created) == sum(matches[key] == 0 for key in step[1])
                    for record in answer.json()["records"]:
                        rows[record["id"]] = record["fields"]["Lead ID"]
                continue
            named = [one for one, key in rows.items() if key == step[1]]
            if step[0] == "edit":
                for one in named:
                    airtable.edit(one, {"Lead ID": step[2]})
                    rows[one] = step[2]
            else:
                for one in named:
                    airtable.delete(one)
                    del rows[one]
            shown = {one["id"]: one["fields"]["Lead ID"] for one in airtable.records()}
            assert shown == rows


# ------------------------------------------------------------------------------ schema and token


def test_schema_says_what_is_there(airtable, table):
    """pyairtable reads the schema, with ids, types and options of every field."""
    schema = table.schema()
    assert (schema.id, schema.name) == (airtable.table_id, "Leads")
    assert schema.primary_field_id == airtable.fields[0].id
    assert [(one.id, one.name, one.type) for one in schema.fields] == [
        (one.id, one.name, one.type) for one in airtable.fields
    ]
    assert table.api.base(airtable.base_id, validate=True).name == "Leads"
    assert table.api.whoami()["id"].startswith("usr")


def test_fields_are_created_and_renamed_by_the_api(airtable, table):
    """A new field can be written at once; its name can be changed; both are in the schema."""
    table.schema()
    made = table.create_field(
        "Stage", "singleSelect", "Where it is", {"choices": [{"name": "New"}]}
    )
    assert airtable.field("Stage").id == made.id
    assert table.create({"Stage": "New"})["fields"]["Stage"] == "New"
    made.name = "Step"
    made.save()
    assert table.schema(force=True).field("Step").description == "Where it is"


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ({"name": "Email", "type": "email"}, "DUPLICATE_OR_EMPTY_FIELD_NAME"),
        ({"name": " ", "type": "email"}, "DUPLICATE_OR_EMPTY_FIELD_NAME"),
        ({"name": "N", "type": "number"}, "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE"),
        ({"name": "L", "type": "lastModifiedTime"}, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE"),
        ({"name": "F", "type": "formula"}, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE"),
        ({"name": "X", "type": "whatever"}, "INVALID_REQUEST_UNKNOWN"),
        (
            {"name": "S", "type": "singleSelect", "options": {"choices": ["New"]}},
            "INVALID_REQUEST_UNKNOWN",
        ),
    ],
)
def test_field_that_the_api_cannot_create(airtable, raw, field, kind):
    """Computed fields, missing options and names that are taken are refused."""
    before = airtable.fields
    path = f"/v0/meta/bases/{airtable.base_id}/tables/{airtable.table_id}/fields"
    answer = raw("POST", path, json=field)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, kind)
    assert airtable.fields == before


def test_token_base_and_table_have_to_be_right(airtable, connect, refused):
    """A wrong token is 401; a base or table that is not there is 403, as if not permitted."""
    wrong = connect(airtable, api_key="patWrong")
    assert refused(wrong.all) == (401, "AUTHENTICATION_REQUIRED")
    api = connect(airtable).api
    for table in (api.table("appOther000000000", "Leads"), api.table(airtable.base_id, "Other")):
        assert refused(table.all) == (403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")


def test_path_that_is_no_endpoint(airtable, raw):
    """A path without a route gets 404, in Airtable's short form."""
    answer = raw("POST", "/v0/meta/bases", json={})
    assert (answer.status_code, answer.json()) == (404, {"error": "NOT_FOUND"})


def test_body_that_is_too_large(fake, connect, refused):
    """Above the limit the answer is 413 and nothing is done, however large the body is."""
    airtable = fake(largest_body=1_000)
    table = connect(airtable)
    assert refused(table.create, {"Notes": "x" * 1_000}) == (413, "REQUEST_TOO_LARGE")
    assert refused(table.create, {"Notes": "x" * 20_000_000}) == (413, "REQUEST_TOO_LARGE")
    assert len(airtable) == 0
    table.create({"Notes": "x" * 100})
    assert airtable.counters.by_status == {413: 2, 200: 1}
    assert airtable.counters.bytes_received > 20_000_000


# ---------------------------------------------------------------------------------- people's part


def test_people_edit_without_a_call(airtable, clock):
    """A person's edits are in the table with their time, and no API call is counted."""
    one = airtable.create({"Full Name": "Ana"})
    clock.seconds += 90
    airtable.edit(one, {"Company": "Acme"})
    assert airtable.record(one)["fields"]["Last Modified"] == "2026-03-01T12:01:30.000Z"
    clock.seconds += 90
    airtable.edit(one, {"Company": "Acme"})
    assert airtable.record(one)["fields"]["Last Modified"] == "2026-03-01T12:01:30.000Z"
    two = airtable.duplicate(one)
    assert airtable.record(two)["fields"]["Company"] == "Acme"
    assert airtable.record(two)["fields"]["Last Modified"] == "2026-03-01T12:03:00.000Z"
    airtable.delete(one)
    assert ids(airtable.records()) == [two]
    assert airtable.counters.calls == 0


def test_people_change_fields(airtable, table):
    """Fields are added, renamed, given another type and removed; values go with them."""
    one = airtable.create({"Full Name": "Ana", "Company Size": "12 to 50", "Phone": "none"})
    airtable.add_field("Stage", "multipleSelects", choices=["New"])
    airtable.add_field("Tags", "multipleSelects")
    airtable.edit(one, {"Stage": "New, Won", "Tags": ["a", "b"]})
    assert [choice["name"] for choice in airtable.field("Stage").choices] == ["New", "Won"]
    airtable.change_type("Tags", "singleLineText")
    assert airtable.record(one)["fields"]["Tags"] == "a, b"
    airtable.change_type("Tags", "checkbox")
    airtable.change_type("Full Name", "multilineText")
    size = airtable.field("Company Size").id
    assert airtable.change_type("Company Size", "number").id == size
    airtable.change_type("Phone", "number")
    airtable.remove_field("Stage")
    assert table.get(one)["fields"] == {
        "Full Name": "Ana",
        "Company Size": 12,
        "Last Modified": "2026-03-01T12:00:00.000Z",
    }


@pytest.mark.parametrize(
    "act",
    [
        lambda airtable: airtable.create({"Nope": 1}),
        lambda airtable: airtable.edit("recAAAAAAAAAAAAAA", {}),
        lambda airtable: airtable.delete("recAAAAAAAAAAAAAA"),
        lambda airtable: airtable.duplicate("recAAAAAAAAAAAAAA"),
        lambda airtable: airtable.create({"Last Modified": "2026-01-01"}),
        lambda airtable: airtable.field("Nope"),
        lambda airtable: airtable.rename_field("Email", "Company"),
        lambda airtable: airtable.add_field("Email"),
        lambda airtable: airtable.add_field("X", "whatever"),
        lambda airtable: airtable.remove_field("Full Name"),
        lambda airtable: FakeAirtable(fields=[]),
        lambda airtable: FakeAirtable(fields=[{"type": "email"}]),
        lambda airtable: FakeAirtable(fields={"Done": "checkbox"}),
        lambda airtable: airtable.add_field("X", "rating", max=0),
        lambda airtable: airtable.add_field("X", "dateTime", timeZone=5),
        lambda airtable: airtable.fail("explode"),
        lambda airtable: airtable.fail("error", nth=0),
        lambda airtable: airtable.fail("error", status=200),
        lambda airtable: airtable.fail("delay", seconds=60),
        lambda airtable: airtable.fail("cut", applied=True),
        lambda airtable: airtable.fail("hook"),
    ],
)
def test_what_cannot_be_done_is_an_error(airtable, act):
    """Impossible edits, fields and faults raise at once and change nothing."""
    before = (airtable.records(), airtable.fields, airtable.faults)
    with pytest.raises(FakeAirtableError):
        act(airtable)
    assert (airtable.records(), airtable.fields, airtable.faults) == before


# ----------------------------------------------------------------------------- counters and life


def test_counters_are_what_went_over_the_wire(airtable, table):
    """Calls, bytes and statuses are those that a client counts; the log names each request."""
    seen = []
    table.api.session.hooks["response"] = lambda response, **_: seen.append(response)
    one = table.create({"Full Name": "Zoë"})["id"]
    table.all()
    with pytest.raises(requests.HTTPError):
        table.update(one, {"Nope": 1})
    counters = airtable.counters
    assert counters.calls == len(seen) == 3
    assert counters.bytes_received == sum(len(one.request.body or b"") for one in seen)
    assert counters.bytes_sent == sum(len(one.content) for one in seen)
    assert counters.by_status == {200: 2, 422: 1}
    assert counters.by_method == {"POST": 1, "GET": 1, "PATCH": 1}
    assert [(one.number, one.route, one.status) for one in airtable.requests] == [
        (1, "create", 200),
        (2, "list", 200),
        (3, "update", 422),
    ]
    airtable.reset_counters()
    assert airtable.counters.calls == 0


def test_log_of_requests_is_bounded(fake, connect):
    """The log keeps the last requests only; the counters go on."""
    airtable = fake(kept_requests=2)
    table = connect(airtable)
    for _ in range(3):
        table.all()
    assert [one.number for one in airtable.requests] == [2, 3]
    assert airtable.counters.calls == 3


def test_same_seed_same_ids(fake):
    """Two fakes with one seed give equal ids, with another seed others."""
    one, two, other = fake(seed=1), fake(seed=1), fake(seed=2)
    assert one.create() == two.create() != other.create()
    assert one.table_id == two.table_id
    assert one.fields == two.fields


def test_threads_lose_nothing(airtable, connect):
    """Eight threads create at once: every record is there once."""

    def work(number):
        table = connect(airtable)
        for _ in range(5):
            table.batch_create([{"Lead ID": f"{number}"} for _ in range(10)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Counter(record["fields"]["Lead ID"] for record in airtable.records())
    assert found == {str(number): 50 for number in range(8)}
    assert len(set(ids(airtable.records()))) == 400
    assert airtable.counters.calls == 40


def test_it_ends_completely():
    """After the block the port is closed and no thread is left, even with a client connected."""
    before = threading.active_count()
    started = time.perf_counter()
    with FakeAirtable() as airtable, requests.Session() as client:
        client.get(airtable.page_url, timeout=5)
        assert threading.active_count() > before
        airtable.close()
        assert threading.active_count() == before
        with pytest.raises(requests.ConnectionError):
            requests.get(airtable.page_url, timeout=5)
    assert time.perf_counter() - started < 5


def test_token_is_nowhere_to_be_seen(airtable, table):
    """The token is in neither the repr, the page nor the log of requests."""
    table.all()
    page = requests.get(airtable.page_url, timeout=5).text
    for text in (repr(airtable), str(airtable), page, repr(airtable.requests)):
        assert airtable.api_key not in text


def test_default_retry_of_pyairtable_duplicates(airtable, connect):
    """After a lost answer, pyairtable's default retry creates a record twice."""
    api = Api(airtable.api_key, endpoint_url=airtable.endpoint_url, timeout=(5, 5))
    airtable.fail("close", applied=True)
    with api.session:
        api.table(airtable.base_id, "Leads").create({"Full Name": "Ana"})
    assert len(airtable) == 2
    assert airtable.counters.unanswered == 1

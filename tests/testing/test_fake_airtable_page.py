"""The fake Airtable's page, used as a browser uses it: over HTTP, with its own forms."""

import re
from html import unescape

import pytest
import requests


class Browser:
    """Reads the page and sends its forms back."""

    def __init__(self, airtable, session):
        self.airtable = airtable
        self.session = session

    def see(self, **query):
        """The page."""
        answer = self.session.get(self.airtable.page_url, params=query, timeout=5)
        assert answer.status_code == 200
        return answer.text

    def send(self, text, action, *, record=None, field=None, **values):
        """Fill in the form for this record and field and send it."""
        for form in re.findall(
            r'<form method="post" action="([^"]+)">(.*?)</form>', text, re.DOTALL
        ):
            hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[1])
            data = {name: unescape(value) for name, value in hidden}
            if form[0] == action and data.get("record") == record and data.get("field") == field:
                url = f"{self.airtable.endpoint_url}{action}"
                return self.session.post(url, data=data | values, timeout=5)
        raise AssertionError(f"no form {action} for {record}, {field}")


@pytest.fixture
def browser(airtable):
    """A browser with the page's address."""
    with requests.Session() as session:
        yield Browser(airtable, session)


def test_rows_are_added_duplicated_and_deleted(airtable, browser):
    """Each button performs its action and returns to the page."""
    answer = browser.send(browser.see(), "/create")
    assert (answer.status_code, answer.history[0].status_code) == (200, 303)
    (one,) = [record["id"] for record in airtable.records()]
    airtable.edit(one, {"Full Name": "Ana"})
    browser.send(browser.see(), "/duplicate", record=one)
    assert [record["fields"]["Full Name"] for record in airtable.records()] == ["Ana", "Ana"]
    answer = browser.send(browser.see(), "/delete", record=one)
    assert len(airtable) == 1
    assert one not in answer.text
    assert airtable.counters.calls == 0


def test_cells_are_edited(airtable, browser, clock):
    """A click on a cell opens it; saving sets the value and the time, as a person does."""
    airtable.add_field("Stage", "singleSelect", choices=["New", "Won & paid"])
    one = airtable.create({"Full Name": "Ana", "Notes": "a"})
    clock.seconds += 60
    for name, value in [
        ("Full Name", "Ana <b>"),
        ("Notes", "one\r\ntwo"),
        ("Stage", "Won & paid"),
    ]:
        field = airtable.field(name).id
        text = browser.see(record=one, field=field)
        assert browser.send(text, "/edit", record=one, field=field, value=value).ok
    fields = airtable.record(one)["fields"]
    assert (fields["Full Name"], fields["Notes"]) == ("Ana <b>", "one\ntwo")
    assert fields["Stage"] == "Won & paid"
    assert fields["Last Modified"] == "2026-03-01T12:01:00.000Z"
    text = browser.see(record=one, field=airtable.field("Stage").id)
    assert "<option selected>Won &amp; paid" in text
    field = airtable.field("Notes").id
    text = browser.see(record=one, field=field)
    assert "<textarea" in text
    browser.send(text, "/edit", record=one, field=field, value="")
    assert "Notes" not in airtable.record(one)["fields"]


def test_check_boxes_are_toggled(airtable, browser):
    """One click checks, the next one unchecks."""
    one = airtable.create()
    field = airtable.field("Verified").id
    browser.send(browser.see(), "/edit", record=one, field=field)
    assert airtable.record(one)["fields"]["Verified"] is True
    browser.send(browser.see(), "/edit", record=one, field=field)
    assert "Verified" not in airtable.record(one)["fields"]


def test_values_cannot_become_markup(airtable, browser):
    """Whatever a cell or a field's name has in it is text, in the grid and in the open cell."""
    airtable.add_field('"><i>')
    bad = '"><script>alert(1)</script></textarea>'
    one = airtable.create({"Full Name": bad, "Notes": bad, '"><i>': bad})
    for name in ("Full Name", "Notes", '"><i>'):
        text = browser.see(record=one, field=airtable.field(name).id)
        assert "<script" not in text
        assert "<i>" not in text


def test_nothing_from_elsewhere_is_loaded(airtable, browser):
    """The page has no scripts and no outside assets, and forbids them to itself."""
    answer = browser.session.get(airtable.page_url, timeout=5)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<link|<img|src=|https?://", answer.text)


def test_only_the_page_itself_may_edit(airtable, browser):
    """A form of another page, which lacks the secret, and another host's name are refused."""
    one = airtable.create()
    for data in ({"record": one}, {"record": one, "secret": "guess"}):
        url = f"{airtable.endpoint_url}/delete"
        assert browser.session.post(url, data=data, timeout=5).status_code == 403
    host = {"Host": "evil.example:80"}
    answer = browser.session.get(airtable.page_url, headers=host, timeout=5)
    assert answer.status_code == 403
    assert browser.session.get(f"{airtable.endpoint_url}/x", timeout=5).status_code == 404
    assert len(airtable) == 1


def test_edit_that_cannot_be_done_is_explained(airtable, browser):
    """An edit of a row that was deleted names it, and the page stays usable."""
    one = airtable.create()
    text = browser.see()
    airtable.delete(one)
    answer = browser.send(text, "/duplicate", record=one)
    assert answer.status_code == 422
    assert f"Record ID {one} does not exist" in answer.text
    assert browser.send(answer.text, "/create").ok


def test_large_tables_have_pages(airtable, browser):
    """A hundred rows at a time, with links to the next and the previous ones."""
    rows = [airtable.create() for _ in range(250)]
    shown = re.compile(r'<tr id="(rec\w+)">')
    assert shown.findall(browser.see()) == rows[:100]
    middle = browser.see(**{"from": "100"})
    assert shown.findall(middle) == rows[100:200]
    assert "from=0" in middle
    assert "from=200" in middle
    assert shown.findall(browser.see(**{"from": "9" * 5_000})) == rows[200:]
    answer = browser.send(middle, "/duplicate", record=rows[150])
    assert shown.findall(answer.text) == rows[100:200]


def test_watching_reloads(airtable, browser):
    """The page can reload itself, but not while a cell is open."""
    one = airtable.create()
    assert "refresh" not in browser.see()
    assert 'http-equiv="refresh"' in browser.see(watch="1")
    field = airtable.field("Email").id
    assert 'http-equiv="refresh"' not in browser.see(watch="1", record=one, field=field)

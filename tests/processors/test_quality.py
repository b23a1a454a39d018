"""Data quality: score, tier and issues of a lead, and the processor that labels events."""

from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors.quality import FIELDS, HIGH, MEDIUM, DataQuality, explain, score

COMPLETE = {
    "name": "Jaime Hayes",
    "email": "jaime.hayes@acme.com",
    "company": "Acme Inc",
    "linkedin_url": "https://www.linkedin.com/in/jaime-hayes",
    "phone": "+1 980-200-5297",
    "website": "https://www.acme.com/",
    "title": "VP Sales",
}
ALIASES = {
    "name": ["full_name"],
    "company": ["company_name"],
    "linkedin_url": ["linkedin"],
    "title": ["job_title"],
    "website": ["company_website"],
}


def issues(field: str, value: object) -> list[str]:
    """Return the issues of one field of an otherwise complete lead."""
    return score({**COMPLETE, field: value}).issues


# ----------------------------------------------------------------------------------------- tiers


def test_the_first_worked_example_is_high() -> None:
    """Test Corp and John Doe are not placeholders."""
    lead = {"id": "uuid-123", "name": "John Doe", "company": "Test Corp", "email": "john@test.com"}
    found = score(lead)
    assert found.tier == "high"
    assert found.score == 0.75
    assert found.issues == [
        "linkedin_missing",
        "phone_missing",
        "website_missing",
        "title_missing",
    ]


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        (["name", "company", "email"], "high"),
        (["name", "company"], "medium"),
        (["name", "email"], "medium"),
        (["name", "linkedin_url"], "medium"),
        (["name"], "low"),
        (["name", "phone"], "low"),
        (["company"], "low"),
        ([], "low"),
        (list(FIELDS), "high"),
    ],
)
def test_the_tier_follows_from_which_fields_are_valid(fields: list[str], tier: str) -> None:
    """Name, company and e-mail alone are high, name and company medium, a name alone low."""
    assert score({field: COMPLETE[field] for field in fields}).tier == tier


def test_a_complete_lead_scores_one_and_has_no_issues() -> None:
    """No points are lost."""
    assert score(COMPLETE) == (1.0, "high", [])


def test_no_lead_without_a_name_is_high() -> None:
    """All other fields together are not enough."""
    nameless = {field: value for field, value in COMPLETE.items() if field != "name"}
    assert score(nameless).tier == "medium"


@pytest.mark.parametrize("lead", [None, "John Doe", 42, [("name", "John")], object(), b"{}"])
def test_what_is_no_mapping_is_invalid(lead: object) -> None:
    """The issue says that it is not a mapping."""
    assert score(lead) == (0.0, "invalid", ["not_a_mapping"])
    assert explain(lead) == {}


def test_any_mapping_is_a_lead_and_any_text_a_value() -> None:
    """They need not be a dict or a str."""

    class Text(str):
        __slots__ = ()

    assert score(UserDict(COMPLETE)) == score(COMPLETE)
    assert score({key: Text(value) for key, value in COMPLETE.items()}) == score(COMPLETE)


def test_small_faults_together_keep_a_name_a_company_and_an_address_high() -> None:
    """A single name, a shared mailbox and another domain still make a usable lead."""
    lead = {"name": "Jaime", "company": "Acme", "email": "info@acme.com", "website": "black.com"}
    found = score(lead)
    assert found.tier == "high"
    assert found.issues[:2] == ["name_single_word", "email_role_address"]
    assert "website_domain_mismatch" in found.issues


# ---------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("blank", [None, "", "   ", "\t\n", float("nan")])
def test_a_blank_value_is_a_missing_one(field: str, blank: object) -> None:
    """None, blanks and NaN count as missing."""
    assert issues(field, blank) == [f"{field.removesuffix('_url')}_missing"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "placeholder", ["test", "N/A", " asdf ", "Unknown", "none", "-", "TBD", "x", "#N/A"]
)
def test_a_placeholder_as_the_whole_value_is_worth_nothing(field: str, placeholder: str) -> None:
    """In any case, and with surrounding blanks."""
    code = field.removesuffix("_url")
    assert issues(field, placeholder) == [f"{code}_placeholder"]
    assert explain({**COMPLETE, field: placeholder})[field].earned == 0


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}, b"Acme", object()])
def test_a_value_that_is_no_text_is_invalid(field: str, value: object) -> None:
    """It is not missing, and does not raise."""
    assert issues(field, value) == [f"{field.removesuffix('_url')}_invalid"]


@pytest.mark.parametrize(
    "name",
    [
        "Jaime Hayes",
        "Anne-Marie O'Neill",
        "José Ñúñez",
        "王小明",
        "Владимир",
        "Min Na",
        "Jennifer Null",
        "Test Testerson",
        "Dr. Martin Luther King, Jr.",
        "  Jaime\tHayes ",
        "علي",
    ],
)
def test_a_persons_name_of_any_script_is_valid(name: str) -> None:
    """A name in a script without spaces is complete."""
    assert issues("name", name) == []


@pytest.mark.parametrize("name", ["Jaime", "José", "O'Neill"])
def test_one_latin_word_is_half_a_name(name: str) -> None:
    """It loses one point."""
    assert issues("name", name) == ["name_single_word"]
    assert explain({"name": name})["name"].earned == 29


@pytest.mark.parametrize(
    "name", ["12345", "!!", "jaime@acme.com", "https://acme.com", "A" * 201, 17]
)
def test_what_cannot_be_a_name_is_invalid(name: object) -> None:
    """Numbers, punctuation, addresses and paragraphs belong to other fields."""
    assert issues("name", name) == ["name_invalid"]


def test_first_and_last_name_make_a_name() -> None:
    """Placeholder parts are left out; surnames that resemble placeholders are kept."""
    assert score({"first_name": "Jaime", "last_name": "Hayes"}).score == 0.3
    assert "name_single_word" in score({"first_name": "Jaime", "last_name": "N/A"}).issues
    assert "name_single_word" in score({"last_name": "Hayes"}).issues
    assert score({"first_name": "Min", "last_name": "Na"}).score == 0.3
    assert "name_placeholder" in score({"first_name": "test", "last_name": "Test"}).issues
    assert "name_placeholder" in score({"first_name": "n/a", "last_name": "n/a"}).issues
    assert "name_missing" in score({"first_name": " ", "last_name": None}).issues
    assert "name_invalid" in score({"first_name": 5}).issues
    assert "name_invalid" in score({"last_name": ["Hayes"]}).issues


@pytest.mark.parametrize(("field", "alias"), [(f, a) for f in ALIASES for a in ALIASES[f]])
def test_an_alias_counts_as_the_field(field: str, alias: str) -> None:
    """Also if the field itself is present but blank."""
    renamed = {alias if key == field else key: value for key, value in COMPLETE.items()}
    assert score(renamed) == (1.0, "high", [])
    assert score({**renamed, field: None}) == (1.0, "high", [])
    assert score({**renamed, field: "  "}) == (1.0, "high", [])


def test_the_fields_own_name_wins_over_an_alias() -> None:
    """Its value is scored, even if it is bad."""
    assert "title_placeholder" in score({**COMPLETE, "title": "n/a", "job_title": "VP"}).issues


@pytest.mark.parametrize(
    "address",
    [
        "john@test.com",
        "john.o'neill+leads@mail.acme-corp.co.uk",
        "x@acme.com",
        "1234567890@acme.com",
        "john_doe-x@acme.museum",
        "jörg@münchen.de",
        "用户@例子.公司",
        "john@xn--mnchen-3ya.de",
        "john@acme.xn--p1ai",
        "info2@sub.domain.acme.com",
        "rittergilbert@stokes-mccormick.com",
        "JOHN@ACME.COM",
        " john@acme.com ",
        "उपयोगकर्ता@उदाहरण.भारत",
        "a" * 64 + "@acme.com",
    ],
)
def test_an_address_by_the_documented_rule_is_valid(address: str) -> None:
    """This includes plus tags, hyphens and other scripts."""
    assert explain({"email": address})["email"].issues == ()


@pytest.mark.parametrize(
    "address",
    [
        "john",
        "@acme.com",
        "john@",
        "john@acme",
        "john@@acme.com",
        "john@acme..com",
        "john@.acme.com",
        "john@acme.com.",
        ".john@acme.com",
        "john.@acme.com",
        "jo..hn@acme.com",
        "jo hn@acme.com",
        "john@ac me.com",
        "john@-acme.com",
        "john@acme-.com",
        "john@acme.c",
        "john@acme.123",
        "john@10.0.0.1",
        "john@[10.0.0.1]",
        '"john doe"@acme.com',
        "John <john@acme.com>",
        "john@acme.com; jane@acme.com",
        "john@acme.com,jane@acme.com",
        "mailto:john@acme.com",
        "john@acme_corp.com",
        "john@acme.com\x00",
        "john@ac\u200bme.com",
        "a" * 65 + "@acme.com",
        "a@" + "b" * 250 + ".com",
        "(704)585-7792",
    ],
)
def test_an_address_against_the_rule_is_invalid(address: str) -> None:
    """Quotes, comments, lists of addresses and address literals are invalid."""
    assert explain({"email": address})["email"].issues == ("email_invalid",)


@pytest.mark.parametrize("address", ["none@none.com", "test@test.com", "ASDF@example.org"])
def test_an_address_of_placeholders_only_is_one(address: str) -> None:
    """It was typed to fill the field; john@test.com may be real."""
    assert issues("email", address) == ["email_placeholder"]


@pytest.mark.parametrize("address", ["info@acme.com", "Sales@acme.com", "no-reply@acme.com"])
def test_a_shared_mailbox_costs_little(address: str) -> None:
    """It is valid, but not a person's."""
    assert issues("email", address) == ["email_role_address"]


@pytest.mark.parametrize(
    "company", ["3M", "7-Eleven", "Test Corp", "@Home", "Mays, Hunt and Ali", "株式会社", "42"]
)
def test_a_company_needs_a_letter_or_a_digit(company: str) -> None:
    """Any script and punctuation is allowed in addition."""
    assert issues("company", company) == []


@pytest.mark.parametrize("company", ["---!", "https://acme.com", "john@acme.com", "A" * 201])
def test_another_fields_value_is_no_company(company: str) -> None:
    """Addresses of mailboxes and pages belong to other fields."""
    assert issues("company", company) == ["company_invalid"]


@pytest.mark.parametrize("title", ["VP Sales", "CEO", "Tester", "Responsable R&D", "3D Artist"])
def test_a_title_needs_a_letter(title: str) -> None:
    """A tester is not a test."""
    assert issues("title", title) == []
    assert issues("title", "42") == ["title_invalid"]


@pytest.mark.parametrize(
    "url",
    [
        "https://www.linkedin.com/in/jaime-hayes",
        "https://www.linkedin.com/in/jaime-hayes/",
        "http://linkedin.com/in/jaime",
        "linkedin.com/in/jaime",
        "https://de.linkedin.com/in/jörg/en?trk=x",
        "HTTPS://WWW.LINKEDIN.COM/IN/JAIME",
        "https://www.linkedin.com/pub/jaime/1/2/3",
    ],
)
def test_a_persons_linkedin_page_is_valid(url: str) -> None:
    """With or without scheme, country and query."""
    assert issues("linkedin_url", url) == []


@pytest.mark.parametrize("kind", ["company", "school", "showcase"])
def test_a_companys_linkedin_page_is_half_worth(kind: str) -> None:
    """It does not identify the person."""
    url = f"https://www.linkedin.com/{kind}/acme"
    assert issues("linkedin_url", url) == ["linkedin_not_a_person"]
    assert explain({"linkedin_url": url})["linkedin_url"].earned == 5


@pytest.mark.parametrize(
    "url",
    [
        "https://linkedin.com.evil.com/in/jaime",
        "https://evil.com/linkedin.com/in/jaime",
        "https://notlinkedin.com/in/jaime",
        "https://www.linkedin.com/",
        "https://www.linkedin.com/in/",
        "jaime-hayes",
        "https://twitter.com/jaime",
        "https://www.linkedin.com/in/" + "j" * 2000,
    ],
)
def test_another_page_is_no_linkedin_page(url: str) -> None:
    """This includes look-alike hosts."""
    assert issues("linkedin_url", url) == ["linkedin_invalid"]


@pytest.mark.parametrize(
    "phone",
    [
        "9802005297",
        "917-584-0243x4606",
        "369.329.6963",
        "001-307-937-7505x54026",
        "(704)585-7792",
        "+49 (0)30 1234-5678",
        "+1 555 123 4567 ext. 12",
        "030/1234567",
        "٠٢٠٧٩٤٦٠٩٥٨",
        9802005297,
        9802005297.0,
    ],
)
def test_a_phone_number_in_any_usual_notation_is_valid(phone: object) -> None:
    """Extensions, country codes, other digits, and a bare number from a spreadsheet."""
    assert issues("phone", phone) == []


@pytest.mark.parametrize(
    "phone",
    ["12345", "1" * 5 + "2" * 12, "call me", "555-CALL-NOW", "1+2025550147", "980 200 5297 ext", 12,
     10**400, float("inf"), "9" * 60, "+", "x12"],
)  # fmt: skip
def test_what_cannot_be_dialled_is_invalid(phone: object) -> None:
    """Too short, too long, or words."""
    assert issues("phone", phone) == ["phone_invalid"]


@pytest.mark.parametrize("phone", ["000-000-0000", "1234567890", "+1 555 555 5555", "1111111"])
def test_a_number_typed_to_fill_the_field_is_a_placeholder(phone: str) -> None:
    """The same digit repeated, or counting."""
    assert issues("phone", phone) == ["phone_placeholder"]


@pytest.mark.parametrize(
    "url",
    [
        "https://www.acme.com/",
        "acme.com",
        "http://acme.com:8080/path?query=1#part",
        "https://shop.acme.com",
        "https://acme.de/ueber-uns",
        "https://ACME.co.uk",
        "https://acme.com.",
        "https://acme.com?x=1",
    ],
)
def test_a_website_that_agrees_with_the_address_is_valid(url: str) -> None:
    """The registered name matters, not the host, the country or the path."""
    assert issues("website", url) == []


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://black.com/", "fstephens@shepherd.info"),
        ("https://notacme.com", "jaime@acme.com"),
        ("https://acme.com.evil.com", "jaime@acme.com"),
        ("https://other.co.uk", "jaime@acme.co.uk"),
        ("https://a.com.au", "jaime@b.com.au"),
        ("https://a.com", "jaime@xn--é1.com"),
    ],
)
def test_a_website_of_another_domain_costs_little(url: str, address: str) -> None:
    """Two of its five points."""
    found = explain({"website": url, "email": address})["website"]
    assert found.issues == ("website_domain_mismatch",)
    assert found.earned == 3


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://black.com/", "fstephens@gmail.com"),
        ("https://black.com/", "fstephens@yahoo.co.uk"),
        ("https://münchen.de", "ana@xn--mnchen-3ya.de"),
        ("https://acme.co.uk", "ana@mail.acme.de"),
        ("https://black.com", "no address"),
        ("https://black.com", None),
        ("https://mail.acme.com", "ana@acme.com "),
    ],
)
def test_a_website_agrees_with_a_mail_provider_and_with_no_address(
    url: str, address: str | None
) -> None:
    """They reveal nothing about the company; punycode is the same domain."""
    assert explain({"website": url, "email": address})["website"].issues == ()


@pytest.mark.parametrize(
    "url",
    ["acme", "http://", "https://acme", "ftp://acme.com", "https://ac me.com", "http://10.0.0.1/",
     "https://acme.com/a b", "https://-acme.com", "https://acme.com:port", "www",
     "https://acme.com/" + "x" * 2000, "javascript:alert(1)"],
)  # fmt: skip
def test_what_no_browser_would_open_on_the_web_is_no_website(url: str) -> None:
    """One label, an address literal, another scheme, a blank."""
    assert issues("website", url) == ["website_invalid"]


# ------------------------------------------------------------------------------------ properties

values = st.none() | st.text(max_size=40) | st.sampled_from([*COMPLETE.values(), "n/a", "x@y.zz"])
keys = st.sampled_from(
    [*FIELDS, *(alias for names in ALIASES.values() for alias in names), "first_name", "last_name"]
)
leads = st.dictionaries(keys, values)


@given(leads)
def test_score_and_explanation_are_one_judgement(lead: dict[str, Any]) -> None:
    """Points add up to the score, issues to the issues, and each loss has its reason."""
    found, fields = score(lead), explain(lead)
    assert tuple(fields) == FIELDS
    assert sum(field.weight for field in fields.values()) == 100
    assert sum(field.earned for field in fields.values()) / 100 == found.score
    assert [code for field in fields.values() for code in field.issues] == found.issues
    for field in fields.values():
        assert 0 <= field.earned <= field.weight
        assert (field.earned == field.weight) == (not field.issues)
    points = found.score * 100
    expected = "high" if points >= HIGH else "medium" if points >= MEDIUM else "low"
    assert found.tier == expected


@given(leads, st.sampled_from(FIELDS))
def test_a_faultless_value_never_lowers_the_score(lead: dict[str, Any], field: str) -> None:
    """Exception: a website shows whether the e-mail address is the company's."""
    better = {**lead, field: COMPLETE[field]}
    loss = 0.02 if field == "email" else 0
    assert score(better).score >= score(lead).score - loss - 1e-9


@given(leads)
def test_blanks_around_values_and_their_case_of_letters_do_not_matter(lead: dict[str, Any]) -> None:
    """Values are stripped and casefolded."""
    padded = {
        key: f" {value}\n" if isinstance(value, str) else value for key, value in lead.items()
    }
    assert score(padded) == score(lead)


@given(
    st.dictionaries(st.text() | st.integers(), st.one_of(values, st.integers(), st.lists(values)))
)
def test_scoring_neither_raises_nor_changes_the_lead(lead: dict[Any, Any]) -> None:
    """This holds for any content."""
    before = repr(lead)
    score(lead)
    assert repr(lead) == before


# ------------------------------------------------------------------------------------- processor


class Broken(Mapping[str, Any]):
    """A mapping whose own code raises."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


def labels(event: dict[str, Any]) -> Any:
    return DataQuality()(None, "info", event).get("training_labels")


def test_the_lead_is_taken_out_and_its_quality_put_in() -> None:
    """Tier, score and issues."""
    event = {
        "log_type": "database_operation",
        "_lead": {"name": "John Doe"},
        "training_labels": {
            "data_quality": None,
            "data_quality_score": None,
            "data_quality_issues": None,
        },
    }
    found = labels(event)
    assert "_lead" not in event
    assert found["data_quality"] == "low"
    assert found["data_quality_score"] == 0.3
    assert found["data_quality_issues"][0] == "email_missing"


def test_without_a_lead_there_is_nothing_to_label() -> None:
    """The labels stay null; a lead of None counts as passed."""
    event: dict[str, Any] = {"training_labels": {"data_quality": None}}
    assert labels(event) == {"data_quality": None}
    assert labels({"event": "x"}) is None
    assert labels({"_lead": None})["data_quality"] == "invalid"


def test_a_judgement_of_the_caller_stays_whole() -> None:
    """Its tier is not combined with our score."""
    event = {"_lead": COMPLETE, "training_labels": {"data_quality": "low"}}
    assert labels(event) == {"data_quality": "low"}


def test_two_events_never_share_their_list_of_issues() -> None:
    """An application may change its list."""
    labels({"_lead": {}})["data_quality_issues"].clear()
    assert labels({"_lead": {}})["data_quality_issues"]


@pytest.mark.parametrize("log_type", ["sync_operation", "error_log", "other"])
def test_another_log_type_loses_the_lead_and_gets_no_label(log_type: str) -> None:
    """The transient key is never rendered."""
    event = {"log_type": log_type, "_lead": COMPLETE, "training_labels": {}}
    assert DataQuality()(None, "info", event) == {"log_type": log_type, "training_labels": {}}


@pytest.mark.parametrize(
    "event",
    [
        {"_lead": Broken()},
        {"_lead": COMPLETE, "training_labels": "mine"},
        {"_lead": COMPLETE, "training_labels": []},
        {"_lead": COMPLETE, "log_type": ["x"]},
    ],
)
def test_no_event_makes_it_raise(event: dict[str, Any]) -> None:
    """This includes a mapping that raises, and labels of another type."""
    assert "_lead" not in DataQuality()(None, "info", event)

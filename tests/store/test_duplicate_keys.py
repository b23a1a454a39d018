"""The duplicate keys that identify a person."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.leads.store.duplicates import (
    KINDS,
    canonical_company,
    canonical_email,
    canonical_linkedin,
    canonical_name,
    is_shared_mailbox,
    keys_of,
    names_agree,
)

ADA = "in/ada-lovelace"


@pytest.mark.parametrize(
    "url",
    [
        "https://www.linkedin.com/in/ada-lovelace",
        "http://linkedin.com/in/Ada-Lovelace/",
        "HTTPS://UK.LinkedIn.com/in/ada-lovelace/en?trk=public_profile#top",
        "https://de.linkedin.com/in/ada-lovelace/de",
        "linkedin.com/in/ada-lovelace",
        "//m.linkedin.com/in/ada-lovelace/details/experience/",
        "www.linkedin.com:443/in/ada%2Dlovelace",
        "\u202ahttps://www.linkedin.com/in/ada\u200b-lovelace\u202c",
        " https://linkedin.com./in//ada-lovelace ",
    ],
)
def test_one_profile_has_one_key(url):
    """A profile's key ignores the country host, case, language, query and a missing scheme."""
    assert canonical_linkedin(url) == ADA


@pytest.mark.parametrize(
    "url",
    [
        "https://linkedin.com.evil.com/in/ada-lovelace",
        "https://linkedin.com@evil.com/in/ada-lovelace",
        "https://evil.com/linkedin.com/in/ada-lovelace",
        "https://evil.com?u=https://linkedin.com/in/ada-lovelace",
        "https://notlinkedin.com/in/ada-lovelace",
        "https://linkedin.com\\@evil.com/in/ada-lovelace",
        "https://ada@linkedin.com/in/ada-lovelace",
        "https://linkedin.com:8080/in/ada-lovelace",
        "https://linkedin.co/in/ada-lovelace",
        "https://xlinkedin.com/in/ada-lovelace",
        "https://www.linkedin.com/company/acme",
        "https://www.linkedin.com/in/",
        "https://www.linkedin.com/in/me",
        "https://www.linkedin.com/in/unknown",
        "https://www.linkedin.com/in/ada%2Flovelace",
        "https://www.linkedin.com/in/%00",
        "https://www.linkedin.com/in/https://www.linkedin.com/in/ada-lovelace",
        "https://www.linkedin.com/in/http://linkedin.com/in/ada-lovelace",
        "https://www.linkedin.com/in/www.linkedin.com/in/ada-lovelace",
        "https://www.linkedin.com/in/linkedin.com/in/ada-lovelace",
        "https://www.linkedin.com/in/ada-lovelace/https://www.linkedin.com/in/charles-babbage",
        "https://www.linkedin.com/in/in/ada-lovelace",
        "https://www.linkedin.com/in/https%3A%2F%2Fwww.linkedin.com%2Fin%2Fada-lovelace",
        "https://www.linkedin.com/in/{{linkedin_username}}",
        "https://www.linkedin.com/in/%7B%7Bprofile%7D%7D",
        "https://www.linkedin.com/in/[your-profile]",
        "https://www.linkedin.com/in/<username>",
        "https://www.linkedin.com/in/:slug",
        "https://www.linkedin.com/in/$1",
        "https://www.linkedin.com/in/your-name",
        "https://www.linkedin.com/in/firstname-lastname",
        "https://www.linkedin.com/in/first.last",
        "https://www.linkedin.com/in/your-profile-url-here",
        "https://www.linkedin.com/in/profile",
        "https://www.linkedin.com/in/example",
        "https://www.linkedin.com/in/not-available",
        "https://www.linkedin.com/in/xxxxxx",
        "https://www.linkedin.com/in/-",
        "https://www.linkedin.com/in/0",
        "https://www.linkedin.com/in/12345",
        "https://www.linkedin.com/in/\u200b",
        "https://www.linkedin.com/in/%FF",
        "https://www.linkedin.com/in/ada lovelace",
        "https://[linkedin.com/in/ada-lovelace",
        "ftp://linkedin.com/in/ada-lovelace",
        "javascript:linkedin.com/in/ada-lovelace",
        "ada-lovelace",
        "n/a",
        "",
        None,
    ],
)
def test_what_only_looks_like_a_profile_is_none(url):
    """Look-alike hosts, company pages and placeholders give no key."""
    assert canonical_linkedin(url) is None


def test_old_profile_addresses_keep_their_numbers():
    """Old /pub/ addresses keep their numbers, which distinguish people."""
    first = canonical_linkedin("https://www.linkedin.com/pub/ada-lovelace/1/2a/3b")
    assert first == "pub/ada-lovelace/1/2a/3b"
    assert first != canonical_linkedin("https://www.linkedin.com/pub/ada-lovelace/1/2a/3c")


@pytest.mark.parametrize(
    ("email", "key"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("a.da+news@example.com", "a.da+news@example.com"),
        ("josé@müller.example", "josé@müller.example"),
        ("jose\u0301@example.com", "josé@example.com"),
        ("ada@example", None),
        ("ada@@example.com", None),
        ("ada@exam ple.com", None),
        ("ada@example.com; bob@example.com", None),
        ("<ada@example.com>", "ada@example.com"),
        ("ada@example..com", None),
        ("ada@example.com.", None),
        ("@example.com", None),
        ("n/a", None),
        ("", None),
        ("\u200bada@exam\u00adple.com\ufeff", "ada@example.com"),
        ("me@ada.example", "me@ada.example"),
        ("12003400@qq.example", "12003400@qq.example"),
        ("anna.test@acme.example", "anna.test@acme.example"),
    ],
)
def test_an_address_is_a_key_without_regard_to_case_only(email, key):
    """An address ignores case but not dots and tags; an invalid address is not a key."""
    assert canonical_email(email) == key


@pytest.mark.parametrize(
    "email",
    [
        "na@na.com",
        "n/a@acme.example",
        "none@none.com",
        "no@email.example",
        "noemail@acme.example",
        "no-email@acme.example",
        "no.mail@acme.example",
        "not-provided@acme.example",
        "ida@noemail.com",
        "ida@no-email.example",
        "ida@acme.invalid",
        "test@test.com",
        "test123@acme.example",
        "email@email.example",
        "first.last@acme.example",
        "firstname.lastname@company.example",
        "your.email@acme.example",
        "name@company.example",
        "user@acme.example",
        "unknown@acme.example",
        "null@null.example",
        "xxx@xxx.example",
        "aaa@aaa.example",
        "asdf@asdf.example",
        "qwerty@acme.example",
        "abc@abc.example",
        "000000@acme.example",
        "0@acme.example",
        "123@acme.example",
        "123456@acme.example",
        "placeholder@acme.example",
        "dummy+1@acme.example",
    ],
)
def test_a_placeholder_is_no_address(email):
    """A placeholder for an address is not a key, not even together with a name."""
    assert canonical_email(email) is None
    assert keys_of({"full_name": "Ida Strand", "email": email}) == {}


@pytest.mark.parametrize(
    "box", ["info", "Sales", "no-reply", "noreply", "sales2", "info+fair", "support-eu", "it"]
)
def test_shared_mailboxes_are_known(box):
    """Shared mailboxes are recognised by their first word."""
    assert is_shared_mailbox(f"{box}@acme.example")
    assert "email" not in keys_of({"full_name": "Ada", "email": f"{box}@acme.example"})


@pytest.mark.parametrize("box", ["ada", "informant", "salesman", "j.info", "italo"])
def test_a_person_is_no_shared_mailbox(box):
    """Words that merely begin like a shared mailbox do not count as one."""
    assert not is_shared_mailbox(f"{box}@acme.example")


SAME_NAME = [
    ("José  NÚÑEZ", "jose nunez"),
    ("Gößl", "GÖSSL"),
    ("Łukasz", "lukasz"),
    ("O’Brien", "O'Brien"),
    ("J. Smith", "J Smith"),
    ("Smith,Jr", "Smith, Jr."),
    ("Jean–Luc", "Jean-Luc"),
    ("Å", "A\u030a"),
]


@pytest.mark.parametrize(("first", "second"), SAME_NAME)
def test_spellings_of_one_name(first, second):
    """Case, spaces, accents and punctuation make no difference to a name."""
    assert canonical_name(first) == canonical_name(second) is not None
    assert names_agree(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("John Smith", "Joan Smith"),
        ("John Smith", "John Smith Jr"),
        ("John Smith Sr", "John Smith Jr"),
        ("John Smith", "John A. Smith"),
        ("がく", "かく"),
        ("किरण", "कुरण"),
        ("李娜", "王娜"),
        ("Unknown", "unknown"),
        ("", ""),
        (None, "Ada"),
    ],
)
def test_names_of_two_people(first, second):
    """Different words, different letters of any script, and placeholders do not match."""
    assert not names_agree(first, second)


def test_the_order_of_a_name_does_not_matter_for_an_address():
    """The names Lovelace, Ada and Ada Lovelace agree."""
    assert names_agree("Lovelace, Ada", "Ada Lovelace")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Acme", "ACME, Inc."),
        ("Acme GmbH", "Acme Co., Ltd."),
        ("Ångström S.A.", "Angstrom SA"),
        ("Müller & Söhne", "muller & sohne"),
    ],
)
def test_spellings_of_one_company(first, second):
    """The legal form, case, accents and punctuation make no difference to a company."""
    assert canonical_company(first) == canonical_company(second) is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [("Acme", "Acme Labs"), ("Acme", "Acme UK"), ("Acme-Labs", "Acme"), ("Inc", "Ltd")],
)
def test_two_companies(first, second):
    """Additional words make a different company."""
    assert canonical_company(first) != canonical_company(second)


@pytest.mark.parametrize(
    "company",
    [
        "Freelance",
        "self-employed",
        "N/A",
        "-",
        "Unknown",
        " ",
        None,
        "Not Provided",
        "Looking for new opportunities",
        "Freelance Consultant",
        "company name",
        "***",
        "0000",
    ],
)
def test_no_company_is_no_key(company):
    """Entries such as "self-employed" are not a company and give no key."""
    assert keys_of({"full_name": "John Smith", "company": company}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "Unknown",
        "unknown unknown",
        "First Name Last Name",
        "FirstName LastName",
        "Test User",
        "Sales Team",
        "Accounts Payable",
        "Front Desk",
        "No Name",
        "xxx",
        "asdf qwerty",
        "Customer Service",
        "\u200b",
        # a part of a name is somebody's, but of many
        "Jon",
        "J. Lien",
        "Dr. Lien",
        "Mr Jon",
    ],
)
def test_a_name_that_is_no_full_one_is_no_key_beside_a_company(name):
    """Placeholders, roles, first names and initials give no key together with a company."""
    assert keys_of({"full_name": name, "company": "Acme"}) == {}


@pytest.mark.parametrize(
    "name", ["李娜", "김철수", "Jo Li", "Dr. Jon Lien", "Will Guest", "Ana Test"]
)
def test_a_full_name_is_a_key_beside_a_company(name):
    """A name of two parts, or unspaced in some scripts, is a key together with the company."""
    assert list(keys_of({"full_name": name, "company": "Acme"})) == ["name_company"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Ida Strand", "Ida\u200b Strand"),
        ("Ida Strand", "\u202aIda Strand\u202c"),
        ("Ida Strand", "Ida Stra\u00adnd"),
        ("Ida Strand", "\ufeffIda\u00a0Strand"),
        ("Ida Strand", "I\u034fda Strand\ufe0f"),
        ("علی‌رضا", "علیرضا"),
    ],
)
def test_what_nobody_sees_makes_no_other_key(first, second):
    """Invisible characters do not change a key."""
    assert canonical_name(first) == canonical_name(second)
    keys = [keys_of({"full_name": "Ida Vang", "company": one}) for one in (first, second)]
    assert keys[0] == keys[1]


def test_all_keys_of_a_lead_strongest_first():
    """The keys of a lead are listed in order of strength."""
    keys = keys_of(
        {
            "full_name": "Ada Lovelace",
            "company": "Acme Inc",
            "email": "Ada@acme.example",
            "linkedin_url": "linkedin.com/in/ada",
        }
    )
    assert list(keys) == list(KINDS)
    assert keys["name_company"] == "ada lovelace|acme"
    assert keys["email_name"] == "ada@acme.example|ada lovelace"


NAMES = st.text(min_size=1, max_size=300)
FIELDS = st.fixed_dictionaries(
    {"full_name": NAMES, "company": NAMES, "email": NAMES, "linkedin_url": NAMES}
)


@given(FIELDS)
def test_any_text_has_keys_that_an_index_can_hold(fields):
    """Deriving keys from any text never fails, and keys are short enough for an index."""
    for value in keys_of(fields).values():
        assert 0 < len(value) <= 400


@given(
    st.text(string.ascii_letters + " .,'-", min_size=1),
    st.text(string.ascii_letters + " .,&-", min_size=1),
)
def test_case_and_spaces_never_make_another_key(name, company):
    """Capitals and extra spaces do not change the key of name and company."""
    plain = keys_of({"full_name": name, "company": company})
    loud = keys_of(
        {
            "full_name": f"  {name.upper()} ".replace(" ", "  "),
            "company": company.swapcase().replace(" ", " \t"),
        }
    )
    assert plain == loud


KNOWN = st.sampled_from(
    [
        "john",
        "jane",
        "doe",
        "test",
        "your",
        "name",
        "profile",
        "user",
        "null",
        "info",
        "mail",
        "n/a",
        "acme",
        "inc",
        "me",
        "in",
        "noreply",
    ]
)
MADE = st.lists(KNOWN | st.text("abxyz0179-._+ ", max_size=6), min_size=1, max_size=4)


@given(MADE, st.sampled_from(["", " ", "-", "."]))
def test_the_quick_way_for_plain_text_finds_what_the_thorough_one_does(words, between):
    """The shortcuts for plain text give the same keys as the full normalisation."""
    text = between.join(words)
    for canonical, value in (
        (canonical_name, text),
        (canonical_company, text),
        (canonical_email, f"{text}@acme.example"),
        (canonical_email, f"ada@{text}.example"),
        (canonical_linkedin, f"https://www.linkedin.com/in/{text}"),
        (canonical_linkedin, f"https://uk.linkedin.com/in/{text}/"),
    ):
        assert canonical(value) == canonical(f"{value}\u200b"), value


@given(NAMES)
def test_the_comparable_form_is_its_own(text):
    """Normalising a name or a company is idempotent."""
    name, company = canonical_name(text), canonical_company(text)
    assert name is None or canonical_name(name) == name
    assert company is None or canonical_company(company) == company


@given(st.text(string.ascii_lowercase + ".-@:/?#\\", max_size=12), st.text(max_size=12))
def test_no_other_host_becomes_a_profile(before, after):
    """Only LinkedIn's own hosts give a key, whatever surrounds linkedin.com in the address."""
    url = f"https://{before}linkedin.com{after}/in/ada"
    if canonical_linkedin(url) is not None:
        host = re.split(r"[/?#]", url.removeprefix("https://"))[0].strip()
        assert before in {"", "www.", "m."} or (len(before) == 3 and before.endswith("."))
        assert host.rstrip(".").startswith(f"{before}linkedin.com")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["a" * 50_000, "a." * 25_000, "a@" * 25_000, "@" * 50_000])
def test_a_long_text_that_is_no_address_is_judged_at_once(text: str) -> None:
    """The pattern for addresses does not backtrack on any input."""
    assert canonical_email(text) is None


@pytest.mark.parametrize(
    "name",
    [
        "Info Requested",
        "Facebook User",
        "LinkedIn Member",
        "Website Visitor",
        "New Lead",
        "John Doe",
        "Max Mustermann\n    ",
        "Keine Angabe",
        "k. A.",
        "Nicht bekannt",
        "Vorname Nachname",
        "Non renseigné",
        "Aucun nom",
        "Sin nombre\n    ",
        "No disponible",
        "Sem nome",
        "Não informado",
        "Sconosciuto",
        "Geen naam",
        "Nieznany",
        "Не указано",
        "不明",
        "未知\n    ",
        "See notes",
        "Please select",
        "Do not contact",
        "To be determined",
    ],
)
def test_what_stands_for_a_missing_name_is_nobody(name):
    """Placeholders for a name, in several languages, are not a key."""
    assert canonical_name(name.strip()) is None
    assert keys_of({"full_name": name.strip(), "company": "Fjordvik AS"}) == {}


@pytest.mark.parametrize(
    "company",
    [
        "Keine",
        "keine Angabe",
        "Privatperson",
        "Freiberufler",
        "Selbständig",
        "Particulier",
        "Indépendant",
        "Aucune\n    ",
        "Autónomo",
        "Sin empresa",
        "Ninguna",
        "Sem empresa",
        "Nessuna",
        "ZZP",
        "n.v.t.",
        "Brak",
        "Нет",
        "Частное лицо",
        "個人",
        "无\n    ",
        "Sole trader",
        "Sole Proprietor",
        "Info Requested",
    ],
)
def test_what_stands_for_a_missing_company_is_none(company):
    """Placeholders for a company, in several languages, are not a company."""
    assert canonical_company(company.strip()) is None


@pytest.mark.parametrize(
    "email",
    [
        "keine@email.de",
        "keine.angabe@firma.de",
        "keinemail@web.de",
        "sincorreo@hotmail.com",
        "aucun@aucun.fr\n    ",
        "pasdemail@gmail.com",
        "naotem@gmail.com",
        "geenemail@gmail.com",
        "brak@brak.pl",
        "ukendt@ukendt.dk",
        "a@a.com\n    ",
        "1@1.com",
        "refused@refused.com",
        "walkin@store.com",
        "info requested",
    ],
)
def test_what_stands_for_a_missing_address_is_none(email):
    """Made-up addresses, typed where a form requires one, are not a key."""
    assert canonical_email(email.strip()) is None


@pytest.mark.parametrize(
    "name", ["Sans Aker", "Ka Lee", "Will See", "Jane Dow", "Rich Team", "Brak"]
)
def test_words_of_placeholders_are_names_beside_others(name):
    """A name is a placeholder only if all its words are."""
    assert (canonical_name(name) is None) == (name == "Brak")


@pytest.mark.parametrize(
    "email",
    ["mailto:Ada@acme.com", "Ada King <ada@acme.com>", "<ada@acme.com>", '"A" <ada@acme.com>'],
)
def test_an_address_is_the_same_in_a_link_and_behind_a_name(email):
    """An address is recognised in a mailto link and after a display name."""
    assert canonical_email(email) == "ada@acme.com"

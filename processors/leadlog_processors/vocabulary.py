"""Vocabulary: words that characterise a lead's value, whatever its field.

>>> "n/a" in PLACEHOLDERS, "test corp" in PLACEHOLDERS, "sales" in ROLES
(True, False, True)
"""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLACEHOLDERS: Final = _words(
    r"""
    - -- --- _ . .. ... ? ?? ??? * 0 1 a aa aaa asd asdf asdfasdf asdfgh asdfghjkl b bar baz blah c
    default deleted dummy empty example fake foo foobar foobarbaz invalid lorem n.a n.a. n/a n\a na
    nan nil no nobody none noname nope null placeholder qwe qwer qwert qwerty removed sample someone
    something somebody tba tbc tbd test test1 test123 testing todo undefined unknown unnamed
    unspecified untitled x xx xxx xxxx zzz #n/a <null> (none) (unknown) [none]
    company name email e-mail phone title website
    """
) | {
    "company name",
    "first last",
    "first name",
    "first name last name",
    "firstname lastname",
    "full name",
    "job title",
    "lorem ipsum",
    "no company",
    "no email",
    "no name",
    "not applicable",
    "not available",
    "not provided",
    "not specified",
    "test company",
    "test lead",
    "test name",
    "test test",
    "test user",
    "unknown company",
    "unknown unknown",
    "your company",
    "your email",
    "your name",
}
"""Values, casefolded and stripped, that are placeholders."""

NO_NAME_PARTS: Final = frozenset(
    ("n/a", "n.a.", "#n/a", "none", "unknown", "undefined", "-", "--", ".", "?", "??", "_")
)

ROLES: Final = _words(
    """
    abuse accounting accounts admin administrator billing career careers contact customerservice
    enquiries enquiry feedback finance hello help helpdesk hr info information inquiries inquiry
    investors jobs kontakt legal mail marketing media newsletter no-reply noc noreply office orders
    post postmaster pr press privacy purchasing recruiting reception root sales security service
    support team webmaster
    """
)
"""Local parts of addresses that are read by several people, or by nobody."""

MAIL_PROVIDERS: Final = _words(
    """
    aol fastmail gmail gmx googlemail hey hotmail icloud inbox live mac mail me msn naver orange
    outlook pm posteo proton protonmail qq rediffmail rocketmail t-online tutanota wanadoo web yahoo
    yandex ymail zoho 126 163
    """
)
"""Registered names of providers where people, not companies, have their mailboxes."""

SUFFIXES: Final = frozenset(("ac", "co", "com", "edu", "gov", "ltd", "net", "or", "org", "plc"))

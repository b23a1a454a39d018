"""Values that identify nobody: placeholders, templates, shared mailboxes and keyboard runs.

Such a value is never a key, so two leads that share it have nothing in common. Words are compared
in lower case and without accents; a value matches if all its words do.

    >>> is_nobody("no name"), is_nobody("jon lien"), is_no_address("test1", "test.example")
    (True, False, True)
"""

import re
from functools import lru_cache

__all__ = [
    "is_no_address",
    "is_no_company",
    "is_no_number",
    "is_no_profile",
    "is_nobody",
    "is_shared_box",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHARED = _words(
    "abuse accounting accounts admin administration administrator billing bookings bureau contact "
    "contacto contactus customerservice enquiries enquiry feedback finance hello help helpdesk hi "
    "hr info infos information inquiries inquiry invoice invoices it jobs kontakt mail mailbox "
    "marketing media news newsletter office orders postmaster press reception recruiting "
    "recruitment reservations sales secretary security service services shop staff support team "
    "undisclosed unknown verkauf vertrieb webmaster noreply donotreply owner manager director "
    "management purchasing reservation buchhaltung einkauf empfang zentrale rechnung rechnungen "
    "bewerbung karriere sekretariat accueil commercial compta comptabilite facturation direction "
    "rh ventas administracion facturacion compras rrhh vendas comercial contato financeiro "
    "atendimento amministrazione vendite acquisti segreteria biuro sprzedaz kontor salg firmapost"
)
"""First words of the addresses of shared mailboxes."""

_MISSING = _words(
    "- -- . ? 0 n/a n.a n/d na nan nil no none nope not null tba tbc tbd undefined unknown x "
    "unbekannt inconnu desconocido unavailable unspecified missing blank empty anonymous anonym "
    "available disclosed given known provided specified supplied yet deleted removed redacted "
    "hidden invalid placeholder dummy fake sample example test testing tester temp "
    "asdf asdfasdf asdfgh asdfghjkl qwe qwer qwert qwerty qwertz abc abcd abcde abcdef xyz foo bar "
    "baz foobar lorem ipsum requested determined blank value ref "
    # German, French, Spanish, Portuguese, Italian, Dutch, Nordic, Polish and Czech, Turkish
    "keine keiner kein keinen angabe angaben unbekannter unbekannte bekannt angegeben vorhanden "
    "nicht ohne fehlt aucun aucune neant renseigne renseignee inconnue sans ninguno ninguna sin "
    "desconocida disponible proporcionado nenhum nenhuma sem desconhecido desconhecida nao "
    "informado disponivel nessuno nessuna sconosciuto sconosciuta disponibile geen onbekend nvt "
    "ukendt ukjent okand ingen saknas mangler brak nieznany nieznana neznamy yok bilinmiyor "
    # Russian, Japanese, Chinese, Korean
    "нет неизвестно неизвестный неизвестная не указано указан 不明 なし 無し 未登録 未入力 未設定 "
    "未知 无 無 暂无 匿名 未填写 없음 미상"
)
"""Words written in place of a missing value."""

_NO_PEOPLE = frozenset(
    {
        "john doe", "jane doe", "max mustermann", "erika mustermann", "k a", "ka",
        "non renseigne", "non disponibile", "non fourni",
        "to be determined", "same as above", "see above", "see notes", "see note",
        "please select", "select", "select one", "choose", "choose one", "other", "others",
        "various", "multiple", "multiple contacts", "do not contact", "do not use", "dnc",
        "duplicate", "former employee", "no longer there", "no longer with company",
        "left company", "left the company", "deceased", "primary contact", "main contact",
        "facebook user", "linkedin member", "linkedin user", "instagram user", "whatsapp user",
        "google user", "private profile", "website visitor", "web visitor", "anonymous visitor",
        "visitor", "web lead", "website lead", "facebook lead", "new lead", "new contact",
        "new customer", "prospect", "subscriber", "newsletter subscriber",
        "demo user", "demo", "deleted user", "former user", "team", "wireless caller",
        "unknown caller",
    }
)  # fmt: skip
"""Phrases written in place of a name, whose words may be names in other combinations."""

_ROLES = _words(
    "account accountant assistant buyer client colleague company contact customer department desk "
    "director employee front general generic group guest head lead management manager member "
    "nobody noone owner payable person private purchasing receivable representative somebody "
    "someone user username"
)
_NAME_PARTS = _words(
    "name fullname full first last firstname lastname given family surname forename your "
    "yourname my the and mr mrs ms dr herr frau vorname nachname nom prenom nombre apellido "
    "apellidos nome cognome sobrenome naam voornaam achternaam imie nazwisko имя фамилия"
)
_NAMES = _MISSING | _SHARED | _ROLES | _NAME_PARTS | _NO_PEOPLE
_NO_COMPANY = (
    _MISSING
    | _NO_PEOPLE
    | {"info requested"}
    | _words(
        "company companyname employer organisation organization business firm own name your my "
        "the confidential consultant consulting freelance freelancer independent contractor "
        "personal private individual retired self employed self-employed selfemployed stealth "
        "mode startup student unemployed various between jobs job seeker jobseeker looking for "
        "work opportunities seeking new home homemaker other others misc at currently open to "
        "listed sole trader proprietor privat privatperson privatpersonen privatkunde "
        "freiberufler freiberuflich freiberuflerin selbststandig selbstandig selbststandige "
        "unternehmen firma particulier particuliers independant independante autoentrepreneur "
        "auto entrepreneur entreprise particular autonomo autonoma empresa privado azienda "
        "privato zzp zzper bedrijf ип самозанятый частное лицо "
        "自営業 個人 個人事業主 フリーランス 无业 个人 个体户 自由职业"
    )
)
_JUNK = (_MISSING - {"x"}) | _words(
    "noemail nomail notanemail noaddress notprovided notavailable notgiven notset notspecified "
    "notapplicable nothing nowhere noname nouser donotuse donotcontact donotemail unsubscribed "
    "bounced refused declined decline donthave donothave donthaveone doesnothave nothave walkin "
    "tempmail privat nema keinemail keineemail keinemailadresse keineangabe keineangaben "
    "nichtvorhanden "
    "sinemail sincorreo sinmail notiene notienecorreo notienemail notieneemail pasdemail "
    "pasdadresse sansemail sansmail aucunemail naotem naopossui naotememail sememail semmail "
    "geenemail geenmail nonhaemail nonhamail brakmaila brakemaila brakadresu"
)
_BOXES = (
    _JUNK
    | _NAME_PARTS
    | _words(
        "email emailaddress address e youremail myemail someemail anyemail user username somebody "
        "someone nobody noone person customer client guest company lead"
    )
)
"""Words of placeholder addresses; followed by a number, only those of `_JUNK` count."""
_NO_DOMAIN = _words(
    "noemail nomail noaddress nodomain none na null unknown undefined fake dummy placeholder "
    "invalid notprovided notavailable yourdomain yourcompany mydomain mycompany companyname "
    "domainname"
)
_PROFILES = (
    _MISSING
    | _NAME_PARTS
    | _words(
        "me user username profile profiles url link linkedin linked in pub public www http https "
        "com here handle slug id vanity edit view feed login signin authwall search people "
        "company school found error 404 customurl custom john jane doe johndoe janedoe"
    )
)
_LONGEST = 60
_DIGITS = re.compile(r"\d+")
_NO_DIGITS = re.compile(r"\D+")
_ALPHANUMERIC = re.compile(r"[^\W_]")
_NO_ALPHANUMERIC = re.compile(r"[\W_]+")
_LETTER = re.compile(r"[^\W\d_]")
_NO_LETTERS = re.compile(r"[\W_\d]+")
# Braces, brackets and the like of unfilled templates, and addresses inside addresses.
_TEMPLATE = re.compile(r"[{}\[\]<>:$=@*|\\%\s]")
_RUNS = ("0123456789", "9876543210", "1234567890", "0987654321")


def _all_in(text: str, known: frozenset[str]) -> bool:
    """Return whether a text as a whole, or each of its words, is in `known`."""
    if text in known:
        return True
    if len(text) > _LONGEST:
        return False
    joined = text.replace(" ", "")
    if joined.isalpha():
        return joined in known or known.issuperset(text.split())
    if _DIGITS.search(text):
        return False  # a number may identify
    words = _NO_LETTERS.split(text)
    for word in words:
        if word and word not in known:
            return len(words) > 1 and "".join(words) in known
    return any(words)


def _repeats(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and len(set(text)) == 1 and text.isascii()


def is_nobody(name: str) -> bool:
    """Return whether a name, in comparable form, is a placeholder."""
    return not name or _repeats(name) or _all_in(name, _NAMES)


def is_no_company(company: str) -> bool:
    """Return whether a company, in comparable form, is a placeholder."""
    if not _ALPHANUMERIC.search(company):
        return True
    return _all_in(company, _NO_COMPANY) or _repeats(company)


def is_shared_box(box: str) -> bool:
    """Return whether the part of an address before its `@` names a shared mailbox."""
    plain = box.partition("+")[0].casefold()
    if plain.isalpha():
        return plain in _SHARED
    words = _NO_LETTERS.split(plain)
    return words[0] in _SHARED or "".join(words) in _SHARED


def is_no_address(box: str, domain: str) -> bool:
    """Return whether an address is a placeholder.

    Args:
        box: Its part before the `@`, in lower case.
        domain: Its part after the `@`.
    """
    if _is_no_domain(domain):
        return True
    plain = box.partition("+")[0]
    if len(plain) < 3 and domain.startswith(f"{plain}."):  # a@a.com
        return True
    if plain.isalpha():
        return plain in _BOXES or _repeats(plain)
    if not _LETTER.search(plain):
        return plain == "0" or _repeats(plain) or _is_run(plain)
    if _repeats(plain) or _all_in(plain, _BOXES):
        return True
    bare = _DIGITS.sub("", plain)
    return bare != plain and _all_in(bare, _JUNK)


@lru_cache(maxsize=4096)
def _is_no_domain(domain: str) -> bool:
    """Return whether a domain is a placeholder. Cached, since many addresses share one."""
    labels = domain.split(".")
    return labels[-1] == "invalid" or any(
        label.replace("-", "") in _NO_DOMAIN for label in labels[:-1]
    )


def is_no_profile(slug: str) -> bool:
    """Return whether the name in a profile's address is a placeholder or not a name.

    Args:
        slug: The name, in lower case and percent-decoded.
    """
    if _TEMPLATE.search(slug) or "linkedin.com" in slug or slug.startswith("www."):
        return True
    if not _LETTER.search(slug):
        return True
    ends = slug[0] + slug[-1]
    if not (ends.isalnum() and ends[0] != ends[1]) and _repeats(_NO_ALPHANUMERIC.sub("", slug)):
        return True
    return _all_in(slug, _PROFILES)


def is_no_number(digits: str) -> bool:
    """Return whether a phone number is a placeholder: too few digits, all equal, or a sequence.

    >>> [is_no_number(digits) for digits in ("0000000", "123456789", "12", "4755501001")]
    [True, True, True, False]
    """
    digits = _NO_DIGITS.sub("", digits)
    if len(digits) < 5 or _repeats(digits) or _repeats(digits[-7:]):
        return True
    return _is_run(digits)


def _is_run(digits: str) -> bool:
    return len(digits) > 2 and any(digits in run + run for run in _RUNS)

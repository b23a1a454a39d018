r"""Masking: finds secrets in texts and under keys, and replaces them by `***`.

In texts:

| kind | example | becomes |
|---|---|---|
| password in a URL | `postgresql://ana:pw@db/leads` | `postgresql://ana:***@db/leads` |
| a header | `Authorization: Bearer abc.def` | `Authorization: ***` |
|  | `Cookie: sid=1; x=2` | `Cookie: ***` |
| a bearer token | `sent Bearer abc.def` | `sent Bearer ***` |
| a sensitive name and its value | `password=pw`, `api_key: k`, `"token": "t"` | `password=***`, … |
| the same on a command line | `--db-password pw` | `--db-password ***` |
| a key of a known format | Airtable, AWS, GitHub, GitLab, Google, OpenAI, Slack, … | `***` |
|  | JSON Web Token; the inside of a PEM private key | `***` |
| SQLAlchemy's tail | `[parameters: ('ana', 1)]` | `[parameters: ***]` |
| PostgreSQL's detail | `DETAIL:  Key (email)=(a@b.c) already exists.` | `DETAIL: ***` |

A name is sensitive, in a text or as a key, if it contains, in any case: password, passwd,
passphrase, pwd, secret, token, authorization, cookie, credential, or api, access, auth, private,
signing, encryption, pseudonym or master followed by key, with or without a separator
(`airtable_api_key`, `privateKey`). It is harmless if its ending makes it a property of the secret,
as in `token_count`, `passwordLength` or `api_key_name`. True, False and null are never secrets,
nor is a number under a plural such as `max_tokens`.

All patterns are ASCII and contain no character that JSON escapes, so a rendered line can be
checked for possible secrets: see `may_contain_secret`.

>>> mask_text("could not connect to postgresql://ana:s3cret@db:5432/leads")
'could not connect to postgresql://ana:***@db:5432/leads'
>>> mask_text('{"airtable_api_key": "keyAbCdEf12345678", "token_count": 3}')
'{"airtable_api_key": "***", "token_count": 3}'
>>> is_sensitive("airtableApiKey"), is_sensitive("token_count")
(True, False)
"""

import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from leadlog_processors.containers import CONTAINERS, rebuild

H = TypeVar("H", bound=Hashable)
MASK: Final = "***"
_BYTES: Final = (bytes, bytearray)
_FLAGS: Final = re.ASCII | re.IGNORECASE

# ------------------------------------------------------------------------------- names of secrets

_WORD: Final = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret(?!ar)|tokens?(?-i:(?![a-z]))|cookies?|credentials?"
    r"|(?:api|access|auth|private|signing|encryption|pseudonym|master)[^A-Za-z0-9\"']{0,2}keys?"
    r"(?-i:(?![a-z])))"
)
_HARMLESS_END: Final = (
    r"(?:count|len|length|size|limit|type|names?|ttl|age|at|policy|status|required|enabled|used"
    r"|usage|expir(?:y|es|ed|ation)|expires_?(?:at|in|on))"
)
_sensitive: Final = re.compile(rf"{_WORD}|authorization", _FLAGS).search
_harmless: Final = re.compile(
    rf"(?:[^A-Za-z0-9]|(?-i:(?<=[a-z])(?=[A-Z]))){_HARMLESS_END}\Z", _FLAGS
).search
_plural: Final = re.compile(r"(?:token|cookie|key|credential)s\Z", _FLAGS).search
_no_secret: Final = re.compile(r"none|null|nil|true|false|undefined", _FLAGS).fullmatch
_number: Final = re.compile(r"-?[0-9][0-9_,.]*").fullmatch


@lru_cache(maxsize=4096)
def is_sensitive(name: str) -> bool:
    """Return whether the value of a key or name with this text is a secret."""
    return _sensitive(name) is not None and _harmless(name) is None


def is_plural(name: str) -> bool:
    """Return whether a sensitive name is a plural, so that a number after it is a count."""
    return _plural(name) is not None


# ------------------------------------------------------------------------------ secrets in a text

_ASSIGN: Final = r"\\*[\"']?\]?[ \t]*(?:=>|:=|={1,2}|:)[ \t]*(?:[bBuUrR]{1,2}(?=\\*[\"']))?"
_QUOTED: Final = r"(?P<quote>\\*[\"'])(?P<quoted>.*?)(?:(?<!\\)(?P=quote)|\Z)"
_BARE: Final = (
    r"(?P<bare>[\[({][^\])}]*[\])}]?"
    r"|(?:(?:bearer|basic|token)[ \t]+)?[^\s,;&]+?(?=[\])}'\">]*(?:[\s,;&]|\Z)))"
)


def _value(match: re.Match[str]) -> str:
    """Return the replacement of a named value."""
    name, assign, quote, value = match["name"], match["assign"], match["quote"], match["bare"]
    if _harmless(name) is not None:
        return match[0]
    if quote is not None:
        if not match["quoted"]:
            return match[0]
        end = quote if match.end() > match.end("quoted") else ""
        return f"{name}{assign}{quote}{MASK}{end}"
    if _no_secret(value) or (_number(value) and _plural(name)):
        return match[0]
    return f"{name}{assign}{MASK}"


_URL: Final = re.compile(
    r"(://[^\s/?#:\"]*:)(?:[^\s/?#\"]+(?=@)|(?![0-9]{1,5}[/?#])[^\s@\"]+(?=@))"
)
_AUTHORIZATION: Final = re.compile(
    rf"(?P<name>authorization)(?P<assign>{_ASSIGN})(?:{_QUOTED}"
    r"|(?P<bare>digest\b[^\r\n]*|(?:[A-Za-z][\w-]*[ \t]+)?[^\s\"',;\\]+))",
    _FLAGS | re.DOTALL,
)
_COOKIE: Final = re.compile(r"(\b(?:set-)?cookie:[ \t]*)[^\r\n\"'\\]+", _FLAGS)
_BEARER: Final = re.compile(
    r"(\bbearer[ \t]+)(?!(?:tokens?|auth\w*|realm|scheme|errors?|headers?|credentials?|of|and|or"
    r"|the|in|to|is|was|has|for|must|may|not)\b)[\w.~+/=-]{3,}",
    _FLAGS,
)
_NAMED: Final = re.compile(
    rf"(?P<name>{_WORD}[\w-]*)(?P<assign>{_ASSIGN})(?:{_QUOTED}|{_BARE})", _FLAGS | re.DOTALL
)
_OPTION: Final = re.compile(
    rf"(?<![\w-])(--[\w-]{{0,60}}?{_WORD}[\w-]*(?:[\"']?,?[ \t]+[\"']?))(?!-)[^\s\"',]+", _FLAGS
)
_SQL_PASSWORD: Final = re.compile(r"(\bpassword[ \t]+')[^']+", _FLAGS)
_KNOWN_FORM: Final = re.compile(
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]+"  # Airtable, personal access token
    r"|(?<![A-Za-z0-9])key(?=[a-z]{0,13}[A-Z0-9])[A-Za-z0-9]{14}(?![A-Za-z0-9])"  # before 2024
    r"|(?<![A-Za-z0-9])[rs]k[-_](?=[\w-]{0,60}[A-Z0-9])[\w-]{12,}"  # OpenAI, Anthropic, Stripe
    r"|ghp_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-[\w-]{8,}"  # Slack
    r"|AKIA[0-9A-Z]{16}"
    r"|AIza[\w-]{30,}"
    r"|eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]+)*",  # JSON Web Token
    re.ASCII,
)
_SLACK_HOOK: Final = re.compile(r"(hooks\.slack\.com/services/)[\w/]+", re.ASCII)
_PRIVATE_KEY: Final = re.compile(
    r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
# SQLAlchemy's tail escapes a line break inside a value, PostgreSQL's row does not.
_PARAMETERS: Final = re.compile(r"\[parameters: (?:[^\n]*\]|[^\n]*)")
_DETAIL: Final = re.compile(
    r"\bDETAIL:(?:[ \t]+Failing row contains \((?s:.*?)(?:\)\.(?=\n|\Z)|\Z)|[^\n]*)"
)

_SUBSTITUTIONS: Final[
    tuple[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]
] = (
    (("[parameters: ",), _PARAMETERS, f"[parameters: {MASK}]"),
    (("detail:",), _DETAIL, f"DETAIL: {MASK}"),
    (("private key",), _PRIVATE_KEY, rf"\1{MASK}\2"),
    (("://",), _URL, rf"\1{MASK}"),
    (("authorization",), _AUTHORIZATION, _value),
    (("cookie:",), _COOKIE, rf"\1{MASK}"),
    (("bearer",), _BEARER, rf"\1{MASK}"),
    (("--",), _OPTION, rf"\1{MASK}"),
    (("password",), _SQL_PASSWORD, rf"\1{MASK}"),
    (("pass", "pwd", "secret", "token", "cookie", "credential", "key"), _NAMED, _value),
    (("slack",), _SLACK_HOOK, rf"\1{MASK}"),
    (("key", "pat", "k-", "k_", "ghp_", "xox", "akia", "aiza", "eyj"), _KNOWN_FORM, MASK),
)
"""Lower-case texts of which one must occur, the pattern and its replacement, in order."""


_MOST_PASSES: Final = 4


def mask_text(text: str) -> str:
    """Return `text` with each secret replaced by `***`; the same object if there is none.

    Args:
        text: any text; an error message, a stack trace, a command line, JSON.
    """
    lower = text.lower()
    if not _hints(lower):
        return text
    masked = _substitute(text, lower)
    if masked == text:
        return text
    # A masked value may have hidden the beginning of another one.
    for _ in range(_MOST_PASSES):  # pragma: no branch - no text is known that needs all passes
        again = _substitute(masked, masked.lower())
        if again == masked:
            break
        masked = again
    return masked


def _substitute(text: str, lower: str) -> str:
    for needles, pattern, replacement in _SUBSTITUTIONS:
        for needle in needles:
            if needle in lower:
                text = pattern.sub(replacement, text)
                break
    return text


# ------------------------------------------------------------------------------- a quick way to no

_hint_k: Final = re.compile(
    r"k(?:en(?<=token)|ey|ie(?<=cookie)|[-_](?<=[rs]k.)|ia(?<=akia)|\.com/services)"
).search
_hint_p: Final = re.compile(r"p(?:a(?:ss[wp]|t(?:[-_]|[0-9a-z]{14}\.))|wd|_(?<=ghp_))").search
_hint_url: Final = re.compile(r"://[^ /?#:\"]*:[^ ]*@").search


def _hints(lower: str) -> object:
    """Return whether any of the patterns could match, in a text or in a JSON line with it.

    `lower` is the text in lower case.

    A search costs 0.4 ns per character, a regex that begins with a single letter 0.7, a regex that
    begins with a set of letters 3 to 20; a single character is found almost at once, so rare
    characters guard the searches.
    """
    return (
        ("k" in lower and _hint_k(lower))
        or _hint_p(lower)
        or ("cre" in lower and ("secret" in lower or "credential" in lower))
        or "bearer" in lower
        or ("@" in lower and "/" in lower and "://" in lower and _hint_url(lower))
        or ("j" in lower and "eyj" in lower)
        or ("z" in lower and ("authoriz" in lower or "aiza" in lower))
        or ("x" in lower and "xox" in lower)
        or "detail:" in lower
        or ("[" in lower and "[parameters: " in lower)
    )


def may_contain_secret(data: bytes) -> bool:
    """Return whether masking could change an event that was rendered to these bytes.

    A necessary condition: False means that `mask_secrets` would find nothing; True means only that
    it is worth calling. Names such as Key West or Secret Garden are enough. Cost: 0.7 µs for 80
    bytes of a lead, 1.8 for 290, 11 for a line of 1,600: check the parts that can hold a secret,
    not the rest.

    Args:
        data: JSON in UTF-8, non-ASCII characters escaped or not.
    """
    # As text, because `in` on bytes costs 0.1 µs more each time; Latin-1, because it only copies.
    return bool(_hints(data.lower().decode("latin-1")))


def mask_url(url: str) -> str:
    """Return a URL without its password, and without secrets in its query.

    >>> mask_url("postgresql://ana:p@/ss@db/shop?sslpassword=x&connect_timeout=2")
    'postgresql://ana:***@db/shop?sslpassword=***&connect_timeout=2'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return mask_text(url)
    place, question, query = rest.partition("?")
    if "@" in query and "@" not in place:  # the question mark is part of the password
        place, question, query = rest, "", ""
    credentials, at, place = place.rpartition("@")
    user, colon, _ = credentials.partition(":")
    masked = "&".join(map(_masked_parameter, query.split("&")))
    return (
        f"{scheme}://{user}{colon}{MASK if colon else ''}{at}{mask_text(place)}{question}{masked}"
    )


def _masked_parameter(parameter: str) -> str:
    name, sign, _ = parameter.partition("=")
    return f"{name}={MASK}" if sign and is_sensitive(unquote(name)) else mask_text(parameter)


# ----------------------------------------------------------------------------- secrets in an event


def mask_secrets(value: Any) -> Any:
    """Return `value` with each secret replaced by `***`; the same object if there is none.

    A value under a sensitive key is masked completely, but keeps its containers; elsewhere each
    text is masked as by `mask_text`, including keys. Changed containers are copied, never modified.

    Args:
        value: any JSON type, tuple, set, mapping or bytes; other objects are not changed.
    """
    try:
        clean = _is_clean(value, _DEEPEST)
    except RuntimeError:  # another thread changes it
        clean = False
    return value if clean else _mask_secrets(value, set())


_masked_before: Final = lru_cache(maxsize=4096)(mask_text)
_SHORT: Final = 40
_SHORTEST_KEY: Final = 17
"""Length of the shortest secret of letters and digits only."""


def mask_words(text: str) -> str:
    """Mask a text as `mask_text` does, caching short texts: most are an event's fixed words."""
    if len(text) > _SHORT:
        return mask_text(text)
    if len(text) < _SHORTEST_KEY and text.isalnum():
        return text
    masked = _masked_before(text)
    return text if masked == text else masked  # the cached text is equal, but not the same object


def _mask_secrets(value: Any, above: set[int]) -> Any:
    kind = type(value)
    if kind is str:
        return mask_words(value)
    if value is None or kind is bool or kind is int or kind is float:
        return value
    if isinstance(value, _BYTES):
        text = bytes(value).decode("utf-8", "backslashreplace")
        masked = mask_text(text)
        return value if masked is text else masked
    return rebuild(value, above, _masked_item, mask_words)


def _masked_item(key: object, value: Any, above: set[int]) -> Any:
    if isinstance(key, str) and is_sensitive(key):
        return blank(value, above, spare_numbers=is_plural(key))
    return _mask_secrets(value, above)


def blank(value: Any, above: set[int], *, spare_numbers: bool = False) -> Any:
    """Return `value` with every leaf masked except True, False and None; containers are kept.

    Args:
        value: the value under a sensitive key, neither True, False nor None.
        above: identities of the enclosing containers.
        spare_numbers: whether numbers are kept as well.
    """
    if isinstance(value, (str, *_BYTES)):
        return MASK if value and value != MASK else value
    if isinstance(value, CONTAINERS):
        return rebuild(
            value,
            above,
            lambda _key, item, inner: blank(item, inner, spare_numbers=spare_numbers),
            mask_words,
        )
    return value if spare_numbers and isinstance(value, (int, float)) else MASK


# ---------------------------------------------------------------- a quick way to no, for an event

_DEEPEST: Final = 64
_MOST_REMEMBERED: Final = 8192
_SCALARS: Final = frozenset((int, float, bool, type(None)))
_is_number_or_time: Final = re.compile(r"[0-9a-fTZ:.+-]*").fullmatch
"""Matches ids, times and numbers, whose characters cannot form a secret or its name."""

_harmless_shapes: Final[set[tuple[str, ...]]] = set()
"""Key tuples of harmless objects: an event's sections have the same keys each time."""
_harmless_texts: Final[set[str]] = set()


def _is_clean(value: Any, levels: int) -> bool:
    """Return whether a value of plain types certainly has no secret, as nearly every event.

    Known texts are cached, so that most of an event takes one lookup per text.
    """
    if type(value) is dict:
        keys = tuple(value)
        if keys not in _harmless_shapes:
            if not all(map(_is_harmless_key, keys)):
                return False
            _remember(_harmless_shapes, keys)
        items: Any = value.values()
    elif type(value) is list:
        items = value
    else:
        return False
    for item in items:
        if item is None:
            continue
        kind = type(item)
        if kind is str:
            if item not in _harmless_texts and not _is_harmless(item):
                return False
        elif kind not in _SCALARS and (levels == 0 or not _is_clean(item, levels - 1)):
            return False
    return True


def _is_harmless_key(key: object) -> bool:
    return type(key) is str and not is_sensitive(key) and _is_harmless(key)


def _is_harmless(text: str) -> bool:
    if len(text) < _SHORTEST_KEY and text.isalnum():
        _remember(_harmless_texts, text)
        return True
    if _is_number_or_time(text):
        return True
    if _hints(text.lower()) and mask_text(text) is not text:
        return False
    if len(text) <= _SHORT:
        _remember(_harmless_texts, text)
    return True


def _remember(found: set[H], one: H) -> None:
    if len(found) >= _MOST_REMEMBERED:
        found.clear()
    found.add(one)

"""Access control of the dashboard, and the security headers of every response.

Other users of the machine can reach loopback, and so can every page in a browser; the log holds
personal data. A request must therefore use a known host name (else another site could point its
own name at this server: DNS rebinding), present a token or its cookie, and not be cross-site.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final

from leadlog.core.files import make_folder, replace
from leadlog.core.places import INDEX, modes_of

__all__ = ["HEADERS", "Access", "RefusedError", "kept_key"]

HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            b"img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            b"require-trusted-types-for 'script'; trusted-types 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
"""Sent with every response, including errors."""

_COOKIE_SECONDS: Final = 30 * 86_400
_KEY: Final = "dashboard.key"
_KEY_BYTES: Final = 32


class RefusedError(Exception):
    """The request is refused.

    Attributes:
        status: HTTP status of the response.
        text: the reason, as readable text.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Access:
    """Decides whether a request is allowed.

    Args:
        hosts: accepted values of the `Host` header.
        token: token that a visitor must present; None if `authorize` decides.
        authorize: called with an ASGI scope; returns whether the request may see the log.
        allow_changes: whether visitors may mark errors and silence alerts.
        key: key that signs cookies; a new one by default, so cookies end with the process.
        cookie: name of the cookie.

    Attributes:
        allow_changes: whether visitors may make changes.
    """

    def __init__(
        self,
        *,
        hosts: Collection[str],
        token: str | None = None,
        authorize: Callable[[Any], bool] | None = None,
        allow_changes: bool = False,
        key: bytes | None = None,
        cookie: str = "leadlog",
    ) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token
        self._authorize = authorize
        self.allow_changes = allow_changes
        self._key = key or secrets.token_bytes(_KEY_BYTES)
        self._cookie = cookie
        self._once: set[str] = set()

    def one_time_token(self) -> str:
        """Return a token that logs in one browser, once."""
        made = secrets.token_urlsafe(24)
        self._once.add(made)
        return made

    # ------------------------------------------------------------------------------ decisions

    def check_host(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse a request whose `Host` header is not accepted.

        Raises:
            RefusedError: the host is missing or unknown.
        """
        given = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(given) != 1 or given[0].lower() not in self._hosts:
            raise RefusedError(
                421,
                "This name does not lead to the dashboard. Open the address that "
                "`leadlog dashboard` printed.",
            )

    def check_site(self, headers: Iterable[tuple[bytes, bytes]], *, change: bool) -> None:
        """Refuse a cross-site request.

        Args:
            headers: headers of the request.
            change: whether the request changes anything or is expensive, and must therefore state
                its origin.

        Raises:
            RefusedError: the request is cross-site, or does not state its origin.
        """
        told = {name: value.decode("latin-1").lower() for name, value in headers}
        site = told.get(b"sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise RefusedError(403, "Another site's page asked for this.")
        if not change:
            return
        origin, host = told.get(b"origin"), told.get(b"host", "")
        if site is None and origin is None and b"authorization" in told:
            return  # a script: no page can make a browser send a bearer token
        if site == "none" or origin is None or origin.partition("://")[2] != host:
            raise RefusedError(403, "Another site's page asked for this.")
        if told.get(b"content-type", "").partition(";")[0].strip() != "application/json":
            raise RefusedError(415, "Send application/json.")

    def may_see(self, scope: Any) -> bool:
        """Return True if a request may see the log."""
        if self._authorize is not None:
            return bool(self._authorize(scope))
        for name, value in scope["headers"]:
            text = value.decode("latin-1")
            if name == b"authorization" and text[:7].lower() == "bearer ":
                return self._is_token(text[7:].strip())
            if name == b"cookie" and self._is_cookie(text):
                return True
        return False

    def let_in(self, token: str) -> str | None:
        """Return the `Set-Cookie` value for a valid token; None for an invalid one."""
        known = [one for one in self._once if _same(one, token)]
        if known:
            self._once.discard(known[0])
        elif not self._is_token(token):
            return None
        until = str(int(time.time()) + _COOKIE_SECONDS)
        return (
            f"{self._cookie}={until}.{self._signature(until)}; Path=/; Max-Age={_COOKIE_SECONDS}; "
            "HttpOnly; SameSite=Strict"
        )

    def _is_token(self, text: str) -> bool:
        return self._token is not None and _same(self._token, text)

    def _is_cookie(self, header: str) -> bool:
        jar: SimpleCookie = SimpleCookie()
        with suppress(CookieError):
            jar.load(header)
        found = jar.get(self._cookie)
        if found is None:
            return False
        until, _, signature = found.value.partition(".")
        return (
            _same(self._signature(until), signature)
            and until.isdecimal()
            and int(until) > time.time()
        )

    def _signature(self, text: str) -> str:
        said = f"{self._cookie} {text}".encode()
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogateescape"))


def kept_key(directory: Path) -> bytes:
    """Return the persistent key that signs cookies, so that a tab survives a restart.

    It is stored next to the index, readable only by the owner of the log, who can read the log
    anyway. If it cannot be stored, a new one is returned.
    """
    path = directory / INDEX / _KEY
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as stream:
            state = os.fstat(stream.fileno())
            key = stream.read(_KEY_BYTES)
        if len(key) == _KEY_BYTES and state.st_uid == os.geteuid() and not state.st_mode & 0o077:
            return key
    key = secrets.token_bytes(_KEY_BYTES)
    with suppress(OSError):
        make_folder(path.parent, modes_of(directory)[1], parents=False)
        replace(path, key)
    return key

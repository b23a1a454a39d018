"""Who may see the log, and what every answer says to the browser about itself.

Other users of the machine reach loopback, and so does every page in a browser; the log holds
personal data. So a request has to come by a known name (or a page of another site could have its
own name lead to this server), show a token or its cookie, and must not be made by another site.
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
"""On every answer, errors too."""

_COOKIE_SECONDS: Final = 30 * 86_400
_KEY: Final = "dashboard.key"
_KEY_BYTES: Final = 32


class RefusedError(Exception):
    """A request that is not answered.

    Attributes:
        status: of the answer.
        text: why, for people.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Access:
    """Decides on requests.

    Args:
        hosts: values of the `Host` header that are known.
        token: what a visitor has to show; None where `authorize` decides.
        authorize: says of an ASGI scope whether it may see the log.
        allow_changes: whether anything may be changed.
        key: signs cookies; a new one by default, so that they end with the process.
        cookie: name of the cookie.

    Attributes:
        allow_changes: whether anything may be changed.
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
        """Return a token that lets one browser in, once."""
        made = secrets.token_urlsafe(24)
        self._once.add(made)
        return made

    # ------------------------------------------------------------------------------ decisions

    def check_host(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse a request that does not come by a known name.

        Raises:
            RefusedError: it does not.
        """
        given = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(given) != 1 or given[0].lower() not in self._hosts:
            raise RefusedError(
                421,
                "This name does not lead to the dashboard. Open the address that "
                "`leadlog dashboard` printed.",
            )

    def check_site(self, headers: Iterable[tuple[bytes, bytes]], *, change: bool) -> None:
        """Refuse a request that another site's page made.

        Args:
            headers: of the request.
            change: whether it changes anything or makes the server work, and so has to say where
                it comes from.

        Raises:
            RefusedError: it comes from elsewhere, or does not say.
        """
        told = {name: value.decode("latin-1").lower() for name, value in headers}
        site = told.get(b"sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise RefusedError(403, "Another site's page asked for this.")
        if not change:
            return
        origin, host = told.get(b"origin"), told.get(b"host", "")
        if site is None and origin is None and b"authorization" in told:
            return  # a script, which no page can make send a bearer token
        if site == "none" or origin is None or origin.partition("://")[2] != host:
            raise RefusedError(403, "Another site's page asked for this.")
        if told.get(b"content-type", "").partition(";")[0].strip() != "application/json":
            raise RefusedError(415, "Send application/json.")

    def may_see(self, scope: Any) -> bool:
        """Return whether a request may see the log."""
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
        """Return the `Set-Cookie` for a token that is right, and None for one that is not."""
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
    """Return the key that signs cookies, so that a tab stays open over a restart.

    It lies beside the index, readable by the owner of the log only, who can read the log anyway.
    Where it cannot be kept it is a new one.
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

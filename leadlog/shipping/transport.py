"""HTTP for shipping: verified certificates, no redirects, and no token in any message.

Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY), as other tools do.
"""

import email.utils
import time
from typing import Any, Final

import requests
from requests.auth import AuthBase

from leadlog.shipping.contract import BatchRefusedError, DestinationError, UnreachableError
from leadlog.shipping.destination import Destination
from leadlog_processors.masking import mask_text

__all__ = ["Transport"]

_CONNECT_SECONDS: Final = 5.0
_SAID: Final = 300  # characters of an answer that are shown
_LATER: Final = frozenset((408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524))
_CONTENT: Final = frozenset((400, 413, 415, 422))


class _Authorization(AuthBase):
    """Sets the header explicitly, so that `.netrc` cannot replace it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


class Transport:
    """Requests to one destination.

    Args:
        destination: The destination.
        authorization: Value of the header; empty for none.
        secret: The text to remove from every message.
    """

    def __init__(self, destination: Destination, authorization: str, secret: str) -> None:
        self._base = destination.url
        self._name = destination.name
        self._secret = secret
        self._timeout = (_CONNECT_SECONDS, destination.timeout_seconds)
        self._session = requests.Session()
        self._authorization = _Authorization(authorization)
        self._session.headers["User-Agent"] = "leadlog-ship"
        # Not set on the session: the environment's value would override it.
        self._verify: str | bool = destination.ca or True

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
        accepted: tuple[int, ...] = (),
    ) -> requests.Response:
        """Send a request and return the answer if its status is 2xx or accepted.

        Args:
            method: GET, POST, …
            path: Appended to the destination's URL.
            body: Body of the request.
            content_type: Content type of the body.
            headers: Additional headers.
            accepted: Other statuses that are returned instead of raised.

        Raises:
            UnreachableError: No answer, or one that asks to retry later.
            BatchRefusedError: The content was refused.
            DestinationError: The destination refuses everything.
        """
        try:
            answer = self._session.request(
                method,
                self._base + path,
                data=body,
                headers={"Content-Type": content_type, **(headers or {})},
                timeout=self._timeout,
                auth=self._authorization,
                allow_redirects=False,
                verify=self._verify,
            )
        except requests.exceptions.SSLError as error:
            raise DestinationError(
                f"{self._where(path)}: the certificate is not trusted: {self.safe(error)}; "
                "name the file of your own authority with `ca`"
            ) from None
        except requests.exceptions.RequestException as error:
            raise UnreachableError(f"{self._where(path)}: {self.safe(error)}") from None
        status = answer.status_code
        if 200 <= status < 300 or status in accepted:
            return answer
        said = self.said(answer)
        if status in _LATER:
            raise UnreachableError(f"{self._where(path)}: {said}", _retry_after(answer))
        if status in _CONTENT:
            raise BatchRefusedError(said)
        if 300 <= status < 400:
            raise DestinationError(
                f"{self._where(path)} answers with a redirect ({status}), which is not followed; "
                "set url to where it leads"
            )
        hint = "; see token_env" if status in (401, 403) else ""
        raise DestinationError(f"{self._where(path)}: {said}{hint}")

    def said(self, answer: requests.Response) -> str:
        """Return the status and text of an answer, without secrets."""
        text = " ".join(answer.text[: 4 * _SAID].split())
        return self.safe(f"{answer.status_code} {answer.reason or ''}: {text}".strip(": "))

    def decoded(self, answer: requests.Response, path: str) -> Any:
        """Return the JSON of an answer.

        Raises:
            UnreachableError: The answer is not JSON; another server answers instead.
        """
        import orjson

        try:
            return orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            raise UnreachableError(
                f"{self._where(path)} did not answer with JSON: {self.said(answer)}"
            ) from None

    def _where(self, path: str) -> str:
        return f"{self._base}{path.partition('?')[0]}"

    def safe(self, what: object) -> str:
        """Return a text without the token or anything that resembles one."""
        text = str(what)
        if self._secret:
            text = text.replace(self._secret, "***")
        return mask_text(text)[:_SAID]


def _retry_after(answer: requests.Response) -> float | None:
    said = answer.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(email.utils.parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None

"""Notification channels, one for each Apprise URL.

A URL contains secrets, so it is never shown nor stored: a channel is named by the URL's scheme, and
its host where that is a machine, and identified in the database by a hash.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol
from urllib.parse import unquote

from leadlog.core.errors import LeadlogError, SettingsError
from leadlog_processors.masking import mask_text

__all__ = ["AppriseChannel", "DeliveryError", "NotificationChannel", "channels"]

_TYPES: Final[Mapping[str, str]] = {
    "info": "success",
    "warning": "warning",
    "critical": "failure",
}
_WITH_HOST: Final = frozenset(
    ("mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms", "ntfy", "ntfys")
)
"""Schemes whose host is a machine; with others it is often a token."""
_MOST_CHARACTERS = 300
_SHORTEST_SECRET = 4
"""Shortest text to mask, in characters; shorter ones are parts of words."""


class DeliveryError(LeadlogError):
    """A message was not accepted; a later attempt may succeed."""


class NotificationChannel(Protocol):
    """A destination of notifications."""

    @property
    def name(self) -> str:
        """The channel's name to show, without secrets."""
        ...

    def send(self, title: str, body: str, severity: str) -> None:
        """Send one message; may take seconds.

        Raises:
            DeliveryError: it was not accepted; the message says why, without secrets.
        """
        ...


class AppriseChannel:
    """A channel for one Apprise URL.

    Args:
        url: such as `mailto://…`, `slack://…`, `json://…`.

    Attributes:
        name: the URL without secrets.

    Raises:
        SettingsError: Apprise is not installed, or does not support the URL.
    """

    def __init__(self, url: str) -> None:
        try:
            import apprise
        except ImportError as error:
            raise SettingsError(
                "alerts_urls is set, but Apprise is not installed: pip install 'leadlog[alerts]'"
            ) from error
        # Nothing is stored on disk: the secrets stay in the environment.
        asset = apprise.AppriseAsset(app_id="leadlog", app_desc="leadlog")
        made = apprise.Apprise.instantiate(url, asset=asset)
        if made is None:
            scheme = url.partition("://")[0] if "://" in url else "?"
            raise SettingsError(
                f"one of alerts_urls ({scheme}://***) is not a URL that Apprise understands; "
                f"see what `apprise --details` says of {scheme}"
            )
        self._apprise = apprise.Apprise(asset=asset)
        self._apprise.add(made)
        self._types = {name: apprise.NotifyType(kind) for name, kind in _TYPES.items()}
        self._url = url
        self.name = _name(url)

    def send(self, title: str, body: str, severity: str) -> None:
        """Send one message; see `NotificationChannel.send`."""
        with _overheard() as said:
            try:
                taken = bool(
                    self._apprise.notify(body, title=title, notify_type=self._types[severity])
                )
            except Exception as error:
                raise DeliveryError(self._clean(repr(error))) from error
            if not taken:
                raise DeliveryError(self._clean(" ".join(said)) or "it was not accepted")

    def _clean(self, text: str) -> str:
        """Return a reason as one line, without the URL's secrets."""
        for part in _secrets(self._url):
            text = text.replace(part, "***")
        return " ".join(mask_text(text).split())[:_MOST_CHARACTERS]

    def __repr__(self) -> str:
        return f"AppriseChannel({self.name})"


_said: Final[ContextVar[list[str] | None]] = ContextVar("leadlog_apprise_said", default=None)


class _Overhearing(logging.Handler):
    """Collects Apprise's log messages of the current delivery; others may run at the same time.

    Apprise may send from another thread, which has the caller's context.
    """

    def emit(self, record: logging.LogRecord) -> None:
        said = _said.get()
        if said is not None:
            said.append(record.getMessage())


_OVERHEARING: Final = _Overhearing(logging.WARNING)


@contextmanager
def _overheard() -> Iterator[list[str]]:
    logging.getLogger("apprise").addHandler(_OVERHEARING)  # at most once
    said: list[str] = []
    token = _said.set(said)
    try:
        yield said
    finally:
        _said.reset(token)


def _name(url: str) -> str:
    """Return the part of a URL that may be shown: `mailto://example.com`, `slack://***`."""
    scheme, _, rest = url.partition("://")
    # After the last @: a password may contain characters that end a host.
    host = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    if scheme.lower() not in _WITH_HOST or not host:
        return f"{scheme}://***"
    return f"{scheme}://{host}"


def _secrets(url: str) -> list[str]:
    """Return the parts of a URL that may be secrets: all but the scheme and short words."""
    rest = url.partition("://")[2]
    credentials, _, place = rest.rpartition("@")
    password = credentials.partition(":")[2]
    parts = [password, *re.split(r"[/?#&=]", f"{credentials}/{place.partition('/')[2]}")]
    both = [url, *parts, *(unquote(part) for part in parts)]
    return sorted({part for part in both if len(part) >= _SHORTEST_SECRET}, key=len, reverse=True)


def channels(urls: str) -> dict[str, NotificationChannel]:
    """Return the channels of the setting `alerts_urls`.

    Args:
        urls: Apprise URLs, separated by white space.

    Returns:
        Channels by hash of the URL; a repeated URL gives one channel.

    Raises:
        SettingsError: Apprise is not installed, or does not support one of the URLs.
    """
    found: dict[str, NotificationChannel] = {}
    for url in urls.split():
        found[hashlib.blake2b(url.encode(), digest_size=8).hexdigest()] = AppriseChannel(url)
    return found

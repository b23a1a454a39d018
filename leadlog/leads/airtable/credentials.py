"""The Airtable token, from an argument, the environment, or the system's keyring.

It is never read from a settings file, which could end up in a repository.
"""

import os
from collections.abc import Mapping
from typing import Any

from leadlog.core.errors import SyncError

__all__ = ["KEYRING", "find_api_key"]

KEYRING = ("leadlog", "airtable")
"""Service and user name of the token in the keyring."""

_VARIABLE = "AIRTABLE_API_KEY"


def find_api_key(
    given: str | None = None, environment: Mapping[str, str] = os.environ, keyring: Any = None
) -> str:
    """Return the token.

    Args:
        given: An argument or LEADLOG_AIRTABLE_API_KEY; takes precedence if set.
        environment: The environment variables.
        keyring: An object with `get_password(service, user)`; by default the package `keyring`,
            if it is installed.

    Raises:
        SyncError: No token was found.
    """
    if given:
        return given
    if found := environment.get(_VARIABLE):
        return found
    if (found := _from_keyring(keyring)) is not None:
        return found
    raise SyncError(
        "there is no Airtable token; set AIRTABLE_API_KEY to a personal access token, or store it "
        f'with: pip install "leadlog[keyring]" && keyring set {" ".join(KEYRING)}'
    )


def _from_keyring(keyring: Any) -> str | None:
    if keyring is None:
        try:
            import keyring
        except ImportError:
            return None
    try:
        found: str | None = keyring.get_password(*KEYRING)
    except Exception:  # noqa: BLE001 - a locked or missing backend may raise anything
        return None
    return found or None

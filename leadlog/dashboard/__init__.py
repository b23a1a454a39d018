"""The dashboard: a local web page on the log, live.

`leadlog dashboard` runs it as a server of its own; `app` gives the ASGI application, to be mounted
in yours:

    from fastapi import FastAPI
    from leadlog import dashboard

    site = FastAPI()
    site.mount("/log", dashboard.app("database_logs", authorize=is_an_admin, hosts=["crm.example"]))

It needs the extra `dashboard` (Starlette, uvicorn). The model of the log that report and `top`
share with it (`leadlog.dashboard.model`) needs none.
"""

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.dashboard.server import Application

__all__ = ["app"]


def app(
    directory: str | os.PathLike[str] | None = None,
    *,
    token: str | None = None,
    authorize: Callable[[Any], bool] | None = None,
    hosts: Collection[str] = (),
    allow_changes: bool = False,
) -> "Application":
    """Return the dashboard as an ASGI application.

    Its index is brought up to date by a thread that starts with the first request, and stops when
    the application is closed.

    Args:
        directory: the log directory; that of the settings by default.
        token: what a visitor has to show, as `?token=` once or as a bearer token.
        authorize: is given the ASGI scope of each request, and says whether it may see the log;
            in place of a token.
        hosts: the names by which it is reached, as in the `Host` header, such as `crm.example` or
            `localhost:8000`. Any other is refused.
        allow_changes: whether errors may be marked and alerts silenced.

    Raises:
        ValueError: there is neither a token nor `authorize`, or no host.
        MissingExtraError: the extra `dashboard` is not installed.
        SettingsError: a setting is unknown or bad.
        IndexUnavailableError: the index cannot be made.
    """
    if token is None and authorize is None:
        raise ValueError(
            "the log holds personal data; give a token, or a function `authorize` that asks your "
            "own application who is there"
        )
    if not hosts:
        raise ValueError(
            "give the names by which the dashboard is reached, as hosts=['crm.example']; others "
            "are refused, so that no other site's page can ask for the log"
        )
    from importlib.util import find_spec

    from leadlog.core.errors import MissingExtraError

    if find_spec("starlette") is None:
        raise MissingExtraError("the dashboard needs Starlette; install leadlog[dashboard]")
    if directory is None:
        from leadlog.core.settings import load

        directory = load().settings.directory
    from leadlog.dashboard.access import Access
    from leadlog.dashboard.server import Application

    access = Access(hosts=hosts, token=token, authorize=authorize, allow_changes=allow_changes)
    return Application(directory, access)

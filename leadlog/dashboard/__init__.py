"""The dashboard: a local, live web page of the log.

`leadlog dashboard` runs it as a separate server; `app` returns the ASGI application, to mount in
your own:

    from fastapi import FastAPI
    from leadlog import dashboard

    site = FastAPI()
    site.mount("/log", dashboard.app("database_logs", authorize=is_an_admin, hosts=["crm.example"]))

It needs the extra `dashboard` (Starlette, uvicorn). The model of the log
(`leadlog.dashboard.model`), which the report and `top` share, needs no extra.
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

    A thread keeps its index up to date; it starts with the first request and stops when the
    application is closed.

    Args:
        directory: the log directory; the one in the settings by default.
        token: token that a visitor must present, as `?token=` once or as a bearer token.
        authorize: called with the ASGI scope of each request; returns whether it may see the log.
            Use it instead of a token.
        hosts: the accepted values of the `Host` header, such as `crm.example` or `localhost:8000`.
            Requests for any other host are refused.
        allow_changes: whether visitors may mark errors and silence alerts.

    Raises:
        ValueError: neither a token nor `authorize` is given, or no host.
        MissingExtraError: the extra `dashboard` is not installed.
        SettingsError: a setting is unknown or bad.
        IndexUnavailableError: the index cannot be created.
    """
    if token is None and authorize is None:
        raise ValueError(
            "the log holds personal data; give a token, or a function `authorize` that checks the "
            "user in your own application"
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

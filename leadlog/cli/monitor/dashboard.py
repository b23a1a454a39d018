"""`leadlog dashboard`: view the log in a browser."""

import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import message

__all__ = ["dashboard", "serve"]

_PORT = 8765
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - only compared, never bound


@click.command()
@directory_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any address but loopback lets other machines connect.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=_PORT,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Token for scripts, as `Authorization: Bearer`; the file is created if missing.",
)
@click.option("--allow-changes", is_flag=True, help="Let visitors mark errors and silence alerts.")
@json_option
def dashboard(
    *,
    directory: Path | None,
    host: str,
    port: int,
    no_open: bool,
    token_file: Path | None,
    allow_changes: bool,
    as_json: bool,
) -> None:
    """View the log live in a browser.

    Prints one line with the address; the token in it logs in one browser, once, which then has a
    cookie. Scripts send the token of --json, or of --token-file, as `Authorization: Bearer`. Needs
    the extra `dashboard`. Ends with Ctrl-C; a tab left open reconnects when it is started again.

    \b
    Examples:
      leadlog dashboard
      leadlog dashboard --directory /var/log/crm --port 9000 --no-open
      leadlog dashboard --allow-changes
      leadlog dashboard --json --no-open | jq -r .url
    """  # noqa: D301 - click wants real backspaces
    serve(
        existing_log(directory),
        host=host,
        port=port,
        opened=not (no_open or as_json),
        token=None if token_file is None else _token_in(token_file),
        allow_changes=allow_changes,
        as_json=as_json,
    )


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int = _PORT,
    opened: bool = True,
    token: str | None = None,
    allow_changes: bool = False,
    as_json: bool = False,
) -> None:
    """Serve the dashboard of a log until interrupted.

    Args:
        root: the log directory.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        opened: whether to open the page in a browser.
        token: bearer token for scripts; a new one by default.
        allow_changes: whether visitors may mark errors and silence alerts.
        as_json: whether to print the address and the token as JSON.

    Raises:
        MissingExtraError: the extra `dashboard` is not installed.
        IndexUnavailableError: the index cannot be created.
    """
    from importlib.util import find_spec

    from leadlog.core.errors import MissingExtraError

    if any(find_spec(name) is None for name in ("starlette", "uvicorn", "h11")):
        raise MissingExtraError(
            "the dashboard needs Starlette and uvicorn; install leadlog[dashboard]"
        )
    from leadlog.dashboard.access import Access, kept_key

    if host not in _LOOPBACK:
        message(
            f"other machines may request the log at {host or 'any address'}, without encryption; "
            "an SSH tunnel to loopback is safer"
        )
    with _listening(host, port) as listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(24) if token is None else token
        access = Access(
            hosts=_names(host, port),
            token=token,
            allow_changes=allow_changes,
            key=kept_key(root),
            cookie=f"leadlog_{port}",
        )
        name = "localhost" if host in _ANY else f"[{host}]" if ":" in host else host
        url = f"http://{name}:{port}/?token={access.one_time_token()}"
        if as_json:
            print_json_line({"url": url, "token": token})
        else:
            click.echo(f"Dashboard of {root}: {url}")
            sys.stdout.flush()
        # The port is open already: a request that comes now waits until the server runs.
        import uvicorn

        from leadlog.dashboard.server import Application

        application = Application(root, access)
        if opened:
            import webbrowser

            webbrowser.open(url)
        configuration = uvicorn.Config(
            application,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        try:
            uvicorn.Server(configuration).run(sockets=[listener])
        finally:
            application.close()


def print_json_line(value: Any) -> None:
    """Print a result as JSON on one line, and flush it."""
    import orjson

    click.echo(orjson.dumps(value).decode())
    sys.stdout.flush()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with "
            "--port, or 0 for any free one"
        ) from error


def _names(host: str, port: int) -> list[str]:
    """Return the values of the `Host` header under which this server is reached."""
    names = {"localhost", "127.0.0.1", "[::1]"}
    if host not in _LOOPBACK:
        names |= {socket.gethostname(), socket.getfqdn()}
        if host not in _ANY:
            names.add(f"[{host}]" if ":" in host else host)
    found = [f"{name}:{port}" for name in names]
    return [*found, *names] if port == 80 else found


def _token_in(path: Path) -> str:
    """Return the token in a file; create the file with a new token if it is missing."""
    from leadlog.core.files import replace

    try:
        state = path.stat()
    except FileNotFoundError:
        token = secrets.token_urlsafe(24)
        replace(path, f"{token}\n".encode())
        return token
    if state.st_mode & 0o077:
        raise click.ClickException(
            f"others may read {path}; run `chmod 600 {path}`, and write a new token into it"
        )
    token = path.read_text("utf-8").strip()
    if len(token) < 16:
        raise click.ClickException(
            f"the token in {path} has {len(token)} characters; remove the file for a new one"
        )
    return token

"""`leadlog ship run` and `leadlog ship replay`."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import count, message, print_json
from leadlog.core.errors import ShippingError

if TYPE_CHECKING:
    from leadlog.core.settings import Settings
    from leadlog.shipping import Destination, Shipper, ShipReport
    from leadlog.shipping.objects import ObjectShipper

__all__ = ["chosen", "collected_seldom", "replay", "run"]

_give_up = click.option(
    "--give-up",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="With --once, how long to retry a destination that accepts nothing.",
)
_JOIN_SECONDS = 0.2


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@directory_option
@click.option("--all", "everything", is_flag=True, help="Ship to all tables [ship.NAME].")
@click.option(
    "--to",
    metavar="URL",
    help="Ship to this URL: elasticsearch+http://…, splunk+https://…, otlp+http://….",
)
@click.option(
    "--personal-data",
    metavar="POLICY",
    help="How personal data leave this machine: plain, masked or pseudonymised. "
    "Required with --to; overrides the policy of named destinations.",
)
@click.option("--once", is_flag=True, help="Send everything in the log, and exit.")
@_give_up
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    directory: Path | None,
    everything: bool,
    to: str | None,
    personal_data: str | None,
    once: bool,
    give_up: float,
    as_json: bool,
) -> None:
    """Ship the log to destinations until it is stopped.

    Records that a destination rejects permanently are kept with the reason, and never delay the
    rest. The token is read from the variable named by token_env, or the keyring; never from a URL.

    \b
    Examples:
      leadlog ship elk splunk
      leadlog ship --all --once --json
      leadlog ship --to 'splunk+https://splunk:8088?token_env=HEC_TOKEN' --personal-data plain

    With --once it exits with 1 when records were refused, and with 3 when a destination could
    not be reached.
    """  # noqa: D301 - click wants real backspaces
    settings = _settings(directory)
    wanted = chosen(settings, names, to, personal_data, everything=everything)
    root = existing_log(settings.directory) if once else Path(settings.directory)
    stop = threading.Event()
    shippers = [_shipper(root, one, settings, stop) for one in wanted]

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    if not once:
        message(f"shipping {root} to {', '.join(one.name for one in wanted)}")
    errors: list[BaseException] = []
    threads = [
        threading.Thread(target=_work, args=(one, once, give_up, errors, stop), name="leadlog-ship")
        for one in shippers
    ]
    with collected_seldom():
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # join in steps, so that signals are handled
                thread.join(_JOIN_SECONDS)
    for number, handler in before.items():
        signal.signal(number, handler)
    if errors:
        raise errors[0]
    ctx.exit(_show([one.report for one in shippers], as_json=as_json))


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Run the garbage collector rarely: decoded records form no cycles, but many objects."""
    import gc

    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _work(
    shipper: "Shipper | ObjectShipper",
    once: bool,
    give_up: float,
    errors: list[BaseException],
    stop: threading.Event,
) -> None:
    try:
        if once:
            shipper.once(give_up)
        elif (error := shipper.run().error) and not stop.is_set():
            raise ShippingError(error)
    except BaseException as error:  # noqa: BLE001 - raised again in the main thread
        errors.append(error)
        if not once:
            stop.set()
    finally:
        shipper.close()


@click.command()
@click.argument("name")
@directory_option
@click.option("--to", metavar="URL", help="The URL of NAME, if it has no table.")
@click.option("--personal-data", metavar="POLICY", help="Required with --to.")
@_give_up
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    name: str,
    directory: Path | None,
    to: str | None,
    personal_data: str | None,
    give_up: float,
    as_json: bool,
) -> None:
    """Send the records again that a destination refused, after the cause is fixed.

    Records that it accepts are removed here; records that it refuses again are kept with the new
    reason.

    \b
    Examples:
      leadlog ship replay elk
      leadlog ship replay elk --json | jq .refused

    Exits with 1 when records were refused again, and with 3 when it could not be reached.
    """  # noqa: D301 - click wants real backspaces
    settings = _settings(directory)
    (destination,) = chosen(settings, () if to else (name,), to, personal_data, everything=False)
    root = existing_log(settings.directory)
    shipper = _shipper(root, destination, settings, threading.Event())
    try:
        shipper.replay(give_up)
    finally:
        shipper.close()
    ctx.exit(_show([shipper.report], as_json=as_json))


def _settings(directory: Path | None) -> "Settings":
    from leadlog.core.settings import load

    return load(directory=directory).settings


def chosen(
    settings: "Settings",
    names: tuple[str, ...],
    to: str | None = None,
    personal_data: str | None = None,
    *,
    everything: bool,
) -> "list[Destination]":
    """Return the destinations that a command line names.

    Raises:
        UsageError: There is none of that name.
        SettingsError: A table is wrong.
    """
    from leadlog.shipping import configured, from_url

    if sum((bool(names), everything, to is not None)) != 1:
        raise click.UsageError("name destinations, or give --all or --to URL")
    if to is not None:
        return [from_url(to, personal_data)]
    tables = {
        name: {**table, "personal_data": personal_data} if personal_data else table
        for name, table in settings.ship.items()
    }
    known = configured(tables)
    if not known:
        raise click.UsageError(
            "no destination is set up; write a table [ship.NAME] into leadlog.toml, or run "
            "`leadlog ship --to URL`"
        )
    for name in names:
        if name not in known:
            raise click.UsageError(f"no destination {name!r}; there are {', '.join(known)}")
    return list(known.values()) if everything else [known[name] for name in dict.fromkeys(names)]


def _shipper(
    root: Path, destination: "Destination", settings: "Settings", stop: threading.Event
) -> "Shipper | ObjectShipper":
    from leadlog.shipping import shipper_for

    def notice(text: str) -> None:
        message(f"{destination.name}: {text}")

    return shipper_for(root, destination, settings, notice=notice, stop=stop)


def _show(reports: "list[ShipReport]", *, as_json: bool) -> int:
    if as_json:
        print_json({"destinations": [one.as_dict() for one in reports]})
    for one in () if as_json else reports:
        refused = f", {one.refused} refused" if one.refused else ""
        click.echo(f"{one.name}: {count(one.sent, 'record')} shipped{refused}")
        if one.refused:
            message(f"{one.name}: `leadlog ship status` shows why records were refused")
    for one in reports:
        if one.error:
            message(f"{one.name}: not everything was shipped: {one.error}")
    if any(one.error for one in reports):
        return 3
    return 1 if any(one.refused for one in reports) else 0

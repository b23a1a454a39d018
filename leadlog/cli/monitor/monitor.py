"""`leadlog monitor`: watch the log of all processes, as a separate process."""

import signal
import sys
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from leadlog.cli.options import database_option, directory_option, json_option
from leadlog.cli.terminal import message, print_json, safe, table

if TYPE_CHECKING:
    from leadlog.monitor import Monitor, MonitorReport
    from leadlog.monitor.health.counting import EventCounts

__all__ = ["alert_row", "monitor", "show_alerts"]


@click.command()
@directory_option
@database_option
@click.option("--once", is_flag=True, help="Check once, and exit with 1 when an alert fires.")
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import this module first, also from the working directory; it may register your own "
    "checks. May be given several times.",
)
@click.option("--no-checks", is_flag=True, help="Run no health checks; only watch the log.")
@click.option(
    "--summary",
    metavar="DATE",
    help="Write the summary of a UTC day (2026-11-23, today, yesterday), and exit.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Serve GET /metrics for Prometheus on this port; 0: any free port.",
)
@click.option(
    "--metrics-address",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; the metrics name operations, so consider who can reach it.",
)
@click.option(
    "--ship",
    "ship_to",
    multiple=True,
    metavar="NAME",
    help="Ship to this table [ship.NAME] as well, from a thread. May be given several times.",
)
@click.option("--ship-all", is_flag=True, help="Ship to all tables [ship.NAME].")
@json_option
@click.pass_context
def monitor(
    ctx: click.Context,
    *,
    directory: Path | None,
    database: str | None,
    once: bool,
    modules: tuple[str, ...],
    no_checks: bool,
    summary: str | None,
    metrics_port: int | None,
    metrics_address: str,
    ship_to: tuple[str, ...],
    ship_all: bool,
    as_json: bool,
) -> None:
    """Watch the log: keep metrics, run health checks, and alert when something is wrong.

    Reads the events of all processes, from where the last monitor stopped, and writes a snapshot
    each minute and every change of an alert as monitoring_data records. After midnight UTC it
    writes the daily summary. A second monitor of the same directory stands by.

    Alerts go to the Apprise URLs in LEADLOG_ALERTS_URLS; the rules are in the table [alerts] of
    leadlog.toml.

    With --ship, each destination is shipped to from its own thread; an unreachable receiver or an
    error there does not affect monitoring.

    \b
    Examples:
      leadlog monitor
      LEADLOG_ALERTS_URLS='mailto://…' leadlog monitor --directory /var/log/leads
      leadlog monitor --metrics-port 9464
      leadlog monitor --ship-all
      leadlog monitor --once --json | jq '.alerts[].name'
      leadlog monitor --summary yesterday

    With --once it exits with 1 when an alert fires. If another monitor is running, it reports the
    state of that one.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.recording.pipeline import configure

    if (once or summary is not None) and (ship_to or ship_all):
        raise click.UsageError(
            "--ship needs a continuous monitor; run `leadlog ship --all --once` in addition to "
            f"{'--once' if summary is None else '--summary'}"
        )
    if summary is not None:
        ctx.exit(_summarise(directory, summary, as_json=as_json))
    _import(modules)
    pipeline = configure(directory=directory, database=database)
    from leadlog.monitor import Monitor, StandbyError

    if once:
        watch = Monitor(directory, database=database, checks=not no_checks, notice=message)
        try:
            report = watch.once()
        except StandbyError as error:
            message(f"{error}; this is its state")
            ctx.exit(_show_other(watch.directory, as_json=as_json))
        finally:
            watch.close()
            pipeline.flush()
        ctx.exit(_show(report, as_json=as_json))
    counts = None if metrics_port is None else _counts()
    watch = Monitor(
        directory,
        database=database,
        checks=not no_checks,
        notice=message,
        observe=None if counts is None else counts.add,
    )
    with ExitStack() as stack:
        if metrics_port is not None:
            _serve(stack, watch, counts, metrics_address, metrics_port)
        if ship_to or ship_all:
            _ship(stack, watch, directory, ship_to, everything=ship_all)
        _run(watch, as_json=as_json)


def _import(modules: tuple[str, ...]) -> None:
    """Import the user's modules, also from the working directory."""
    if modules:
        sys.path.insert(0, str(Path.cwd()))
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise click.BadParameter(f"{name}: {error}", param_hint="--import") from error


def _counts() -> "EventCounts":
    from leadlog.monitor.health.counting import EventCounts

    return EventCounts()


def _serve(
    stack: ExitStack, watch: "Monitor", counts: "EventCounts | None", address: str, port: int
) -> None:
    """Serve metrics to Prometheus until the stack is closed."""
    from leadlog.monitor.health.metrics import FigureSource, serve

    figures = FigureSource(watch.directory, counts, watch.health, watch.alerts)
    port = stack.enter_context(serve(figures, address, port))
    message(f"metrics at http://{address}:{port}/metrics")


def _ship(
    stack: ExitStack,
    watch: "Monitor",
    directory: Path | None,
    names: tuple[str, ...],
    *,
    everything: bool,
) -> None:
    """Ship until the stack is left."""
    from leadlog.cli.ship.run import chosen
    from leadlog.core.settings import load
    from leadlog.shipping import ShippingThreads

    if names and everything:
        raise click.UsageError("give --ship NAME or --ship-all")
    settings = load(directory=directory).settings
    wanted = chosen(settings, names, everything=everything)
    stack.enter_context(ShippingThreads(watch.directory, wanted, settings, message))
    message(f"shipping to {', '.join(one.name for one in wanted)}")


def _run(watch: "Monitor", *, as_json: bool) -> None:
    """Run the monitor until it is stopped; SIGTERM ends it as cleanly as Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        watch.stop(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    message(f"watching {watch.directory}; {len(watch.configuration.rules)} rules are in force")
    watch.run()
    message("ended; the next monitor continues from here")
    if as_json:
        print_json({"directory": str(watch.directory), "ended": True})


def _summarise(directory: Path | None, said: str, *, as_json: bool) -> int:
    from leadlog.cli.options import existing_log
    from leadlog.core.clock import utc_date
    from leadlog.reading.analytics.summary import write_daily_summary
    from leadlog.reading.moments import MomentError, moment

    try:
        day = utc_date(moment(said))
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="--summary") from error
    path = write_daily_summary(existing_log(directory), day)
    if as_json:
        print_json({"summary": str(path)})
    else:
        click.echo(safe(str(path)))
    return 0


def alert_row(alert: Any, *, suppressed: str = "") -> dict[str, Any]:
    """Return one alert as plain data, as `--json` prints it."""
    from leadlog.core.clock import format_us

    return {
        "name": f"{alert.rule}:{alert.label}" if alert.label else alert.rule,
        "rule": alert.rule,
        "label": alert.label,
        "state": alert.state,
        "severity": alert.severity,
        "message": alert.message,
        "value": alert.value,
        "threshold": alert.threshold,
        "since": format_us(alert.since_us),
        "fired": None if alert.fired_us is None else format_us(alert.fired_us),
        "suppressed": suppressed,
        "remedy": alert.remedy,
    }


def show_alerts(rows: list[dict[str, Any]]) -> None:
    """Print alerts as a table."""
    cells = [
        (
            one["state"] + (f" ({one['suppressed']})" if one["suppressed"] else ""),
            one["severity"],
            one["name"],
            one["since"][:19].replace("T", " "),
            one["message"],
        )
        for one in rows
    ]
    for line in table(cells, ("state", "severity", "alert", "since (UTC)", "what")):
        click.echo(line)


def _show(report: "MonitorReport", *, as_json: bool) -> int:
    rows = [alert_row(alert) for alert in report.alerts]
    if as_json:
        print_json(
            {
                "events": report.events,
                "ignored": report.ignored,
                "skipped": report.skipped,
                "undelivered": report.undelivered,
                "alerts": rows,
                "checks": [check.as_dict() for check in report.checks],
            }
        )
    elif rows:
        show_alerts(rows)
    else:
        click.echo(f"Nothing is wrong ({report.events} new events).")
    if report.undelivered:
        message(
            f"{report.undelivered} messages are not delivered yet; the next monitor retries them"
        )
    return 1 if report.firing else 0


def _show_other(directory: Path, *, as_json: bool) -> int:
    from leadlog.monitor.state import read_state
    from leadlog.monitor.storage import load_alerts

    with read_state(directory) as connection:
        rows = [alert_row(alert) for alert in load_alerts(connection).values()]
    if as_json:
        print_json({"alerts": rows})
    elif rows:
        show_alerts(rows)
    else:
        click.echo("Nothing is wrong.")
    return 1 if any(one["state"] == "firing" for one in rows) else 0

"""`leadlog alerts list` and `leadlog alerts show`."""

from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

import click

from leadlog.cli.monitor.monitor import alert_row, show_alerts
from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import print_json, safe, table
from leadlog.core.clock import format_us, now_us

if TYPE_CHECKING:
    from leadlog.monitor.silences import Silence

__all__ = ["list_", "show"]


@click.command("list")
@directory_option
@click.option(
    "--all", "everything", is_flag=True, help="Also list ended silences and recent changes."
)
@json_option
@click.pass_context
def list_(ctx: click.Context, *, directory: Path | None, everything: bool, as_json: bool) -> None:
    """List the alerts that are pending or firing, the silences, and undelivered messages.

    \b
    Examples:
      leadlog alerts list
      leadlog alerts list --json | jq '.alerts[] | select(.severity == "critical")'

    Exits with 1 when an alert fires.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.monitor.state import read_state
    from leadlog.monitor.storage import history, load_silences

    now = now_us()
    root = existing_log(directory)
    with read_state(root) as connection:
        rows = _alerts(connection, now)
        silences = [
            _silence(one) | {"active": one.is_active(now)}
            for one in load_silences(connection)
            if everything or one.ends_us > now
        ]
        changes = history(connection, limit=50) if everything else []
        messages = _messages(connection, everything=everything)
    report: dict[str, Any] = {"alerts": rows, "silences": silences, "messages": messages}
    if everything:
        report["changes"] = [_change(one.transition) for one in changes]
    if as_json:
        print_json(report)
    else:
        _show(report)
    ctx.exit(1 if any(one["state"] == "firing" for one in rows) else 0)


@click.command()
@click.argument("rule")
@directory_option
@json_option
def show(*, rule: str, directory: Path | None, as_json: bool) -> None:
    """Show a rule: its settings in force, its alerts, and when they changed.

    \b
    Examples:
      leadlog alerts show burn_rate
      leadlog alerts show latency --json | jq .settings
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.monitor.configuration import configure, settings_of
    from leadlog.monitor.state import database_path, read_state
    from leadlog.monitor.storage import history

    settings = load(directory=directory).settings
    rules = configure(settings.alerts).rules
    found = rules.get(rule)
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(rule, rules, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(rules)}"
        raise click.BadParameter(f"no rule {rule!r} is in force; {hint}", param_hint="RULE")
    rows, changes = [], []
    if database_path(settings.directory).is_file():
        with read_state(settings.directory) as connection:
            rows = [one for one in _alerts(connection, now_us()) if one["rule"] == rule]
            changes = history(connection, rule=rule, limit=20)
    report: dict[str, Any] = {
        "rule": rule,
        "kind": found.kind,
        "about": found.about,
        "settings": {
            key: getattr(found, field.name) for key, field in settings_of(type(found)).items()
        },
        "alerts": rows,
        "changes": [_change(one.transition) for one in changes],
    }
    if as_json:
        print_json(report)
        return
    click.echo(f"{rule}: {found.about}")
    for line in table(report["settings"].items()):
        click.echo(f"  {line}")
    _show({"alerts": rows, "changes": report["changes"]})


def _alerts(connection: Connection, now: int) -> list[dict[str, Any]]:
    from leadlog.core.settings import load
    from leadlog.monitor.configuration import configure
    from leadlog.monitor.silences import inhibited, silenced
    from leadlog.monitor.storage import load_alerts, load_silences

    alerts = load_alerts(connection)
    quiet = silenced(alerts, load_silences(connection), now)
    consequences = inhibited(alerts, alerts, configure(load().settings.alerts).inhibitions)
    return [
        alert_row(
            one,
            suppressed="silenced" if key in quiet else "consequence" if key in consequences else "",
        )
        for key, one in alerts.items()
    ]


def _silence(one: "Silence") -> dict[str, Any]:
    return {
        "number": one.number,
        "rule": one.rule,
        "label": one.label,
        "comment": one.comment,
        "by": one.by,
        "created": format_us(one.created_us),
        "ends": format_us(one.ends_us),
    }


def _change(one: Any) -> dict[str, Any]:
    return {"at": format_us(one.at_us), "before": one.before, **alert_row(one.alert)}


def _messages(connection: Connection, *, everything: bool) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT title, state, attempts, error, created_us FROM outbox "
        "WHERE ? OR state IN ('waiting', 'sending') ORDER BY id DESC LIMIT 50",
        (everything,),
    )
    names = ("title", "state", "attempts", "error")
    return [dict(zip(names, row, strict=False)) | {"created": format_us(row[4])} for row in rows]


def _show(report: dict[str, Any]) -> None:
    if report["alerts"]:
        show_alerts(report["alerts"])
    else:
        click.echo("No alert is pending or firing.")
    _section(
        "Silences",
        [
            (
                one["number"],
                f"{one['rule']} {one['label']}",
                _time(one["ends"]),
                one["by"],
                one["comment"],
            )
            for one in report.get("silences", ())
        ],
        ("number", "rule, label", "until (UTC)", "by", "why"),
    )
    _section(
        "Messages",
        [
            (one["state"], one["attempts"], one["title"], one["error"] or None)
            for one in report.get("messages", ())
        ],
        ("state", "attempts", "what", "last error"),
    )
    _section(
        "Changes",
        [
            (_time(one["at"]), one["name"], f"{one['before']} → {one['state']}", one["message"])
            for one in report.get("changes", ())
        ],
        ("at (UTC)", "alert", "change", "what"),
    )


def _section(title: str, rows: list[tuple[Any, ...]], header: tuple[str, ...]) -> None:
    if rows:
        click.echo()
        click.secho(title, bold=True)
        for line in table(rows, header):
            click.echo(f"  {line}")


def _time(stamp: str) -> str:
    return safe(stamp[:19].replace("T", " "))

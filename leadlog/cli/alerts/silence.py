"""`leadlog alerts silence` and `leadlog alerts unsilence`."""

import getpass
import os
from pathlib import Path

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import message, print_json
from leadlog.core.clock import format_us, now_us

__all__ = ["silence", "unsilence"]


def _duration(ctx: click.Context, parameter: click.Parameter, said: str) -> float:
    from leadlog.monitor.durations import seconds

    try:
        return seconds(said)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user may have no name
        return f"user {os.getuid()}"


@click.command()
@click.argument("rule")
@click.option("--label", help="Only alerts with this label, as in `rule:label`.")
@click.option(
    "--for",
    "duration",
    required=True,
    metavar="DURATION",
    callback=_duration,
    help="How long: 30m, 2h, 1d.",
)
@click.option("--comment", required=True, help="The reason, shown to other users.")
@directory_option
@json_option
def silence(
    *,
    rule: str,
    label: str | None,
    duration: float,
    comment: str,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Suppress notifications of some alerts for a while.

    RULE is the name of a rule, or `rule:label` as in `leadlog alerts list` and in the settings.
    `*` and `?` are wildcards; nothing else is special. The alerts stay active and are shown by
    `leadlog alerts list`; notifications are not sent until the silence ends.

    \b
    Examples:
      leadlog alerts silence latency --for 2h --comment "reindexing"
      leadlog alerts silence 'fingerprint_*:3f2a*' --for 1d --comment "ticket 812"
      leadlog alerts silence latency --label 'import [eu]' --for 2h --comment "new index"
      leadlog alerts silence '*' --for 30m --comment "maintenance"
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.monitor.configuration import configure
    from leadlog.monitor.silences import matches, silenced
    from leadlog.monitor.state import write_state
    from leadlog.monitor.storage import add_silence, load_alerts, load_silences

    if not 0 < duration <= 366 * 86_400:
        raise click.BadParameter("a silence lasts a year at most, and not 0", param_hint="--for")
    if not comment.strip():
        raise click.BadParameter("say why", param_hint="--comment")
    rule, colon, said = rule.partition(":")
    if colon and label is not None:
        raise click.BadParameter("RULE has a label already", param_hint="--label")
    label = said if colon else "*" if label is None else label
    rules = configure(load().settings.alerts).rules
    if not any(matches(name, rule) for name in rules):
        message(f"no rule in force is called {rule!r}; there are {', '.join(rules)}")
    now = now_us()
    ends = now + round(duration * 1e6)
    with write_state(existing_log(directory)) as connection:
        number = add_silence(
            connection,
            rule=rule,
            label=label,
            comment=comment.strip(),
            by=_user(),
            created_us=now,
            ends_us=ends,
        )
        made = [one for one in load_silences(connection) if one.number == number]
        covered = len(silenced(load_alerts(connection), made, now))
    if not covered:
        message(
            "no alert matches it now; it holds for those to come. See `leadlog alerts list` for "
            "the rules and labels of those that there are"
        )
    if as_json:
        print_json({"number": number, "ends": format_us(ends), "alerts": covered})
    else:
        until = format_us(ends)[:19].replace("T", " ")
        click.echo(
            f"Silence {number} until {until} UTC; to end it: leadlog alerts unsilence {number}"
        )


@click.command()
@click.argument("number", type=click.IntRange(min=1))
@directory_option
@json_option
@click.pass_context
def unsilence(ctx: click.Context, *, number: int, directory: Path | None, as_json: bool) -> None:
    """End a silence now.

    NUMBER is in `leadlog alerts list`.

    \b
    Examples:
      leadlog alerts unsilence 3

    Exits with 1 when there is no such silence, or it has ended.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.monitor.state import write_state
    from leadlog.monitor.storage import end_silence

    with write_state(existing_log(directory)) as connection:
        ended = end_silence(connection, number, now_us())
    if as_json:
        print_json({"number": number, "ended": ended})
    elif ended:
        click.echo(f"Silence {number} has ended.")
    else:
        message(f"there is no silence {number} that still holds; see `leadlog alerts list`")
    ctx.exit(0 if ended else 1)

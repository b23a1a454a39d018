"""`leadlog session`: the events of one session."""

from pathlib import Path

import click

from leadlog.cli.options import directory_option, existing_log, json_option, moment_option
from leadlog.cli.reading.event_line import common_context, context_line, event_line
from leadlog.cli.reading.skipped import say_skipped
from leadlog.cli.terminal import count, fit, message, print_json, safe, terminal_width
from leadlog.reading.events import Skipped

__all__ = ["session"]


@click.command()
@click.argument("session_id")
@moment_option("--since", "Only events that ended at TIME or later.")
@moment_option("--until", "Only events that ended before TIME.")
@directory_option
@json_option
@click.pass_context
def session(
    ctx: click.Context,
    *,
    session_id: str,
    since: str | None,
    until: str | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Show everything that one session did, across all categories, in time order.

    \b
    Examples:
      leadlog session k3v9x0ab
      leadlog session k3v9x0ab --json | jq '.[].event_name'

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.

    Exits with 1 when the log has no such session.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.clock import parse
    from leadlog.reading.lookup import records_of_session

    skipped = Skipped()
    found = records_of_session(
        existing_log(directory), session_id, since=since, until=until, skipped=skipped
    )
    if as_json:
        print_json(found)
    elif found:
        first, last = found[0]["timestamp"], found[-1]["timestamp"]
        failed = sum(1 for one in found if one["log_type"] == "error_log")
        seconds = (parse(last) - parse(first)) / 1e6
        width, told = terminal_width(), common_context(found)
        title = (
            f"session {safe(session_id)}: {count(len(found), 'event')} in {seconds:.3f} s, "
            f"{count(failed, 'error')}"
        )
        click.secho(fit(title, width), bold=True)
        if told:
            click.echo(fit(f"  {context_line(found)}", width))
        for one in found:
            click.echo(event_line(one, width, context=told))
    say_skipped(skipped)
    if not found:
        message(f"no event of session {session_id} is in the log, or none at that time")
        ctx.exit(1)

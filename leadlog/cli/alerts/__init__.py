"""`leadlog alerts`: the group of commands on alerts."""

import click

from leadlog.cli.root import LazyGroup

__all__ = ["COMMANDS", "alerts"]

COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("leadlog.cli.alerts.show:list_", "List the alerts that are pending or firing."),
    "show": ("leadlog.cli.alerts.show:show", "Show a rule: settings, alerts, history."),
    "silence": ("leadlog.cli.alerts.silence:silence", "Silence some alerts for a while."),
    "unsilence": ("leadlog.cli.alerts.silence:unsilence", "End a silence."),
    "test": ("leadlog.cli.alerts.delivery:test", "Send a test message to every channel."),
}
"""Command name to its location and one-line help."""


@click.group(cls=LazyGroup, lazy=COMMANDS)
def alerts() -> None:
    """Show, silence and test alerts.

    `leadlog monitor` evaluates the rules; these commands read the state that it keeps next to the
    log, and work while it runs. Each has --json.

    \b
    Examples:
      leadlog alerts list
      leadlog alerts silence latency --for 2h --comment "reindexing"
      leadlog alerts test
    """  # noqa: D301 - click wants real backspaces

"""`leadlog ship`: ship the log to a company's log platform."""

from typing import Any

import click

from leadlog.cli.root import LazyGroup

__all__ = ["COMMANDS", "ship"]

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("leadlog.cli.ship.run:run", "Ship to destinations; the same as `leadlog ship NAME`."),
    "status": ("leadlog.cli.ship.state:status", "Show how far behind each destination is."),
    "replay": ("leadlog.cli.ship.run:replay", "Send records again that a destination refused."),
    "forget": ("leadlog.cli.ship.state:forget", "Forget a destination's position, to start over."),
    "files": ("leadlog.cli.ship.state:files", "Write dashboards and templates of receivers."),
    "template": ("leadlog.cli.ship.state:template", "Print the index templates."),
}
"""Command name to its location and one-line help."""


class _ShipGroup(LazyGroup):
    """A group whose default command is `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self._lazy and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options of `run` too, so that `leadlog ship --help` shows them."""
        command = self.get_command(ctx, "run")
        options = [] if command is None else command.params
        own = [one for one in options if isinstance(one, click.Option)]
        return [*own, *super().get_params(ctx)]


@click.group(
    cls=_ShipGroup,
    lazy=COMMANDS,
    subcommand_metavar="[run] NAME… | COMMAND",
    invoke_without_command=True,
    no_args_is_help=True,
)
def ship(**_: Any) -> None:
    """Ship the log to Elasticsearch, Splunk, OpenTelemetry or S3.

    Reads the log files in a separate process and continues where the last run stopped: after a
    kill, a restart, or a month. An unreachable receiver costs the application nothing. Destinations
    are tables [ship.NAME] in leadlog.toml, or one URL with --to. Each command has --json.

    \b
    Examples:
      leadlog ship elk
      leadlog ship --all --once
      leadlog ship --to elasticsearch+http://127.0.0.1:9200/leadlog --personal-data masked
      leadlog ship status --json | jq '.destinations[].lag'
      leadlog ship replay elk
    """  # noqa: D301 - click wants real backspaces

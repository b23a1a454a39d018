"""`leadlog sync`: everything about the lead store and its Airtable table."""

import click

from leadlog.cli.root import LazyGroup

__all__ = ["COMMANDS", "sync"]

COMMANDS: dict[str, tuple[str, str]] = {
    "push": ("leadlog.cli.sync.runs:push", "Send what changed in the store to Airtable."),
    "pull": ("leadlog.cli.sync.runs:pull", "Take what changed in Airtable into the store."),
    "both": ("leadlog.cli.sync.runs:both", "Bring both sides together, field by field."),
    "retry": ("leadlog.cli.sync.runs:retry", "Try again what was set aside."),
    "status": ("leadlog.cli.sync.state:status", "Show what there is to send, and the last runs."),
    "schema": ("leadlog.cli.sync.state:schema", "Check the table's fields, and create some."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def sync() -> None:
    """Keep the lead store and an Airtable table equal.

    The token comes from AIRTABLE_API_KEY or the keyring; base, table and fields from the settings
    (`[airtable]` in leadlog.toml). Each command takes --database URL and --json.

    \b
    Examples:
      leadlog sync schema
      leadlog sync both --dry-run
      leadlog sync both --watch 300
    """  # noqa: D301 - click wants real backspaces

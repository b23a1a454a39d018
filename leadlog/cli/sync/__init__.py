"""`leadlog sync`: the group of commands that sync the lead store with an Airtable table."""

import click

from leadlog.cli.root import LazyGroup

__all__ = ["COMMANDS", "sync"]

COMMANDS: dict[str, tuple[str, str]] = {
    "push": ("leadlog.cli.sync.runs:push", "Send changes in the store to Airtable."),
    "pull": ("leadlog.cli.sync.runs:pull", "Apply changes in Airtable to the store."),
    "both": ("leadlog.cli.sync.runs:both", "Sync both sides, field by field."),
    "retry": ("leadlog.cli.sync.runs:retry", "Retry the leads that were set aside."),
    "status": ("leadlog.cli.sync.state:status", "Show pending changes, and the last runs."),
    "schema": ("leadlog.cli.sync.state:schema", "Check the table's fields, or create them."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def sync() -> None:
    """Keep the lead store and an Airtable table in sync.

    The token is read from AIRTABLE_API_KEY or the keyring; base, table and fields from the settings
    (`[airtable]` in leadlog.toml). Each command takes --database URL and --json.

    \b
    Examples:
      leadlog sync schema
      leadlog sync both --dry-run
      leadlog sync both --watch 300
    """  # noqa: D301 - click wants real backspaces

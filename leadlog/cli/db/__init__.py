"""`leadlog db`: the group of commands on the lead store."""

import click

from leadlog.cli.root import LazyGroup

__all__ = ["db"]

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("leadlog.cli.db.state:init", "Create the store's tables if they do not exist."),
    "upgrade": ("leadlog.cli.db.state:upgrade", "Upgrade the store to this version's schema."),
    "stats": ("leadlog.cli.db.state:stats", "Show statistics of the store."),
    "check": ("leadlog.cli.db.state:check", "Find problems in the store, and repair its keys."),
    "vacuum": ("leadlog.cli.db.state:vacuum", "Release unused space."),
    "backup": ("leadlog.cli.db.backup:backup", "Back the store up, and verify the backup."),
    "restore": ("leadlog.cli.db.backup:restore", "Restore the leads from a backup."),
    "quality": ("leadlog.cli.db.reports:quality", "Score the leads' data, field by field."),
    "duplicates": ("leadlog.cli.db.reports:duplicates", "Suggest leads that may be the same."),
    "merges": ("leadlog.cli.db.reports:merges", "Show what duplicates overwrote, or undo it."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def db() -> None:
    """Maintain the lead store: backups, checks, quality, duplicates.

    Each command takes --database URL, by default the setting `database`, and --json.

    \b
    Examples:
      leadlog db stats
      leadlog db backup backups/ --keep 7
      leadlog db check --database postgresql://ana@localhost/leads --json
    """  # noqa: D301 - click wants real backspaces

"""`leadlog db`: everything about the lead store itself."""

import click

from leadlog.cli.root import LazyGroup

__all__ = ["db"]

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("leadlog.cli.db.state:init", "Create the store's tables, if they are not there."),
    "upgrade": ("leadlog.cli.db.state:upgrade", "Bring the store to this version's revision."),
    "stats": ("leadlog.cli.db.state:stats", "Show the store's numbers."),
    "check": ("leadlog.cli.db.state:check", "Find what is wrong with the store, and repair keys."),
    "vacuum": ("leadlog.cli.db.state:vacuum", "Give unused space back."),
    "backup": ("leadlog.cli.db.backup:backup", "Back the store up, and read the backup back."),
    "restore": ("leadlog.cli.db.backup:restore", "Bring the leads of a backup back."),
    "quality": ("leadlog.cli.db.reports:quality", "Judge the leads' data, field by field."),
    "duplicates": ("leadlog.cli.db.reports:duplicates", "Suggest leads that may be the same."),
    "merges": ("leadlog.cli.db.reports:merges", "Show what duplicates overwrote, or undo it."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def db() -> None:
    """Look after the lead store: backups, checks, quality, duplicates.

    Each command takes --database URL, by default the setting `database`, and --json.

    \b
    Examples:
      leadlog db stats
      leadlog db backup backups/ --keep 7
      leadlog db check --database postgresql://ana@localhost/leads --json
    """  # noqa: D301 - click wants real backspaces

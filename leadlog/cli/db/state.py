"""`leadlog db init`, `upgrade`, `stats`, `check` and `vacuum`."""

from contextlib import closing
from typing import Any

import click

from leadlog.cli.options import database_option, json_option
from leadlog.cli.terminal import print_json, safe, table

__all__ = ["check", "connections_of", "init", "opened", "stats", "upgrade", "vacuum"]


def connections_of(database: str | None) -> Any:
    """Return the connections of the given store, or of the one in the settings; create nothing.

    Raises:
        StoreError: the store does not support this database.
    """
    from leadlog.core.settings import load
    from leadlog.leads.store.engine import Connections
    from leadlog.leads.store.location import location

    return Connections(location(load().settings.database if database is None else database))


def opened(database: str | None, *, capture: bool = False) -> Any:
    """Return the given store, or the one in the settings; it must exist.

    Args:
        database: URL of the store; None for the one in the settings.
        capture: whether calls of the store are logged.

    Raises:
        StoreError: the store does not exist or cannot be opened.
    """
    from pathlib import Path

    from leadlog.core.errors import StoreError
    from leadlog.leads.store import LeadDatabase

    with closing(connections_of(database)) as connections:
        url = connections.url
        path = url.database or ""
        plain = connections.sqlite and path and "uri" not in url.query and path != ":memory:"
        if plain and not Path(path).exists():
            raise StoreError(f"there is no lead store {url}; create it: leadlog db init")
    return LeadDatabase(url, capture=capture)


@click.command()
@database_option
@json_option
def init(*, database: str | None, as_json: bool) -> None:
    """Create the store's tables if they do not exist.

    \b
    Examples:
      leadlog db init
      leadlog db init --database postgresql://ana@localhost/leads
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.store.schema import REVISIONS, prepare

    with closing(connections_of(database)) as connections:
        prepare(connections)
        found = {"database": str(connections.url), "revision": REVISIONS[-1]}
    if as_json:
        print_json(found)
    else:
        click.echo(f"{safe(found['database'])} is of revision {found['revision']}.")


@click.command()
@database_option
@json_option
def upgrade(*, database: str | None, as_json: bool) -> None:
    """Upgrade the store to the schema revision that this version of leadlog needs.

    SQLite stores are upgraded automatically when they are opened. A PostgreSQL store is upgraded
    only on request, because other programs may use it. The upgrade is one transaction.

    \b
    Examples:
      leadlog db upgrade --database postgresql://ana@localhost/leads
    """  # noqa: D301 - click wants real backspaces
    from leadlog.leads.store.schema import upgrade_or_explain

    with closing(connections_of(database)) as connections:
        before, after = upgrade_or_explain(connections)
        found = {"database": str(connections.url), "before": before, "after": after}
    if as_json:
        print_json(found)
    elif before == after:
        click.echo(f"{safe(str(found['database']))} is of revision {after} already.")
    else:
        came = "was empty" if before is None else f"was of revision {before}"
        click.echo(f"{safe(str(found['database']))} {came} and is of revision {after} now.")


@click.command()
@database_option
@json_option
def stats(*, database: str | None, as_json: bool) -> None:
    """Show statistics of the store.

    \b
    Examples:
      leadlog db stats
      leadlog db stats --json | jq .total_leads
    """  # noqa: D301 - click wants real backspaces
    with opened(database) as store:
        found = {"database": str(store.url), **store.stats()}
    if as_json:
        print_json(found)
        return
    for line in table((name.replace("_", " "), value) for name, value in found.items()):
        click.echo(line)


@click.command()
@database_option
@click.option(
    "--repair", is_flag=True, help="First remove keys without a lead and add missing ones."
)
@json_option
@click.pass_context
def check(ctx: click.Context, *, database: str | None, repair: bool, as_json: bool) -> None:
    """Find problems in the store, and say how to repair them.

    Checks the integrity of the file and its foreign keys (SQLite) or indexes (PostgreSQL), keys
    and merges without a lead, and leads without their keys. Exits with 1 when it finds something.

    \b
    Examples:
      leadlog db check
      leadlog db check --repair
      leadlog db check --json | jq '.findings[].remedy'
    """  # noqa: D301 - click wants real backspaces
    from dataclasses import asdict

    with opened(database) as store:
        found = store.check(repair=repair)
        where = str(store.url)
    if as_json:
        print_json({"database": where, "findings": [asdict(finding) for finding in found]})
    elif not found:
        click.echo(f"Nothing is wrong with {safe(where)}.")
    for finding in () if as_json else found:
        click.echo(f"{safe(finding.message)}\n  {safe(finding.remedy)}")
    ctx.exit(1 if found else 0)


@click.command()
@database_option
@json_option
def vacuum(*, database: str | None, as_json: bool) -> None:
    """Release unused space, and refresh the query planner's statistics.

    While this runs, SQLite needs as much free disk space as the file takes, and writers wait.

    \b
    Examples:
      leadlog db vacuum
    """  # noqa: D301 - click wants real backspaces
    with opened(database) as store:
        found = {"database": str(store.url), **store.vacuum()}
    if as_json:
        print_json(found)
    else:
        before, after = found["bytes_before"] / 1e6, found["bytes_after"] / 1e6
        click.echo(f"{safe(found['database'])}: {before:.1f} MB before, {after:.1f} MB now.")

"""`leadlog db init`, `upgrade`, `stats`, `check` and `vacuum`."""

from contextlib import closing
from typing import Any

import click

from leadlog.cli.options import database_option, json_option
from leadlog.cli.terminal import print_json, safe, table

__all__ = ["check", "connections_of", "init", "opened", "stats", "upgrade", "vacuum"]


def connections_of(database: str | None) -> Any:
    """Return the connections of the named store, or of the settings' store; create nothing.

    Raises:
        StoreError: the store does not run on it.
    """
    from leadlog.core.settings import load
    from leadlog.leads.store.engine import Connections
    from leadlog.leads.store.location import location

    return Connections(location(load().settings.database if database is None else database))


def opened(database: str | None, *, capture: bool = False) -> Any:
    """Return the store that was named, or that of the settings, which has to be there.

    Args:
        database: its URL; None for that of the settings.
        capture: whether its calls are recorded.

    Raises:
        StoreError: there is none, or it cannot be opened.
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
    """Create the store's tables, if they are not there.

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
    """Bring the store to the revision that this version of leadlog needs.

    SQLite stores upgrade themselves when they are opened. A PostgreSQL store is upgraded when
    you say so, because other programs may use it; all in one transaction.

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
    """Show the store's numbers.

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
    """Find what is wrong with the store, and say how to repair it.

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
    """Give unused space back, and renew the query planner's statistics.

    SQLite needs as much free room as the file takes while this runs, and writers wait.

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

"""`leadlog ship status`, `forget`, `files` and `template`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.terminal import count, message, print_json, safe, table

if TYPE_CHECKING:
    from leadlog.reading.shipped import Shipped

__all__ = ["files", "forget", "status", "template"]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@directory_option
@json_option
@click.pass_context
def status(
    ctx: click.Context, *, names: tuple[str, ...], directory: Path | None, as_json: bool
) -> None:
    """Show each destination's lag in records, bytes and seconds, and refused and dropped records.

    \b
    Examples:
      leadlog ship status
      leadlog ship status elk --json | jq '.destinations[0].lag.seconds'

    Exits with 1 when records were refused or dropped.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.clock import now_us
    from leadlog.reading.shipped import destinations, read_shipments

    root = existing_log(directory)
    found = [read_shipments(root, name) for name in names or destinations(root)]
    now = now_us()
    rows = [_row(root, one, now) for one in found]
    if as_json:
        print_json({"directory": str(root), "destinations": rows})
    elif rows:
        _show(rows)
    else:
        click.echo("Nothing was shipped from here yet.")
    ctx.exit(1 if any(one["refused"] or one["dropped"] for one in rows) else 0)


def _row(root: Path, one: "Shipped", now: int) -> dict[str, Any]:
    from leadlog.core.clock import format_us
    from leadlog.reading.shipped import refused_reasons

    lag = one.lag(root, now, count=True)
    meta = one.meta

    def time(name: str) -> str | None:
        return None if meta.get(name) is None else format_us(meta[name])

    return {
        "name": one.name,
        "target": meta.get("target"),
        "sent": meta.get("sent", 0),
        "acknowledged_at": time("acknowledged_us"),
        "lag": {"records": lag.records, "bytes": lag.bytes, "seconds": lag.seconds},
        "files": lag.files,
        "refused": one.refused,
        "refused_reasons": refused_reasons(root, one.name),
        "dropped": {
            cause: {"files": files, "bytes": size, "records": records}
            for cause, (files, size, records) in one.dropped.items()
        },
        "erasures_pending": one.erasures if meta.get("can_erase") else 0,
        "copies_of_erased": 0 if meta.get("can_erase") else one.erasures,
        "error": meta.get("error"),
        "error_at": time("error_us") if meta.get("error") else None,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    cells = [
        (
            one["name"],
            one["sent"],
            one["lag"]["records"],
            one["lag"]["bytes"],
            None if one["lag"]["seconds"] is None else f"{one['lag']['seconds']:.1f}",
            one["refused"],
            ", ".join(one["dropped"]) or "none",
            (one["acknowledged_at"] or "never")[:19].replace("T", " "),
        )
        for one in rows
    ]
    header = ("name", "sent", "records", "bytes", "seconds", "refused", "dropped", "last (UTC)")
    for line in table(cells, header, right=(1, 2, 3, 4, 5)):
        click.echo(line)
    for one in rows:
        if one["error"]:
            click.echo(f"\n{one['name']}: {safe(one['error'])}")
        for reason, number in one["refused_reasons"].items():
            click.echo(f"\n{one['name']} refused {count(number, 'record')}: {safe(reason)}")
        if one["copies_of_erased"]:
            click.echo(
                f"\n{one['name']} may still have copies of {one['copies_of_erased']} erased records"
            )


@click.command()
@click.argument("name")
@directory_option
@json_option
def forget(*, name: str, directory: Path | None, as_json: bool) -> None:
    """Forget a destination's position and the records that it refused.

    The next run to it ships the whole log again; until then, `leadlog archive` no longer waits for
    it.

    \b
    Examples:
      leadlog ship forget elk
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.errors import ReadError, ShippingError
    from leadlog.reading import shipments, shipped

    root = existing_log(directory)
    if name not in shipped.destinations(root):
        shipped.read_shipments(root, name)  # raises if there is no such destination
        raise ReadError(f"there is no destination {name!r}")
    with shipments.shipping_lock(root, name) as other:
        if other is not None:
            raise ShippingError(f"process {other} ships to {name}; stop it first")
        shipped.forget(root, name)
    if as_json:
        print_json({"forgotten": name})
    else:
        message(f"forgot {name}")


@click.command()
@click.option(
    "--type",
    "flavour",
    type=click.Choice(["elasticsearch", "opensearch"]),
    default="elasticsearch",
    show_default=True,
    help="Which one the templates are for.",
)
@click.option("--index", default="leadlog", show_default=True, help="Prefix of the index names.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as without it.")
def template(*, flavour: str, index: str, as_json: bool) -> None:  # noqa: ARG001 - always JSON
    """Print the index templates that `leadlog ship` installs, to install them by hand.

    \b
    Examples:
      leadlog ship template --type opensearch
      leadlog ship template | jq '."leadlog-error_log"'
    """  # noqa: D301 - click wants real backspaces
    from leadlog.shipping.elasticsearch import index_template
    from leadlog_processors.fields import CATEGORIES

    print_json({f"{index}-{name}": index_template(name, index, flavour) for name in CATEGORIES})


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--index", default="leadlog", show_default=True, help="Prefix of the index names.")
@json_option
def files(*, folder: Path, index: str, as_json: bool) -> None:
    """Write setup files for receivers into a folder.

    kibana/ has a dashboard for Kibana and OpenSearch Dashboards (Stack Management, Saved objects,
    Import); splunk/ is an app with a dashboard, props.conf and transforms.conf; elasticsearch/ and
    opensearch/ have the index templates, one file each.

    \b
    Examples:
      leadlog ship files ./receivers
      cp -r ./receivers/splunk /opt/splunk/etc/apps/leadlog
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.errors import LogDirectoryError
    from leadlog.core.files import remedy_of
    from leadlog.shipping.saved import receiver_files

    found = receiver_files(index)
    for name, content in found.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise LogDirectoryError(
                f"cannot write {path}: {error.strerror or error}; "
                + remedy_of(error, "name a folder that you may write")
            ) from error
    if as_json:
        print_json({"folder": str(folder), "files": sorted(found)})
    else:
        message(f"wrote {count(len(found), 'file')} into {folder}")

"""`leadlog show`: one record in full, with its error, its transaction and its session."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadlog.cli.options import directory_option, existing_log, json_option
from leadlog.cli.reading.event_line import change, context_line, event_line, value
from leadlog.cli.reading.skipped import collect_nothing, say_skipped
from leadlog.cli.terminal import count, fit, message, print_json, safe, terminal_width
from leadlog.reading.events import Skipped

if TYPE_CHECKING:
    from leadlog.reading.lookup import FoundRecord

__all__ = ["show"]


@click.command()
@click.argument("identifier", metavar="ID")
@directory_option
@json_option
@click.pass_context
def show(ctx: click.Context, *, identifier: str, directory: Path | None, as_json: bool) -> None:
    """Show one record in full, with its error, its transaction and its session.

    ID is the id of an event, an operation, an error, a sync, a migration or a transaction, as
    `leadlog tail --json`, `slow`, `errors` and `history` print it.

    \b
    Examples:
      leadlog show 066175a9df14b00000022e2986f26a
      leadlog show 066175a9df14b00000022e2986f26a --json | jq .record.data_details

    Exits with 1 when no record has that id.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.reading.lookup import find

    collect_nothing(ctx)
    skipped = Skipped()
    found = find(existing_log(directory), identifier, skipped=skipped)
    if found is not None and as_json:
        print_json(_plain(found))
    elif found is not None:
        for line in _lines(found, terminal_width()):
            click.echo(line)
    say_skipped(skipped)
    if found is None:
        message(
            f"no record has the id {identifier}; a session is shown by `leadlog session`, a lead "
            "by `leadlog history`"
        )
        ctx.exit(1)


def _plain(found: "FoundRecord") -> dict[str, Any]:
    session = found.session
    return {
        "record": found.record,
        "errors": found.errors,
        "transaction": {"transaction_id": found.transaction_id, "operations": found.transaction},
        "session": {
            "session_id": found.session_id,
            "events": len(session),
            "first": session[0].get("timestamp") if session else None,
            "last": session[-1].get("timestamp") if session else None,
        },
    }


def _lines(found: "FoundRecord", width: int | None) -> Iterator[str]:
    yield event_line(found.record, width)
    yield ""
    yield from _tree(found.record, 0)
    for error in found.errors:
        if error is not found.record and error.get("event_id") != found.record.get("event_id"):
            yield ""
            yield click.style("error", bold=True)
            yield from _tree(error, 1, but=("operation_in_progress", "operation_id"))
    if found.transaction_id is not None:
        operations = count(len(found.transaction), "operation")
        yield ""
        yield click.style(f"transaction {safe(found.transaction_id)}: {operations}", bold=True)
        for one in found.transaction:
            mark = "→ " if one.get("event_id") == found.record.get("event_id") else "  "
            yield mark + event_line(one, None if width is None else width - 2)
    if found.session_id is not None and found.session:
        ends = (found.session[0], found.session[-1])
        first, last = (str(one.get("timestamp"))[:19] for one in ends)
        yield ""
        yield click.style(
            f"session {safe(found.session_id)}: {count(len(found.session), 'event')}, "
            f"{safe(first)} to {safe(last)}",
            bold=True,
        )
        bound = context_line(found.session)
        if bound:
            yield fit(f"  {bound}", width)
        yield f"  leadlog session {safe(found.session_id)}"


def _tree(stored: Mapping[str, Any], depth: int, *, but: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a record as uncut lines `key: value`; null and empty values are left out."""
    indent = "  " * depth
    for key, inner in stored.items():
        if key in but or _is_empty(inner):
            continue
        name = f"{indent}{safe(str(key))}:"
        if key == "fields_changed" and isinstance(inner, Mapping):
            yield name
            for column, cell in inner.items():
                yield f"{indent}  {safe(str(column))}: {change(cell, None)}"
        elif isinstance(inner, Mapping):
            yield name
            yield from _tree(inner, depth + 1, but=but)
        elif isinstance(inner, str) and "\n" in inner:
            yield name
            yield from (f"{indent}  {safe(line)}" for line in inner.splitlines())
        else:
            yield f"{name} {value(inner, None)}"


def _is_empty(stored: Any) -> bool:
    if isinstance(stored, Mapping):
        return all(map(_is_empty, stored.values()))
    return stored is None or stored == []

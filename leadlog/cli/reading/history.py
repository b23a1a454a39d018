"""`leadlog history`: who did what to one lead, when, and what became of it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from leadlog.cli.options import directory_option, existing_log, json_option, moment_option
from leadlog.cli.reading.indexed import opened_index
from leadlog.cli.reading.skipped import collect_nothing, say_skipped
from leadlog.cli.terminal import message, print_json, safe
from leadlog.reading.change import change_of
from leadlog.reading.events import Event, Skipped
from leadlog.reading.history import (
    Entry,
    Histories,
    History,
    pushdown_for,
    pushdown_for_email,
    sealed_keys,
)
from leadlog.reading.history import history as history_of
from leadlog.reading.index import Index, IndexUnavailableError, events_of_row
from leadlog.reading.merged import read_merged

__all__ = ["history"]

_VALUE_LIMIT = 100
_KEYS_ASKED = 20_000  # to name one like the one that was asked for
_WORDS = {"create": "created", "update": "updated", "delete": "deleted", "read": "read"}
_COLOURS = {"create": "green", "update": "yellow", "delete": "red"}


@click.command()
@click.argument("lead_id", required=False)
@click.option("--email", metavar="ADDRESS", help="The lead that had this e-mail address.")
@click.option("--entity", metavar="NAME", help="Only rows of this mapped class.  [default: any]")
@click.option("--reads", is_flag=True, help="Also calls that only read it.")
@moment_option("--since", "Only what ended at TIME or later.")
@moment_option("--until", "Only what ended before TIME.")
@directory_option
@json_option
@click.pass_context
def history(
    ctx: click.Context,
    *,
    lead_id: str | None,
    email: str | None,
    entity: str | None,
    reads: bool,
    since: str | None,
    until: str | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Show who did what to a lead, when, and what became of it.

    LEAD_ID is the primary key; parts of a composite one are joined by a comma. Rows of several
    classes with the same key are shown one after the other. Calls that failed or were rolled back
    are shown greyed: they changed nothing. So are calls on rows that they do not name, which may
    have changed it.

    \b
    Examples:
      leadlog history 01a21a1f-cf1e-77d7-9c1d-b89d66fd81f2
      leadlog history --email ana@acme.com --since 7d
      leadlog history 17 --entity Customer --reads
      leadlog history 17 --json | jq '.[].entries[].changes'

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.

    Exits with 1 when the log knows no such lead.
    """  # noqa: D301 - click wants real backspaces
    if (lead_id is None) == (email is None):
        raise click.UsageError("name the lead by LEAD_ID or by --email ADDRESS, one of them", ctx)
    root = existing_log(directory)
    collect_nothing(ctx)
    found: list[Histories] = []
    skipped = Skipped()
    keys = [lead_id] if lead_id is not None else _keys_of(root, str(email), entity)
    with opened_index(root) as index:
        for key in keys:
            skipped = Skipped()
            found.append(
                history_of(
                    (event.data for event in _events(root, key, index, skipped)),
                    key,
                    entity=entity,
                    reads=reads,
                    since=since,
                    until=until,
                    others=_other_keys(root, index),
                )
            )
    rows = [row for one in found for row in one.rows]
    if as_json:
        print_json([_plain(row) for row in rows])
    else:
        for row in rows:
            _show(row)
    say_skipped(skipped)
    if not rows:
        _say_why_nothing(found, lead_id, email)
        ctx.exit(1)


def _events(root: Path, key: str, index: Index | None, skipped: Skipped) -> Iterable[Event]:
    pushdown = pushdown_for(key)
    if index is not None:
        with suppress(IndexUnavailableError):
            return events_of_row(root, index, key, pushdown=pushdown, skipped=skipped)
    return read_merged(root, tuple(pushdown), skipped=skipped, pushdown=pushdown)


def _other_keys(root: Path, index: Index | None) -> Iterator[str]:
    if index is not None:
        with suppress(IndexUnavailableError):
            yield from index.keys(_KEYS_ASKED)
    yield from sealed_keys(root)


def _keys_of(root: Path, email: str, entity: str | None) -> list[str]:
    """Keys of the rows that ever had an e-mail address, in whatever case."""
    wanted = email.strip().casefold()
    keys: dict[str, None] = {}
    for event in read_merged(root, ("database_operations",), pushdown=pushdown_for_email(wanted)):
        change = change_of(event.data)
        if change is None or change.key is None or entity not in (None, change.entity):
            continue
        addresses = [event.data["lead_identifier"].get("email")]
        cell = (change.columns or {}).get("email")
        addresses += cell.values() if isinstance(cell, dict) else ()
        if any(isinstance(one, str) and one.casefold() == wanted for one in addresses):
            keys[change.key] = None
    return list(keys)


def _plain(found: History) -> dict[str, Any]:
    entries = []
    for entry in found.entries:
        misfits = {
            name: None if misfit is None else misfit._asdict()
            for name, misfit in (("gap", entry.gap), ("lost_update", entry.lost_update))
        }
        entries.append({**asdict(entry), **misfits})
    return {
        "entity": found.entity or None,
        "lead_id": found.key,
        "entries": entries,
        "doubts": [doubt._asdict() for doubt in found.doubts],
    }


def _show(found: History) -> None:
    click.secho(f"{safe(found.entity or 'no class')} {safe(found.key)}", bold=True)
    users = {entry.event_id: entry.user for entry in found.entries}
    for entry in found.entries:
        for line in _lines(entry, users):
            click.echo(line if _shown(entry) else click.style(line, dim=True))
    if found.doubts:
        last = found.doubts[-1]
        message(
            f"{len(found.doubts)} times the log tells of lost records, or of calls on rows of no "
            f"known class, that may have changed it, the last at {last.at} (event {last.event_id})"
        )


def _shown(entry: Entry) -> bool:
    return entry.effective or entry.kind == "read"


def _lines(entry: Entry, users: Mapping[str, str | None]) -> Iterator[str]:
    if entry.gap is not None:
        yield click.style(f"  {'':26}  something in between is not in the log", fg="red")
        for column, (told, really) in entry.gap.columns.items():
            yield f"  {'':26}    {safe(column)}: {_value(told)} had become {_value(really)}"
    kind = _WORDS.get(entry.kind or "", "changed")
    if _shown(entry):
        kind = click.style(kind.ljust(8), fg=_COLOURS.get(entry.kind or ""))
    parts = [
        safe(entry.at.replace("T", " ")[:26]),
        kind.ljust(8),
        safe(entry.outcome or "unknown").ljust(11),
        safe(entry.operation),
        *_who(entry),
    ]
    if entry.rows is not None:
        parts.append(f"with {entry.rows} {'row' if entry.rows == 1 else 'rows'} in all")
    if not _shown(entry):
        perhaps = entry.outcome == "unknown" or not entry.named
        parts.append("may have changed it" if perhaps else "changed nothing")
    yield "  " + "  ".join(parts).rstrip()
    for column, cell in entry.changes.items():
        yield f"  {'':26}    {safe(str(column))}: {_change(cell)}"
    if entry.lost_update is not None:
        lost = entry.lost_update
        user = users.get(lost.overwritten)
        who = f" by {safe(user)}" if user else ""
        yield click.style(
            f"  {'':26}    lost update: it overwrote the change{who}, which it had not read "
            f"(event {safe(lost.overwritten)})",
            fg="red",
        )
        for column, (value, read) in lost.columns.items():
            told = f"{_value(value)} was lost, {_value(read)} was read"
            yield f"  {'':26}      {safe(column)}: {told}"
    if entry.error:
        yield f"  {'':26}    {_cut(safe(entry.error))}"


def _who(entry: Entry) -> Iterator[str]:
    if entry.user is not None:
        yield f"by {safe(entry.user)}"
    for name, value in entry.context.items():
        yield f"{safe(str(name))}={safe(str(value))}"
    if entry.session_id:
        yield f"session {safe(entry.session_id)}"


def _change(cell: Any) -> str:
    if not isinstance(cell, Mapping) or not cell:
        return "written by the database"
    if "new" not in cell:
        return f"was {_value(cell['old'])}"
    if "old" not in cell:
        return _value(cell["new"])
    return f"{_value(cell['old'])} → {_value(cell['new'])}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _cut(safe(value)) if value else '""'
    return _cut(safe(orjson.dumps(value).decode()))


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 1]}…"


def _say_why_nothing(found: list[Histories], lead_id: str | None, email: str | None) -> None:
    near = [key for one in found for key in one.near]
    if email is not None:
        message(f"no call on a lead with the e-mail address {email} is in the log")
    elif near:
        message(f"no call on {lead_id} is in the log; did you mean {', '.join(near)}?")
    elif lead_id is not None and "@" in lead_id:
        message(f"no call on {lead_id} is in the log; an e-mail address goes with --email")
    else:
        message(
            f"no call on {lead_id} is in the log, or none at that time; `leadlog tail` shows what "
            "is there"
        )

"""`leadlog history`: the calls on one row, with user, time and outcome."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from leadlog.cli.options import directory_option, existing_log, json_option, moment_option
from leadlog.cli.reading.event_line import change, value
from leadlog.cli.reading.indexed import opened_index
from leadlog.cli.reading.skipped import collect_nothing, say_skipped
from leadlog.cli.terminal import (
    Styled,
    count,
    fit,
    line,
    message,
    print_json,
    safe,
    terminal_width,
)
from leadlog.reading.addresses import keys_with_address
from leadlog.reading.events import Event, Skipped
from leadlog.reading.history import (
    Entry,
    Histories,
    History,
    pushdown_for,
    sealed_keys,
)
from leadlog.reading.history import history as history_of
from leadlog.reading.index import Index, IndexUnavailableError, events_of_row
from leadlog.reading.merged import read_merged

__all__ = ["history"]

_VALUE_LIMIT = 100
_NARROW = 100
_KEYS_ASKED = 20_000  # candidates for "did you mean …?"
_WORDS = {"create": "created", "update": "updated", "delete": "deleted", "read": "read"}
_COLOURS = {"create": "green", "update": "yellow", "delete": "red"}


@click.command()
@click.argument("lead_id", required=False)
@click.option("--email", metavar="ADDRESS", help="The lead that had this e-mail address.")
@click.option("--entity", metavar="NAME", help="Only rows of this mapped class.  [default: any]")
@click.option("--reads", is_flag=True, help="Also show calls that only read it.")
@moment_option("--since", "Only events that ended at TIME or later.")
@moment_option("--until", "Only events that ended before TIME.")
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
    """Show who did what to a row, when, and with what outcome.

    LEAD_ID is the primary key; the parts of a composite key are joined by commas. Rows of several
    classes with the same key are shown one after the other. Calls that failed or were rolled back
    are greyed: they changed nothing. So are calls that do not name their rows, which may have
    changed it.

    \b
    Examples:
      leadlog history 01a21a1f-cf1e-77d7-9c1d-b89d66fd81f2
      leadlog history --email ana@acme.com --since 7d
      leadlog history 17 --entity Customer --reads
      leadlog history 17 --json | jq '.[].entries[].changes'

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.

    Exits with 1 when the log has no such lead.
    """  # noqa: D301 - click wants real backspaces
    if (lead_id is None) == (email is None):
        raise click.UsageError("name the lead either by LEAD_ID or by --email ADDRESS", ctx)
    root = existing_log(directory)
    collect_nothing(ctx)
    found: list[Histories] = []
    skipped = Skipped()
    with opened_index(root) as index:
        keys = [lead_id] if lead_id is not None else _keys_of(root, str(email), entity, index)
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


def _keys_of(root: Path, email: str, entity: str | None, index: Index | None) -> list[str]:
    if index is not None:
        with suppress(IndexUnavailableError):
            return keys_with_address(root, email, entity=entity, index=index)
    return keys_with_address(root, email, entity=entity)


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
    width = terminal_width()
    for entry in found.entries:
        for one in _lines(entry, users, width):
            click.echo(one if _shown(entry) else click.style(one, dim=True))
    if found.doubts:
        last = found.doubts[-1]
        message(
            f"{count(len(found.doubts), 'time')} the log notes lost records, or calls on rows of "
            f"an unknown class, that may have changed it, the last at "
            f"{last.at} (event {last.event_id})"
        )


def _shown(entry: Entry) -> bool:
    return entry.effective or entry.kind == "read"


def _lines(entry: Entry, users: Mapping[str, str | None], width: int | None) -> Iterator[str]:
    narrow = width is not None and width < _NARROW
    below = " " * (9 if narrow else 30)

    def told(text: str, colour: str | None = None) -> str:
        return click.style(
            below + fit(text, None if width is None else width - len(below)), fg=colour
        )

    if entry.gap is not None:
        yield told("something in between is not in the log", "red")
        for column, (was, really) in entry.gap.columns.items():
            yield told(f"  {safe(column)}: {value(was)} had become {value(really)}")
    shown = _shown(entry)
    parts: list[Styled | str] = [
        "  " + safe(entry.at.replace("T", " ")[: 19 if narrow else 26]),
        Styled(
            _WORDS.get(entry.kind or "", "changed").ljust(8),
            {"fg": _COLOURS.get(entry.kind or "")} if shown else {},
        ),
        safe(entry.outcome or "unknown").ljust(11),
        safe(entry.operation),
        *_who(entry),
    ]
    if entry.rows is not None:
        parts.append(f"with {count(entry.rows, 'row')} in all")
    if not shown:
        perhaps = entry.outcome == "unknown" or not entry.named
        parts.append("may have changed it" if perhaps else "changed nothing")
    yield line(parts, width)
    if entry.renamed is not None:
        before, after = entry.renamed["from"], entry.renamed["to"]
        new = "one that only the database knows" if after is None else safe(after)
        yield told(f"key: {safe(before or '')} → {new}")
    for name, cell in entry.changes.items():
        yield told(f"{safe(str(name))}: {change(cell, _VALUE_LIMIT)}")
    if entry.lost_update is not None:
        lost = entry.lost_update
        user = users.get(lost.overwritten)
        who = f" by {safe(user)}" if user else ""
        yield told(f"lost update: it overwrote the change{who}, which it had not read", "red")
        yield told(f"  event {safe(lost.overwritten)}")
        for column, (written, read) in lost.columns.items():
            yield told(f"  {safe(column)}: {value(written)} was lost, {value(read)} was read")
    if entry.error:
        yield told(safe(entry.error), "red")


def _who(entry: Entry) -> Iterator[str]:
    if entry.user is not None:
        yield f"by {safe(entry.user)}"
    for name, bound in entry.context.items():
        yield f"{safe(str(name))}={value(bound)}"
    if entry.session_id:
        yield f"session {safe(entry.session_id)}"


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

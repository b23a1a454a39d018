"""`leadlog query`: query the log with SQL."""

import csv
import sys
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click
import orjson

from leadlog.cli.options import (
    directory_option,
    log_directory,
    moment_option,
    note_export,
    source_directory,
)
from leadlog.cli.terminal import count, fit, message, safe, safe_json, table
from leadlog.core.files import output_file
from leadlog.reading.query import Limits, Rows, run_query
from leadlog.reading.values import json_text, plain

__all__ = ["query"]

_ROWS_SHOWN = 1_000
_CELL = 80
_MOST_SECONDS = 7 * 86_400
_MOST_MB = 1_000_000


def _parameters(
    ctx: click.Context, parameter: click.Parameter, given: Iterable[str]
) -> dict[str, Any]:
    found = {}
    for one in given:
        name, sign, text = one.partition("=")
        if not sign or not name.isidentifier():
            raise click.BadParameter(f"{one!r} is not name=value", ctx, parameter)
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = text
        found[name] = text if isinstance(value, list | dict) else value
    return found


@click.command()
@click.argument("sql")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parameters,
    help="The value of $NAME in the SQL; may be given several times.",
)
@moment_option("--since", "Only events that ended at TIME or later.")
@moment_option("--until", "Only events that ended before TIME.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "parquet"]),
    help="How to print the rows.  [default: table on a terminal, else json]",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE instead; required for parquet on a terminal.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=_MOST_SECONDS),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of the query.",
)
@click.option(
    "--memory",
    type=click.IntRange(min=64, max=_MOST_MB),
    default=512,
    show_default=True,
    metavar="MB",
    help="Memory limit of the query.",
)
@directory_option
@click.option(
    "--source",
    metavar="URL",
    help="An object store that `leadlog ship` wrote, s3://bucket/prefix, instead of the log "
    "directory.",
)
def query(
    *,
    sql: str,
    parameters: dict[str, Any],
    since: str | None,
    until: str | None,
    form: str | None,
    output: Path | None,
    timeout: float,
    memory: int,
    directory: Path | None,
    source: str | None,
) -> None:
    """Ask the log in SQL (DuckDB's dialect).

    \b
    Tables:
      operations, syncs, migrations, performance, errors, monitoring
                            one column per key, named as in the records
      database_operations, sync_operations, ...
                            the records as they are: operation_details.success
      events                what all records have in common

    \b
    Examples:
      leadlog query "SELECT operation_type, count(*) FROM operations GROUP BY ALL"
      leadlog query "SELECT * FROM errors ORDER BY timestamp DESC LIMIT 5" --since 2h
      leadlog query 'SELECT * FROM operations WHERE lead_id = $id' --param id=17
      leadlog query "FROM syncs" --since yesterday --format parquet -o syncs.parquet
      leadlog query "FROM errors" --source s3://logs/leads --since 2026-11-01

    Files of other days than --since and --until ask for are not opened. The SQL runs in a process
    of its own that can read these tables and nothing else, and ends at its limits.

    TIME is 2026-11-23T10:00:00Z, 2026-11-23, yesterday, or 2h for two hours ago.
    """  # noqa: D301 - click wants real backspaces
    form = form or ("table" if sys.stdout.isatty() and output is None else "json")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet is not text; name a file with --output, or use a pipe")
    limits = Limits(timeout, memory)
    with (
        source_directory(directory, source, since, until) as root,
        run_query(root, sql, parameters, since=since, until=until, limits=limits) as rows,
    ):
        if output is None:
            _WRITERS[form](rows, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with output_file(output) as stream:
                _WRITERS[form](rows, stream)
            note_export(log_directory(directory) if source else root, output)
    if rows.first_damaged is not None:
        path, offset = rows.first_damaged
        message(
            f"skipped {count(rows.damaged_lines, 'damaged line')}, the first in {path} at byte "
            f"{offset}; "
            "`leadlog doctor --lines` shows them"
        )


def _objects(rows: Rows) -> Iterable[dict[str, Any]]:
    return chain.from_iterable(batch.to_pylist() for batch in rows.reader)


def _table(rows: Rows, out: Any) -> None:
    names = rows.reader.schema.names
    found = _objects(rows)
    shown = [[_cell(one[name]) for name in names] for one in islice(found, _ROWS_SHOWN)]
    right = [
        number
        for number, field in enumerate(rows.reader.schema)
        if str(field.type).startswith(("int", "uint", "double", "float", "decimal"))
    ]
    for line in table(shown, names, right=right):
        out.write(line.encode() + b"\n")
    rest = sum(1 for _ in found)
    if rest:
        message(f"{count(rest, 'more row')}; --format json or csv prints all of them")


def _cell(value: Any) -> str | None:
    value = plain(value)
    if value is None:
        return None
    return fit(safe(_text(value)), _CELL)


def _json_lines(rows: Rows, out: Any) -> None:
    """Print a JSON array with one row per line; each line without its comma is valid JSON."""
    begin = b"["
    for one in _objects(rows):
        out.write(begin + safe_json(json_text(one)))
        begin = b",\n "
    out.write(b"[]\n" if begin == b"[" else b"]\n")


def _csv(rows: Rows, out: Any) -> None:
    import io

    shown = out is sys.stdout.buffer and sys.stdout.isatty()
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n")
        names = rows.reader.schema.names
        writer.writerow(map(safe, names) if shown else names)
        for one in _objects(rows):
            row = [_field(one[name]) for name in names]
            # Escape control characters only for a terminal; a file or a pipe gets the raw value.
            writer.writerow([safe(one) if shown and isinstance(one, str) else one for one in row])
    finally:
        text.detach()


def _field(value: Any) -> Any:
    value = plain(value)
    return value if value is None or type(value) in {str, int, float} else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value).decode().strip('"')


def _parquet(rows: Rows, out: Any) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(out, rows.reader.schema, compression="zstd") as writer:
        for batch in rows.reader:
            writer.write_batch(batch)


_WRITERS: dict[str, Callable[[Rows, Any], None]] = {
    "table": _table,
    "json": _json_lines,
    "csv": _csv,
    "parquet": _parquet,
}

"""`leadlog sync push`, `leadlog sync pull`, `leadlog sync both` and `leadlog sync retry`."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from leadlog.cli.db.state import opened
from leadlog.cli.options import database_option, directory_option, json_option, log_directory
from leadlog.cli.terminal import message, print_json, safe, shows_progress, table
from leadlog.cli.training.expected import say_expected

__all__ = ["both", "pull", "push", "retry"]

F = TypeVar("F", bound=Callable[..., Any])
Run = Callable[[Any, bool], Any]

_SHOWN = 20
_CUT = 60
_LONGEST = 600.0


def _run_options(function: F) -> F:
    for option in (
        json_option,
        click.option(
            "--watch",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Repeat forever, with this many seconds between runs.",
        ),
        click.option(
            "--deletes",
            type=click.Choice(["guarded", "apply", "undo"]),
            default="guarded",
            show_default=True,
            help="For many deletes: hold them back, apply them, or restore what they would delete.",
        ),
        click.option("--dry-run", is_flag=True, help="Change nothing; show what would be done."),
        directory_option,
        database_option,
    ):
        function = option(function)
    return function


@click.command()
@click.argument("lead_ids", nargs=-1, metavar="[LEAD_ID]...")
@_run_options
@click.pass_context
def push(ctx: click.Context, /, *, lead_ids: tuple[str, ...], **options: Any) -> None:
    """Send changes in the store to Airtable: new rows, changed fields, deleted rows.

    With LEAD_IDs, only these leads. Exits with 1 when leads failed.

    \b
    Examples:
      leadlog sync push
      leadlog sync push --dry-run --json | jq .outcomes
    """  # noqa: D301 - click wants real backspaces
    wanted = list(lead_ids) or None
    options["kind"] = "to_airtable"
    _command(ctx, lambda manager, dry: manager.sync_to_airtable(wanted, dry_run=dry), **options)


@click.command()
@click.option("--limit", type=click.IntRange(min=0), help="Change at most N leads.  [default: all]")
@_run_options
@click.pass_context
def pull(ctx: click.Context, /, *, limit: int | None, **options: Any) -> None:
    """Apply changes in Airtable to the store: new leads, changed fields, deleted leads.

    Only the id of each lead is written to the table. Exits with 1 when leads failed.

    \b
    Examples:
      leadlog sync pull
      leadlog sync pull --limit 100 --dry-run
    """  # noqa: D301 - click wants real backspaces
    options["kind"] = "from_airtable"
    _command(ctx, lambda manager, dry: manager.sync_from_airtable(limit, dry_run=dry), **options)


@click.command()
@_run_options
@click.pass_context
def both(ctx: click.Context, /, **options: Any) -> None:
    """Sync both sides, field by field.

    A field changed on both sides is a conflict: the later edit wins, and both values are logged.
    Exits with 1 when leads failed.

    \b
    Examples:
      leadlog sync both
      leadlog sync both --watch 300
    """  # noqa: D301 - click wants real backspaces
    options["kind"] = "bidirectional"
    _command(ctx, lambda manager, dry: manager.bidirectional_sync(dry_run=dry), **options)


@click.command()
@_run_options
@click.pass_context
def retry(ctx: click.Context, /, **options: Any) -> None:
    """Retry only the leads that were set aside because they failed.

    Exits with 1 when leads failed again.

    \b
    Examples:
      leadlog sync retry
    """  # noqa: D301 - click wants real backspaces
    _command(ctx, lambda manager, dry: manager.retry_failed_syncs(dry_run=dry), **options)


def _command(
    ctx: click.Context,
    run: Run,
    *,
    database: str | None,
    directory: Path | None,
    dry_run: bool,
    watch: float | None,
    deletes: str,
    as_json: bool,
    kind: str | None = None,
) -> None:
    import leadlog

    leadlog.configure(directory=directory, database=database)
    with opened(database, capture=True) as store, _Bar() as bar:
        manager = leadlog.AirtableSyncManager(store, progress=bar, deletes=deletes)
        if kind is not None and watch is None and not (dry_run or as_json):
            say_expected(log_directory(directory), f"sync.{kind}")
        if watch is not None:
            _watch(lambda: run(manager, dry_run), bar, watch, as_json=as_json)
        result = run(manager, dry_run)
        bar.close()
        _tell(result, as_json=as_json)
    ctx.exit(1 if result.failed or not result.success else 0)


def _tell(result: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(result.as_dict())
    else:
        _show(result)


def _watch(run: Callable[[], Any], bar: "_Bar", seconds: float, *, as_json: bool) -> NoReturn:
    """Repeat runs despite failures; only an error that waiting cannot fix ends the watch.

    A problem is reported once until it changes, and so is recovery. After each failure the wait
    grows, up to ten minutes; when another sync of the store is running, the wait is the normal
    one.
    """
    from sqlalchemy.exc import OperationalError

    import leadlog

    said: str | None = None
    failures = 0
    while True:
        problem: str | None = None
        try:
            result = run()
        except (leadlog.QuotaError, leadlog.SettingsError):
            raise
        except leadlog.SyncBusyError as error:
            problem = str(error)
            failures = 0
        except (leadlog.LeadlogError, OperationalError, OSError) as error:
            problem = str(error)
            failures += 1
        else:
            failures = 0
            if result.error is None or result.error != said:
                bar.close()
                _tell(result, as_json=as_json)
            if result.error is not None:
                said = result.error
            elif said is not None:
                message("the sync works again")
                said = None
        if problem is not None and problem != said:
            bar.close()
            message(f"{problem}; the watch continues")
            said = problem
        time.sleep(seconds if failures == 0 else min(max(seconds, 1.0) * 2**failures, _LONGEST))


class _Bar:
    """Progress bar of a sync run, drawn only on a terminal."""

    def __init__(self) -> None:
        self._wanted = shows_progress()
        self._bar: Any = nullcontext()
        self._what = ""

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show the progress; the signature is `leadlog.leads.airtable.context.Progress`."""
        if not self._wanted:
            return
        if what != self._what:
            self.close()
            self._what = what
            self._bar = click.progressbar(length=total or 0, label=what, file=sys.stderr)
            self._bar.__enter__()
        self._bar.length = max(total or 0, done)
        self._bar.update(done - self._bar.pos)

    def close(self) -> None:
        """Close the progress bar, if one is shown."""
        if self._what:
            self._bar.__exit__(None, None, None)
            self._what = ""


def _show(result: Any) -> None:
    counts, wire = result.counts(), result.wire
    what = "Would do (dry run, nothing was changed)" if result.dry_run else "Did"
    click.secho(f"{what}: {result.sync_type}, {result.duration_ms / 1e3:.2f} s", bold=True)
    rows = [(key.replace("_", " "), number) for key, number in counts.items() if number]
    for line in table(rows, right=(1,)):
        click.echo(f"  {line}")
    if wire.throttle_wait_seconds or wire.backoff_wait_seconds:
        click.echo(
            f"  waited {wire.throttle_wait_seconds:.1f} s for Airtable's rate and "
            f"{wire.backoff_wait_seconds:.1f} s after errors"
        )
    told = [
        one
        for one in sorted(result.outcomes, key=lambda one: one.status)
        if result.dry_run or one.status != "synced"
    ]
    if told:
        click.echo("")
        _outcomes(told)
    for conflict in result.conflicts[:_SHOWN]:
        for one in conflict.fields:
            click.echo(
                f"conflict in {one.field} of {safe(conflict.lead_id)}: here "
                f"{_cut(one.local)}, there {_cut(one.remote)}; {one.winner} wins ({one.reason})"
            )
    if result.error:
        click.secho(safe(result.error), fg="red", bold=True)


def _outcomes(told: list[Any]) -> None:
    rows = [
        (
            one.name or one.lead_id or one.record_id,
            one.status,
            ", ".join(one.actions) or None,
            ", ".join([*one.push, *one.pull]) or None,
            None if one.reason is None else _cut(one.reason),
        )
        for one in told[:_SHOWN]
    ]
    for line in table(rows, ("lead", "status", "actions", "fields", "reason")):
        click.echo(line)
    if len(told) > _SHOWN:
        click.echo(f"… and {len(told) - _SHOWN} more (--json has all)")


def _cut(value: object) -> str:
    text = safe(str(value))
    return text if len(text) <= _CUT else f"{text[: _CUT - 1]}…"

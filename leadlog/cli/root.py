"""The root command group, which lists its commands without importing them."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from leadlog.core import errors
from leadlog.core.doors import command_line

__all__ = ["COMMANDS", "LazyGroup", "root"]

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("leadlog.cli.demo.demo:demo", "Run the main job on made-up leads, or on your own."),
    "migrate": ("leadlog.cli.migrate.run:migrate", "Migrate files of leads into the store."),
    "tail": ("leadlog.cli.reading.tail:tail", "Show the last events, and follow new ones."),
    "show": (
        "leadlog.cli.reading.show:show",
        "Show one record with its error, transaction and session.",
    ),
    "query": ("leadlog.cli.reading.query:query", "Query the log with SQL."),
    "errors": ("leadlog.cli.reading.errors:errors", "Show what goes wrong, by cause."),
    "slow": ("leadlog.cli.reading.slow:slow", "Show where the time goes."),
    "session": ("leadlog.cli.reading.session:session", "Show everything that one session did."),
    "batches": ("leadlog.cli.reading.batches:batches", "Show the sync's throughput by batch size."),
    "history": ("leadlog.cli.reading.history:history", "Show who did what to a lead, and when."),
    "replay": ("leadlog.cli.reading.replay:replay", "Print the leads as of a point in time."),
    "verify": ("leadlog.cli.reading.verify:verify", "Compare the log with the database."),
    "summary": ("leadlog.cli.reading.summary:summary", "Sum up a day, a week or any days."),
    "report": (
        "leadlog.cli.reading.report:report",
        "Write a period of the log as one HTML file.",
    ),
    "top": ("leadlog.cli.top.top:top", "Watch operations and errors in the terminal."),
    "doctor": ("leadlog.cli.maintenance.doctor:doctor", "Check settings, log directory and log."),
    "health": (
        "leadlog.cli.monitor.health:health",
        "Check store, Airtable, sync, log and operations.",
    ),
    "trends": ("leadlog.cli.reading.trends:trends", "Show latency over days, and when it changed."),
    "recover": (
        "leadlog.cli.maintenance.recover:recover",
        "Recover events that killed processes left in memory.",
    ),
    "drain": (
        "leadlog.cli.maintenance.drain:drain",
        "Write the log for all processes, as a sidecar.",
    ),
    "monitor": (
        "leadlog.cli.monitor.monitor:monitor",
        "Watch the log: metrics, checks and alerts.",
    ),
    "dashboard": (
        "leadlog.cli.monitor.dashboard:dashboard",
        "View the log live in a browser.",
    ),
    "ship": (
        "leadlog.cli.ship:ship",
        "Ship the log to Elasticsearch, Splunk, OpenTelemetry or S3.",
    ),
    "alerts": ("leadlog.cli.alerts:alerts", "Show, silence and test alerts."),
    "db": ("leadlog.cli.db:db", "Maintain the lead store: backups, checks, quality, duplicates."),
    "archive": (
        "leadlog.cli.maintenance.archive:archive",
        "Compress, seal and remove old log files.",
    ),
    "erase": ("leadlog.cli.maintenance.erase:erase", "Erase a person from the log."),
    "sync": ("leadlog.cli.sync:sync", "Keep the lead store and an Airtable table in sync."),
    "dataset": (
        "leadlog.cli.training.dataset:dataset",
        "Write training data from the log, and check it.",
    ),
    "learn": ("leadlog.cli.training.learn:learn", "Train a model; keep it only if it helps."),
    "anomalies": (
        "leadlog.cli.training.anomalies:anomalies",
        "Show runs that took unusually long.",
    ),
    "predict": ("leadlog.cli.training.learn:predict", "Predict a call's outcome with a model."),
    "completion": ("leadlog.cli.completion:completion", "Print the completion script for a shell."),
}
"""Command name to its location and one-line help, in the order of `leadlog --help`."""

INTERRUPTED = 130
PIPE_CLOSED = 141


class LazyGroup(click.Group):
    """A click group that imports a command only when it runs.

    Args:
        lazy: command name to (`module:attribute`, one-line help).
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, in the order of their definition."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for an unknown name suggests the closest match."""
        name = args[0]
        if name not in self._lazy and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, self._lazy, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(self._lazy)}."
            ctx.fail(f"No such command {name!r}. {hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete command names without importing the commands."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


class _Usage(click.ClickException):
    exit_code = 2


class _Unreadable(click.ClickException):
    exit_code = 3


class Root(LazyGroup):
    """The root group, which turns errors into a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and map its errors to exit codes."""
        try:
            with command_line():
                result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence_stdout()
            ctx.exit(PIPE_CLOSED)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except (errors.LeadlogError, OSError) as error:
            usage = isinstance(error, ValueError)  # a setting, an expression, a field
            raise (_Usage if usage else _Unreadable)(_safe(error)) from error
        return result


def _safe(error: BaseException) -> str:
    from leadlog.cli.terminal import safe
    from leadlog_processors.masking import mask_text

    return safe(mask_text(str(error)))


def _silence_stdout() -> None:
    """Redirect standard output to the null device, so the final flush does not fail again."""
    with suppress(OSError):  # a stream without a descriptor is not a pipe
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import leadlog

        try:
            version = leadlog.__version__
        except ImportError:  # run from a source tree that was never installed
            version = "(not installed)"
        click.echo(f"leadlog {version}")
        ctx.exit()


@click.group(
    cls=Root,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command has --json and its own --help. Settings: `leadlog doctor`.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def root(ctx: click.Context) -> None:
    """The flight recorder of SQLAlchemy applications.

    Every read, write, request and task becomes one labelled JSON line, in one folder for each
    category. These commands make, read and check the lines.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False
    # Escape characters that the encoding lacks, instead of failing on them.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")

"""Instrumented click and Typer commands, called by their own runners."""

from collections.abc import Callable
from typing import Annotated, Any

import click
import pytest
import sqlalchemy as sa
import typer
from click.testing import CliRunner
from sqlalchemy.orm import Session
from typer.testing import CliRunner as TyperRunner

import leadlog
from tests.instrument.models import Base, Deal

Logged = Callable[..., list[dict[str, Any]]]


def group(engine: sa.Engine) -> click.Group:
    """Return a group of commands that contains another group."""

    @click.group(invoke_without_command=True)
    @click.pass_context
    def shop(ctx: click.Context) -> None:
        if ctx.invoked_subcommand is None:
            click.echo("open")

    @shop.group()
    def deals() -> None:
        pass

    @deals.command()
    @click.argument("title")
    def rename(title: str) -> None:
        with Session(engine) as session:
            session.get_one(Deal, 3).title = title
            session.commit()
        click.echo("renamed")

    @deals.command()
    @click.option("--how", type=click.Choice(["exit", "usage", "error", "abort", "ctx"]))
    @click.pass_context
    def end(ctx: click.Context, how: str) -> None:
        if how == "exit":
            raise SystemExit(4)
        if how == "usage":
            raise click.UsageError("not like that")
        if how == "abort":
            raise click.Abort
        if how == "ctx":
            ctx.exit(0)
        raise RuntimeError("out of stock")

    return shop


def test_a_command_is_one_record_with_its_changes(
    engine: sa.Engine, requests: Logged, logged: Logged
) -> None:
    """A command is one record under its path with groups; the groups have none."""
    shop = group(engine)
    leadlog.instrument(shop, engine, Base, operations="update")
    done = CliRunner().invoke(shop, ["deals", "rename", "sold"])
    assert (done.exit_code, done.output) == (0, "renamed\n")
    (command,) = requests()
    (change,) = logged("database_operations")
    assert command["event_name"] == "command.run"
    assert command["operation_info"]["operation_name"] == "shop deals rename"
    assert (command["request_info"]["status"], command["level"]) == (0, "info")
    assert change["session_id"] == command["session_id"]
    assert change["context"] == {"command": "shop deals rename"}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("exit", (4, "failed", 0)),
        ("usage", (2, "failed", 0)),
        ("abort", (1, "cancelled", 0)),
        ("ctx", (0, "completed", 0)),
        ("error", (1, "failed", 1)),
    ],
)
def test_the_exit_code_is_the_status(
    how: str,
    expected: tuple[int, str, int],
    engine: sa.Engine,
    requests: Logged,
    logged: Logged,
) -> None:
    """However a command ends, click behaves as without leadlog; only a bug is an error."""
    shop, (code, outcome, errors) = group(engine), expected
    leadlog.instrument_click(shop)
    assert CliRunner().invoke(shop, ["deals", "end", "--how", how]).exit_code == code
    (command,) = requests()
    info = command["request_info"]
    assert (info["status"], info["outcome"]) == (code, outcome)
    assert len(logged("error_logs")) == errors


def test_a_group_that_is_called_alone_is_a_command(engine: sa.Engine, requests: Logged) -> None:
    """A group called without a subcommand is one record; after `release` it has none."""
    shop = group(engine)
    instrumented = leadlog.instrument(shop)
    assert CliRunner().invoke(shop, []).output == "open\n"
    assert CliRunner().invoke(shop, ["deals", "rename", "x"]).exit_code == 0
    names = [r["operation_info"]["operation_name"] for r in requests(2)]
    assert names == ["shop", "shop deals rename"]
    instrumented.release()
    assert CliRunner().invoke(shop, ["deals", "rename", "y"]).exit_code == 0
    requests(2)


def test_typer_commands_are_recorded(requests: Logged, logged: Logged) -> None:
    """Typer commands in groups, with annotated parameters, are recorded with their exit codes."""
    app, deals = typer.Typer(), typer.Typer()
    app.add_typer(deals, name="deals")

    @deals.command()
    def rename(title: Annotated[str, typer.Argument()], loud: bool = False) -> None:
        typer.echo(title.upper() if loud else title)

    @app.command()
    def fail() -> None:
        raise typer.Exit(3)

    instrumented = leadlog.instrument(app)
    assert TyperRunner().invoke(app, ["deals", "rename", "sold", "--loud"]).output == "SOLD\n"
    assert TyperRunner().invoke(app, ["fail"]).exit_code == 3
    instrumented.release()
    assert TyperRunner().invoke(app, ["fail"]).exit_code == 3
    done, failed = requests(2)
    assert done["operation_info"]["operation_name"].endswith("deals rename")
    assert (failed["request_info"]["status"], failed["request_info"]["outcome"]) == (3, "failed")
    assert logged("error_logs") == []

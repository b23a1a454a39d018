"""click and Typer: one record for each run of a command."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from leadlog.recording.instrument.work import RecordedWork, Recorder


def install(command: click.Command, recorder: Recorder) -> Callable[[], None]:
    """Record a click command, or all commands of a group.

    Args:
        command: the command or group on which `main` is called.
        recorder: begins the records.

    Returns:
        A function that undoes it.
    """
    undo = _follow(command, recorder)

    def release() -> None:
        recorder.active = False
        for one in undo:
            one()

    return release


def _follow(command: click.Command, recorder: Recorder) -> list[Callable[[], None]]:
    """Wrap `invoke` of a command, or of each command of a group when the group looks it up.

    A group that is only called for one of its commands is not recorded itself.
    """
    if isinstance(command, click.Group):
        find, found = command.get_command, dict[str, click.Command]()
        undo: list[Callable[[], None]] = []

        def get_command(ctx: click.Context, cmd_name: str) -> click.Command | None:
            one = find(ctx, cmd_name)
            if one is not None and recorder.active and found.get(cmd_name) is not one:
                found[cmd_name] = one
                undo.extend(_follow(one, recorder))
            return one

        command.get_command = get_command  # type: ignore[method-assign]
        undo.append(functools.partial(_restore, command, "get_command", get_command))
        callback = command.callback
        if callback is not None:
            command.callback = _alone(callback, recorder)
            undo.append(functools.partial(setattr, command, "callback", callback))
        return undo
    invoke = command.invoke

    def recorded(ctx: click.Context) -> Any:
        return run(recorder, ctx.command_path, functools.partial(invoke, ctx))

    command.invoke = recorded  # type: ignore[method-assign]
    return [functools.partial(_restore, command, "invoke", recorded)]


def _alone(callback: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """Return a group's own function wrapped to be recorded when it is called without a command."""

    @functools.wraps(callback)
    def call(*args: Any, **options: Any) -> Any:
        ctx, function = click.get_current_context(), functools.partial(callback, *args, **options)
        if ctx.invoked_subcommand is not None:
            return function()
        return run(recorder, ctx.command_path, function)

    return call


def _restore(command: click.Command, name: str, ours: Any) -> None:
    if vars(command).get(name) is ours:
        delattr(command, name)


def run(recorder: Recorder, path: str, function: Callable[[], Any]) -> Any:
    """Run a command and record it.

    Args:
        recorder: begins the record.
        path: the names of the command, beginning with the program.
        function: the function that runs it.
    """
    work = recorder.begin("command", "click", path, path, timed=True, context={"command": path})
    if work is None:
        return function()
    work.route = path
    work.__enter__()
    try:
        result = function()
    except BaseException as error:
        _judge(work, error)
        work.__exit__(None, None, None)
        raise
    work.status = 0
    work.__exit__(None, None, None)
    return result


def _judge(work: RecordedWork, error: BaseException) -> None:
    """Note the exit code and exception that click will derive from what a command raised.

    Typer includes its own copy of click, so classes are compared by name.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, SystemExit):
        code = error.code
        work.status = code if isinstance(code, int) else 0 if code is None else 1
    elif "Exit" in names:
        work.status = getattr(error, "exit_code", 0)
    elif names & {"Abort", "KeyboardInterrupt", "EOFError"}:
        work.status = 1
        work.outcome = "cancelled"
    else:
        expected = "ClickException" in names
        work.status = getattr(error, "exit_code", 1) if expected else 1
        work.fail(error, unhandled=not expected)
    if work.outcome is None:
        work.outcome = "completed" if work.status == 0 else "failed"


def install_typer(app: Any, recorder: Recorder) -> Callable[[], None]:
    """Record the commands registered so far in a Typer application.

    Args:
        app: the application.
        recorder: begins the records.

    Returns:
        A function that undoes it.
    """
    before = []
    for info in _commands(app):
        before.append((info, info.callback))
        info.callback = _recorded(info.callback, recorder)

    def undo() -> None:
        recorder.active = False
        for info, callback in before:
            info.callback = callback

    return undo


def _commands(app: Any) -> list[Any]:
    found = [info for info in app.registered_commands if info.callback is not None]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            found += _commands(group.typer_instance)
    return found


def _recorded(callback: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    @functools.wraps(callback)  # Typer reads the parameters through the wrapper
    def call(*args: Any, **options: Any) -> Any:
        return run(recorder, _path(callback), functools.partial(callback, *args, **options))

    return call


def _path(callback: Callable[..., Any]) -> str:
    """Return the command's path from click, or from Typer's own copy of click."""
    for module in ("typer._click.globals", "click.globals"):
        current = getattr(sys.modules.get(module), "get_current_context", None)
        ctx = None if current is None else current(silent=True)
        if ctx is not None:
            return str(ctx.command_path)
    return callback.__name__

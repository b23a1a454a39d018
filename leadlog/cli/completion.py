"""`leadlog completion`: click's completion script for a shell."""

import click

from leadlog.cli.options import json_option
from leadlog.cli.terminal import print_json

__all__ = ["completion"]

VARIABLE = "_LEADLOG_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script of SHELL.

    \b
    Examples:
      leadlog completion bash >> ~/.bashrc
      leadlog completion zsh >> ~/.zshrc
      leadlog completion fish > ~/.config/fish/completions/leadlog.fish
    """  # noqa: D301 - click wants real backspaces
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell!r}")
    script = kind(ctx.find_root().command, {}, "leadlog", VARIABLE).source()
    if as_json:
        print_json({"shell": shell, "variable": VARIABLE, "script": script})
    else:
        click.echo(script)

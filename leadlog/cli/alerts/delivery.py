"""`leadlog alerts test`: send a test message to every channel."""

from typing import Any

import click

from leadlog.cli.options import json_option
from leadlog.cli.terminal import message, print_json, safe

__all__ = ["test"]


@click.command()
@json_option
@click.pass_context
def test(ctx: click.Context, *, as_json: bool) -> None:
    """Send a test message to every channel, and report which accepted it.

    The channels are the Apprise URLs in LEADLOG_ALERTS_URLS (or the setting alerts_urls). Secrets
    are never shown.

    \b
    Examples:
      LEADLOG_ALERTS_URLS='json://localhost:8080/hook' leadlog alerts test

    Exits with 1 when a channel did not accept it.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.settings import load
    from leadlog.monitor.notification.channels import DeliveryError, channels

    found = channels(load().settings.alerts_urls)
    if not found:
        raise click.UsageError(
            "there is no channel; set LEADLOG_ALERTS_URLS to one or more Apprise URLs, "
            "for example mailto://user:password@example.com"
        )
    results: list[dict[str, Any]] = []
    for channel in found.values():
        try:
            channel.send("[leadlog] test", "A test message: alerts of leadlog arrive here.", "info")
        except DeliveryError as error:
            results.append({"channel": channel.name, "taken": False, "error": str(error)})
        else:
            results.append({"channel": channel.name, "taken": True, "error": None})
    if as_json:
        print_json({"channels": results})
    else:
        for one in results:
            click.echo(f"{'taken ' if one['taken'] else 'FAILED'}  {safe(one['channel'])}")
    for one in results:
        if one["error"] and not as_json:
            message(f"{one['channel']}: {one['error']}")
    ctx.exit(0 if all(one["taken"] for one in results) else 1)

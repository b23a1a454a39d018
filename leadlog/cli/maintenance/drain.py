"""`leadlog drain`: drain the rings of all processes of a log directory, as a sidecar."""

import signal
from functools import partial
from pathlib import Path
from types import FrameType

import click

from leadlog.cli.options import directory_option, json_option
from leadlog.cli.terminal import count, message, print_json

__all__ = ["drain"]


@click.command()
@directory_option
@json_option
def drain(*, directory: Path | None, as_json: bool) -> None:
    """Write the events of all this user's processes to the log files, until it is stopped.

    Without it, each process writes in its own thread. While it runs, it does the labelling, the
    masking and the writing for all of them; within a second after it ends, for whatever reason,
    they write for themselves again. It also recovers the events of killed processes. Run one per
    log directory, as the applications' user, with the same settings and the same /dev/shm.

    A process with its own processors or sinks, with durability = "fsync", or with a different
    pseudonym key keeps writing for itself.

    \b
    Examples:
      leadlog drain
      leadlog drain --directory /var/log/leads

    Ends on SIGTERM or Ctrl-C once everything is written. Exits with 3 when it cannot run: another
    sidecar is running, or the directory is not writable.
    """  # noqa: D301 - click wants real backspaces
    from leadlog.core.native import sleep
    from leadlog.core.settings import load
    from leadlog.recording.pipeline.sidecar import make_sidecar

    settings = load(directory=directory).settings
    ended = False

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        nonlocal ended
        ended = True

    sidecar = make_sidecar(settings)
    sidecar.open()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    message(f"draining {settings.directory.absolute()}")
    try:
        pause = partial(sleep, settings.poll_seconds)
        while not ended:
            if not sidecar.look():
                pause()
    finally:
        sidecar.close()
    recovered = sidecar.recovered
    if as_json:
        print_json({"directory": str(settings.directory.absolute()), "recovered": recovered.lines})
    message(
        f"ended; the processes write for themselves again; {count(recovered.lines, 'event')} of "
        "killed processes recovered"
    )

"""`leadlog drain`: empty the rings of all processes of a log directory, as a sidecar."""

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
    """Write to the files what the processes of this user log, until it is stopped.

    Without it each process does that in a thread of its own. While it runs they leave to it the
    labelling, the masking and the writing, and go on themselves within a second when it ends,
    however it does. It also brings in what killed processes left. Run one for each log directory,
    as the applications' user, with the same settings, and where it sees the same /dev/shm.

    A process with processors or sinks of its own, with durability = "fsync", or with another key
    of pseudonyms goes on writing for itself.

    \b
    Examples:
      leadlog drain
      leadlog drain --directory /var/log/leads

    Ends at SIGTERM or Ctrl-C when everything is written. Exits with 3 where it cannot run: another
    one does, or the directory cannot be written.
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

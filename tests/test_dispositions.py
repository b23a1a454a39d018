"""The suite gives the same answers in a terminal, in a background job and under nohup."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
ASK = """
import signal
print([name for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1")
       if signal.getsignal(getattr(signal, name)) is not signal.SIG_DFL])
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_a_child_of_a_test_starts_with_the_default_dispositions() -> None:
    """A child has default dispositions, whatever signals the test process ignores or blocks."""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert asked.stdout.splitlines() == ["[]", "True", "set()"]


def _ignore_and_block() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_it_does_so_where_the_suite_inherits_ignored_and_blocked_signals(
    workers: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """This holds under `(trap '' INT; pytest)`, and in a background job of a script."""
    name = test_a_child_of_a_test_starts_with_the_default_dispositions.__name__
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers]
    command.append(f"{Path(__file__)}::{name}")
    inner = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        cwd=request.config.rootpath,
        env=inner,
        preexec_fn=_ignore_and_block,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

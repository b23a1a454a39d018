"""Background threads, as long as the interpreter takes new ones."""

import atexit
import sys
import threading

_ending = False


def end() -> None:
    """Start no thread any more: the interpreter is ending."""
    global _ending  # noqa: PLW0603 - an interpreter ends once
    _ending = True


def is_ending() -> bool:
    """Whether no thread is started any more."""
    return _ending or sys.is_finalizing()


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread, unless the interpreter is ending.

    Once leadlog's exit function has run, nobody ends a new thread in order; and after the exit
    functions, `Thread.start` would wait for ever for a thread that never gets the interpreter.

    Returns:
        Whether it runs.
    """
    if is_ending():
        return False
    try:
        thread.start()
    except RuntimeError:  # "can't start new thread", or not any more
        return False
    return True


atexit.register(end)

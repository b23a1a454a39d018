"""Background threads, as long as the interpreter takes new ones."""

import atexit
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from leadlog.core import native

__all__ = ["Background", "end", "is_current", "is_ending", "start_thread"]

_ending = False


class Background(Protocol):
    """A thread that was started."""

    @property
    def ident(self) -> int | None:
        """The system's number of it; None before it runs."""
        ...

    def is_alive(self) -> bool:
        """Return whether it runs."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        ...


class _NamedThread(threading.Thread):
    """A thread of `threading`, which may have become that of green threads when it ends."""

    def run(self) -> None:
        """Do what it is for."""
        super().run()
        if native.is_patched():
            # `threading` is about to remove it under a number that it has now only.
            threading._active[threading.get_ident()] = self  # type: ignore[attr-defined]


class _NativeThread:
    """A thread of the system's, where `threading` only makes green ones.

    Args:
        run: what it does.

    Attributes:
        ident: as `Background.ident`.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._running = native.Lock()
        self.ident: int | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            RuntimeError: there is no new thread to be had.
        """
        self._running.acquire()
        self.ident = native.start_new_thread(self._bootstrap, ())

    def _bootstrap(self) -> None:
        try:
            self._run()
        finally:
            self._running.release()

    def is_alive(self) -> bool:
        """See `Background.is_alive`."""
        return self._running.locked()

    def join(self, timeout: float | None = None) -> None:
        """See `Background.join`."""
        if self._running.acquire(timeout=-1 if timeout is None else timeout):
            self._running.release()


def end() -> None:
    """Refuse new threads: the interpreter is ending."""
    global _ending  # noqa: PLW0603 - an interpreter ends once
    _ending = True


def is_ending() -> bool:
    """Return whether new threads are refused."""
    return _ending or sys.is_finalizing()


def start_thread(run: Callable[[], None], name: str) -> Background | None:
    """Start a daemon thread of the system's, unless the interpreter is ending.

    Once leadlog's exit function has run, a new thread would never be ended; and after the exit
    functions, `Thread.start` would wait forever for a thread that never gets the interpreter.

    Args:
        run: what it does; uses `leadlog.core.native` to wait for anything.
        name: for people who look at the process.

    Returns:
        The thread; None where none is to be had.
    """
    if is_ending():
        return None
    thread: threading.Thread | _NativeThread
    if native.is_patched():
        thread = _NativeThread(run)
    else:
        thread = _NamedThread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # "can't start new thread", now or at the end
        return None
    return thread


def is_current(thread: Background | None) -> bool:
    """Return whether this is called in that thread."""
    return thread is not None and thread.ident == native.get_ident()


atexit.register(end)

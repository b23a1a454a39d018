"""Background threads, started only while the interpreter accepts new ones."""

import atexit
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from leadlog.core import native

__all__ = ["Background", "end", "is_current", "is_ending", "start_thread"]

_ending = False


class Background(Protocol):
    """A started thread."""

    @property
    def ident(self) -> int | None:
        """The system's thread id; None before the thread runs."""
        ...

    def is_alive(self) -> bool:
        """Return whether the thread is running."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended."""
        ...


class _NamedThread(threading.Thread):
    """A thread of `threading`; gevent or eventlet may patch `threading` before it ends."""

    def run(self) -> None:
        """Run the thread's function."""
        super().run()
        if native.is_patched():
            # `threading` is about to remove the thread by an id that it has only since the patch.
            threading._active[threading.get_ident()] = self  # type: ignore[attr-defined]


class _NativeThread:
    """A system thread, for when `threading` creates only green ones.

    Args:
        run: the function to run.

    Attributes:
        ident: see `Background.ident`.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._running = native.Lock()
        self.ident: int | None = None

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: no new thread can be started.
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
    """Refuse new threads from now on, because the interpreter is ending."""
    global _ending  # noqa: PLW0603 - an interpreter ends once
    _ending = True


def is_ending() -> bool:
    """Return whether new threads are refused."""
    return _ending or sys.is_finalizing()


def start_thread(run: Callable[[], None], name: str) -> Background | None:
    """Start a daemon thread of the system, unless the interpreter is ending.

    Once leadlog's exit function has run, nothing would end a new thread; and after the exit
    functions, `Thread.start` would wait forever for a thread that never gets the interpreter.

    Args:
        run: the function to run; it must wait only by means of `leadlog.core.native`.
        name: the thread's name, for debuggers and process listings.

    Returns:
        The thread; None if none can be started.
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
    """Return whether the caller is running in that thread."""
    return thread is not None and thread.ident == native.get_ident()


atexit.register(end)

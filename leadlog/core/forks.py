"""Renewal after a fork of locks, threads and counters that a child must not inherit.

`os.register_at_fork` keeps its functions forever, so a single hook serves all objects and holds
weak references to them. Forks made in C, such as uWSGI's, do not call it. On Linux, leadlog
therefore asks the kernel to wipe one page of memory in every child, and code that uses such an
object checks that page first (`renew_if_forked`).
"""

import mmap
import os
import sys
import weakref
from typing import Protocol

from leadlog.core.native import Lock
from leadlog_processors import forks

__all__ = ["Renewable", "renew_after_fork", "renew_if_forked"]

_WIPE_ON_FORK = 18
"""Linux's MADV_WIPEONFORK, for which not every version of `mmap` has a name."""


class Renewable(Protocol):
    """An object that a forked child cannot use before it is renewed."""

    def after_fork(self) -> None:
        """Renew the object; called in the child before any other code runs.

        Must not log or start a thread.
        """
        ...


_renewables: "weakref.WeakSet[Renewable]" = weakref.WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Call `renewable.after_fork()` in every child forked while the object lives."""
    _renewables.add(renewable)


def _page() -> mmap.mmap | bytearray:
    """Return memory whose first byte is 1 here and 0 in a forked child (1 if unsupported)."""
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page[0] = 1
        try:
            page.madvise(_WIPE_ON_FORK)
        except OSError:
            return page  # an old kernel copies the page
        return page
    return bytearray(b"\x01")


_own = _page()
_lock = Lock()


def renew_if_forked() -> None:
    """Renew everything if this is a forked child that has not done so yet."""
    if not _own[0]:
        with _lock:
            if not _own[0]:
                _renew()


def _renew() -> None:
    """Do in a child what Python does after `os.fork` but not after a fork made in C."""
    if len(os.listdir("/proc/self/task")) == 1 and _import_lock_is_ours():  # noqa: PTH208 - a number
        import ctypes

        # Also renews the interpreter's lock, for which a thread of the parent may have waited.
        ctypes.pythonapi.PyOS_AfterFork_Child()
    if not _own[0]:
        forks.renew()
        _after_fork_in_child()


def _import_lock_is_ours() -> bool:
    """Acquire the import lock, which `PyOS_AfterFork_Child` requires from Python 3.13 on.

    Returns:
        False if it was held by a thread of the parent, which does not exist in this child.
    """
    if sys.version_info >= (3, 13):
        import _imp

        if _imp.lock_held():
            return False
        _imp.acquire_lock()
    return True


def _after_fork_in_child() -> None:
    for renewable in list(_renewables):
        renewable.after_fork()
    _own[0] = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

"""Renewal after a fork: locks, threads and counters that a child must not inherit.

`os.register_at_fork` keeps its functions forever, so one hook serves all objects and holds them
weakly. It is not called for a fork that is made in C, as uWSGI's are. So the kernel is asked to
wipe a page of memory in every child, and code that uses such an object checks that page first
(`renew_if_forked`).
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
"""Linux's MADV_WIPEONFORK, which `mmap` has no name for in every version."""


class Renewable(Protocol):
    """Something that cannot be used in a forked child as it stands."""

    def after_fork(self) -> None:
        """Renew the object; called in the child before it runs anything. Log and start nothing."""
        ...


_renewables: "weakref.WeakSet[Renewable]" = weakref.WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Have `renewable.after_fork()` called in every child forked while it lives."""
    _renewables.add(renewable)


def _page() -> mmap.mmap | bytearray:
    """Memory whose first byte is 1, and 0 in a forked child; where there is none such, 1 always."""
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page[0] = 1
        try:
            page.madvise(_WIPE_ON_FORK)
        except OSError:
            return page  # an old kernel: it is copied
        return page
    return bytearray(b"\x01")


_own = _page()
_lock = Lock()


def renew_if_forked() -> None:
    """Renew everything, if this is a forked child in which that was not done yet."""
    if not _own[0]:
        with _lock:
            if not _own[0]:
                _renew()


def _renew() -> None:
    """Do in a child what Python does after `os.fork` and a fork made in C leaves out."""
    if len(os.listdir("/proc/self/task")) == 1 and _import_lock_is_ours():  # noqa: PTH208 - a number
        import ctypes

        # Also renews the interpreter's lock, which a thread of the parent's may have waited for.
        ctypes.pythonapi.PyOS_AfterFork_Child()
    if not _own[0]:
        forks.renew()
        _after_fork_in_child()


def _import_lock_is_ours() -> bool:
    """Hold the import lock, as `PyOS_AfterFork_Child` demands from Python 3.13 on.

    Returns:
        False where a thread that is gone in this child held it.
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

"""The operating system's threads, locks and pauses, unaffected by gevent or eventlet.

Both replace those of the standard library with green ones, at any moment: before leadlog is
imported, after the log was configured, in a forked worker. The two kinds must never meet: a green
thread that waits for a system lock blocks all other green threads, and a system thread cannot wait
for a green lock. leadlog therefore always uses the system's, and holds none of its locks while
another green thread may run.

eventlet replaces existing reentrant locks wherever it finds them in an object's attributes. It does
not search slots, so leadlog keeps such locks in slots.
"""

import _thread
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Lock", "RLock", "get_ident", "is_patched", "sleep", "start_new_thread"]


def _own(module: str, name: str) -> Any:
    """Return the unpatched attribute of a standard library module."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None:
        return gevent.get_original(module, name)
    if eventlet is not None:
        return getattr(eventlet.original(module), name)
    return getattr(import_module(module), name)


if TYPE_CHECKING:
    from _thread import get_ident, start_new_thread
    from threading import Lock, RLock
    from time import sleep
else:
    Lock = _own("_thread", "allocate_lock")
    RLock = _own("_thread", "RLock")
    get_ident = _own("_thread", "get_ident")
    start_new_thread = _own("_thread", "start_new_thread")
    sleep = _own("time", "sleep")


def is_patched() -> bool:
    """Return whether the standard library's threads are green now."""
    return _thread.start_new_thread is not start_new_thread

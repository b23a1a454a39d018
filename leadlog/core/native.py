"""The system's own threads, locks and pauses, whatever gevent or eventlet put in their place.

Both replace those of the standard library by ones of green threads, at any moment: before leadlog
is imported, after the log was configured, in a forked worker. Two kinds must never meet: a green
thread that waits for a lock of the system's stops all others, and a thread of the system's cannot
wait for a lock of green threads. So leadlog has the system's own for itself, always, and none of
its locks is held while another green thread gets its turn.

eventlet replaces reentrant locks that exist already, wherever it finds them in the attributes of
an object. It does not look into slots, so locks of this kind lie there.
"""

import _thread
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Lock", "RLock", "get_ident", "is_patched", "sleep", "start_new_thread"]


def _own(module: str, name: str) -> Any:
    """Return an attribute of a standard library module as it was before it was patched."""
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
    """Return whether the standard library's threads are green ones now."""
    return _thread.start_new_thread is not start_new_thread

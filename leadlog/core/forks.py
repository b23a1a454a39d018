"""What a forked child must renew: locks, threads, counters.

`os.register_at_fork` keeps what it is given for ever, so one hook serves all objects and
holds them weakly.
"""

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Something that cannot be used in a forked child as it stands."""

    def after_fork(self) -> None:
        """Called in the child, before it runs anything; logs nothing, starts nothing."""
        ...


_renewables: "weakref.WeakSet[Renewable]" = weakref.WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Has `renewable.after_fork()` called in every child forked while it lives."""
    _renewables.add(renewable)


def _after_fork_in_child() -> None:
    for renewable in list(_renewables):
        renewable.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

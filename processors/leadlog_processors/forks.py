"""Renewal of random state in a forked child, whether or not Python notices the fork."""

import os
from collections.abc import Callable

__all__ = ["in_child", "renew"]

_renewals: list[Callable[[], None]] = []


def in_child(function: Callable[[], None]) -> None:
    """Register a function to be called in every forked child.

    `os.fork` calls it. After a fork made in C, the code that notices the fork calls `renew`.
    """
    _renewals.append(function)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def renew() -> None:
    """Call the registered functions, in a child that was forked in C."""
    for function in _renewals:
        function()

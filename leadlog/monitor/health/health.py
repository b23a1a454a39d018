"""Execution of the checks: concurrent, each limited in time, none raising."""

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs

from leadlog.core.clock import format_us, now_us
from leadlog.core.errors import SettingsError
from leadlog.monitor.health.checks import Check, Health, State
from leadlog.monitor.health.probes import ProbeContext, Registered, built_in

__all__ = [
    "check",
    "check_async",
    "default_context",
    "register",
    "registered",
    "unregister",
]

TIMEOUT_SECONDS = 5.0

_registered: dict[str, Registered] = {one.name: one for one in built_in()}
_STATES = ("ok", "warning", "critical", "unknown")


def register(
    name: str,
    function: Callable[[], Any],
    *,
    interval_seconds: float = 60.0,
    late: State = "critical",
) -> None:
    """Add a check to every `check` and to the monitor.

        >>> from leadlog.monitor import health
        >>> health.register("greeting", lambda: True, interval_seconds=300)
        >>> health.check(["greeting"]).state
        'ok'
        >>> health.unregister("greeting")

    Args:
        name: name of the check; replaces an earlier one of that name.
        function: returns True (ok), False (critical), a `Check` (see `judge`), or several. If it
            raises, or takes too long, the state is `late`. Called in a separate thread.
        interval_seconds: how often a monitor calls it.
        late: the state if the function raises or does not answer in time.

    Raises:
        ValueError: the interval is not above 0, or the state is unknown.
    """
    if not interval_seconds > 0:
        raise ValueError(f"interval_seconds = {interval_seconds!r} is not above 0")
    if late not in _STATES:
        raise ValueError(f"late = {late!r} is none of {', '.join(_STATES)}")
    _registered[name] = Registered(
        name, lambda _: _checks(name, function()), interval_seconds, late
    )


def unregister(name: str) -> None:
    """Remove a check; an unknown name is ignored."""
    _registered.pop(name, None)


def registered() -> tuple[Registered, ...]:
    """Return all checks with their intervals: built-in and registered ones."""
    return tuple(_registered.values())


def check(
    names: Iterable[str] | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    database: Any = None,
    airtable: Any = None,
    base_id: str | None = None,
    deep: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
    context: ProbeContext | None = None,
) -> Health:
    """Run the health checks, such as for a readiness endpoint.

    Never raises, and takes hardly longer than the timeout (the first time, imports add to it): a
    check that does not answer is abandoned in its daemon thread.

        >>> from leadlog.monitor import health
        >>> health.check(["log"]).state
        'ok'

    Args:
        names: names of the checks to run; all by default.
        directory: the log directory; the one of the settings by default.
        database: the lead store as path, URL or open `LeadDatabase`; the one of the settings by
            default.
        airtable: a `pyairtable.Api`; by default one with the sync's token, if
            `airtable_base_id` is set.
        base_id: the base that the token should reach; the one of the settings by default.
        deep: also read the whole store for damage.
        timeout_seconds: longest time for each check.
        context: replaces all arguments above; made by `default_context`, so a monitor can keep it.
    """
    began = format_us(now_us())
    try:
        wanted = _wanted(names)
        context = context or default_context(
            directory=directory, database=database, airtable=airtable, base_id=base_id, deep=deep
        )
    except (SettingsError, LookupError) as error:
        failed = Check(
            "settings", "critical", message=str(error), remedy="correct it; see `leadlog doctor`"
        )
        return Health((failed,), began)
    for one in wanted:
        with suppress(Exception):  # a failing import raises again in the probe, which reports it
            one.prepare()
    answers = [_Answer(one, context) for one in wanted]
    end = time.monotonic() + timeout_seconds
    found: list[Check] = []
    for answer in answers:
        found += answer.wait(end, timeout_seconds)
    return Health(tuple(found), began)


async def check_async(names: Iterable[str] | None = None, **options: Any) -> Health:
    """Run `check` without blocking the event loop.

    Args:
        names: as for `check`.
        options: as for `check`.
    """
    return await asyncio.to_thread(check, names, **options)


def default_context(
    *,
    directory: str | os.PathLike[str] | None = None,
    database: Any = None,
    airtable: Any = None,
    base_id: str | None = None,
    deep: bool = False,
    clock: Callable[[], int] = now_us,
) -> ProbeContext:
    """Return the context of probes; values that are not given are taken from the settings.

    Args:
        directory: the log directory.
        database: the lead store.
        airtable: a `pyairtable.Api`.
        base_id: the base that the token should reach.
        deep: also read the whole store for damage.
        clock: returns the current time in microseconds since 1970.

    Raises:
        SettingsError: a setting is unknown or invalid.
    """
    from leadlog.core.settings import load

    loaded = load(directory=directory)
    named = database is not None or loaded.origins["database"] != "default"
    return ProbeContext(
        settings=loaded.settings,
        directory=Path(loaded.settings.directory),
        database=loaded.settings.database if database is None else database,
        database_required=named,
        airtable=airtable,
        base_id=base_id or loaded.settings.airtable_base_id or None,
        deep=deep,
        now_us=clock,
    )


def _wanted(names: Iterable[str] | None) -> list[Registered]:
    if names is None:
        return list(_registered.values())
    chosen = []
    for name in names:
        if name not in _registered:
            near = get_close_matches(name, _registered, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_registered)}"
            raise LookupError(f"no check {name!r}; {hint}")
        chosen.append(_registered[name])
    return chosen


def _checks(name: str, said: Any) -> list[Check]:
    """Return the result of a user's function as checks."""
    if isinstance(said, bool):
        return [Check(name, "ok" if said else "critical", message="ok" if said else "failed")]
    if isinstance(said, Check):
        return [said]
    if isinstance(said, list | tuple) and all(isinstance(one, Check) for one in said):
        return list(said)
    raise TypeError(f"the check returned {type(said).__name__}; return True, False or a Check")


class _Answer:
    """A probe that runs in a separate thread, and its result."""

    def __init__(self, one: Registered, context: ProbeContext) -> None:
        self._one = one
        self._context = context
        self._found: list[Check] = []
        self._done = threading.Event()
        # A daemon: a check that hangs must not keep the process from exiting.
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._run,),
            name=f"leadlog-check-{one.name}",
            daemon=True,
        ).start()

    def _run(self) -> None:
        try:
            found = list(self._one.probe(self._context))
        except Exception as error:  # noqa: BLE001 - a check that raises is a finding, not an error
            found = [self._failed(f"raised {type(error).__name__}: {error}")]
        stamp = format_us(self._context.now_us())
        self._found = [attrs.evolve(check, checked_at=stamp) for check in found]
        self._done.set()

    def _failed(self, how: str) -> Check:
        remedy = f"look why; `leadlog health --only {self._one.name}` makes this check alone"
        return Check(self._one.name, self._one.late, message=how, remedy=remedy)

    def wait(self, end: float, timeout_seconds: float) -> list[Check]:
        """Return the result once it is available, or a failed check at the end of the time."""
        if self._done.wait(max(end - time.monotonic(), 0.0)):
            return self._found
        return [self._failed(f"no answer within {timeout_seconds:g} s")]

"""What to do with which file, and why: a pure function of what lies there.

Touched are closed files only: of an earlier UTC day, not written to today, and without anything
that the inventory found to stand in the way. Whatever a limit would want of another file is left
for a later day, and told.
"""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

from leadlog.archive.policy import Policy
from leadlog.layout import COMPRESSED, LogFile
from leadlog.limits import TOTAL

__all__ = ["Action", "Excess", "Found", "Hindrance", "Kept", "Plan", "Verb", "closed_since", "plan"]

Verb = Literal["compress", "finish", "archive", "remove"]
"""`finish` is for a file whose compressed copy is there already: only the original goes.
`archive` seals a file to Parquet, compressed or not."""

_REPLACING = ("compress", "archive")

_EPOCH = dt.date(1970, 1, 1)
_DAY_NS = 86_400_000_000_000


@attrs.frozen
class Hindrance:
    """Why a file must be left alone.

    Attributes:
        reason: as a sentence.
        finding: whether somebody should see to it; else a later run will do.
    """

    reason: str
    finding: bool = False


@attrs.frozen
class Found:
    """One log file as it lies there.

    Attributes:
        file: what its name says, with category and path.
        size_bytes: its length.
        modified_ns: when it was last written to, nanoseconds since 1970.
        inode: number of the file in its file system.
        hindrance: why it must be left alone; None where nothing is known to speak against it.
        packed_bytes: about what it will take when compressed; None where it is not known.
    """

    file: LogFile
    size_bytes: int
    modified_ns: int
    inode: int = 0
    hindrance: Hindrance | None = None
    packed_bytes: int | None = None


@attrs.frozen
class Action:
    """Something to do with a file.

    Attributes:
        verb: what.
        found: the file.
        reason: why.
        for_room: whether a limit in bytes wants it, and not the file's age.
    """

    verb: Verb
    found: Found
    reason: str
    for_room: bool = False


@attrs.frozen
class Kept:
    """A file that the policy wants to be touched and that is left alone.

    Attributes:
        file: which.
        hindrance: why.
    """

    file: LogFile
    hindrance: Hindrance


@attrs.frozen
class Excess:
    """A limit that cannot be kept, since the rest may not be touched.

    Attributes:
        scope: a category, or `total`.
        limit_bytes: what its files may take.
        bytes: what they will take.
    """

    scope: str
    limit_bytes: int
    bytes: int


@attrs.frozen
class Plan:
    """What to do, in this order.

    Attributes:
        actions: removals by age, then compression, then removals to make room; at most one
            per file.
        kept: files left alone although the policy wants them touched.
        excess: limits that will not be kept.
    """

    actions: tuple[Action, ...]
    kept: tuple[Kept, ...]
    excess: tuple[Excess, ...]


def plan(found: Iterable[Found], policy: Policy, today: str) -> Plan:
    """Decides what to do with the files of a log.

    Args:
        found: all log files of all categories.
        policy: what is wanted.
        today: the UTC day, `2026-11-23`.

    Raises:
        ValueError: `today` or a file's date is no calendar day.
    """
    now = _day(today)
    files = sorted(found, key=_oldest_first)
    there = {one.file.path for one in files}
    actions: dict[Found, Action] = {}
    kept: dict[Found, Kept] = {}
    for one in files:
        action = _by_age(one, now - _day(one.file.date), policy, there)
        if action is None:
            continue
        hindrance = _hindrance(one, now)
        if hindrance is None:
            actions[one] = action
        else:
            kept[one] = Kept(one.file, hindrance)
    for scope, limit in policy.sizes().items():
        used = _used(scope, files, actions)
        for one in files:
            if scope not in {TOTAL, one.file.category}:
                continue
            if used <= limit:
                break
            old = actions.get(one)
            if old is not None and old.verb not in _REPLACING:
                continue
            hindrance = _hindrance(one, now)
            if hindrance is not None:
                kept[one] = Kept(one.file, hindrance)
                continue
            used -= _after(one, actions)
            what = "all files" if scope == TOTAL else scope
            reason = f"{what} take more than {limit} bytes"
            actions[one] = Action("remove", one, reason, for_room=True)
    excess = [
        Excess(scope, limit, used)
        for scope, limit in policy.sizes().items()
        if (used := _used(scope, files, actions)) > limit
    ]
    return Plan(tuple(sorted(actions.values(), key=_order)), tuple(kept.values()), tuple(excess))


def _by_age(one: Found, age: int, policy: Policy, there: set[Path]) -> Action | None:
    days = policy.days(one.file.category)
    if days and age > days:
        return Action("remove", one, f"older than {days} days")
    if one.file.archived:
        return None
    twin = one.file.path.with_name(one.file.path.name + COMPRESSED) in there
    days = policy.parquet_after_days
    if days and age > days:
        if twin:
            return Action("finish", one, "its compressed copy is there")
        return Action("archive", one, f"older than {days} days")
    days = policy.compress_after_days
    if not days or age <= days or one.file.compressed:
        return None
    if twin:
        return Action("finish", one, "its compressed copy is there")
    if one.size_bytes <= (one.packed_bytes or 0):
        return None
    return Action("compress", one, f"older than {days} days")


def closed_since(one: Found, today: str) -> Hindrance | None:
    """Why a file must be left alone on a day; None where nothing speaks against touching it."""
    # A part has no writer, however young its file is.
    return one.hindrance if one.file.archived else _hindrance(one, _day(today))


def _hindrance(one: Found, now: int) -> Hindrance | None:
    """Why a file must be left alone; None where nothing speaks against touching it."""
    if _day(one.file.date) >= now:
        return Hindrance("its day is not over")
    # Its writer may be late: a stalled disk, or lines of a killed process.
    if one.modified_ns // _DAY_NS >= now:
        return Hindrance("it was written to today")
    return one.hindrance


def _used(scope: str, files: list[Found], actions: dict[Found, Action]) -> int:
    """Bytes that the files of a scope will take when what was decided so far is done."""
    return sum(_after(one, actions) for one in files if scope in {TOTAL, one.file.category})


def _after(one: Found, actions: dict[Found, Action]) -> int:
    """Bytes that a file will take when what was decided so far is done."""
    action = actions.get(one)
    if action is None:
        return one.size_bytes
    if action.verb in _REPLACING:
        return one.size_bytes if one.packed_bytes is None else one.packed_bytes
    return 0


def _day(date: str) -> int:
    return (dt.date.fromisoformat(date) - _EPOCH).days


def _oldest_first(one: Found) -> tuple[object, ...]:
    # Of one day, errors go last: they are few, and asked for longest.
    return one.file.date, one.file.category == "error_logs", one.file.category, one.file


def _order(action: Action) -> tuple[object, ...]:
    return action.for_room, action.verb != "remove", *_oldest_first(action.found)

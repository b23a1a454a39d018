"""The janitor's plan: what to do with which file, and why; a pure function of the files found.

Only closed files are touched: those of an earlier UTC day, not written to today, and without a
hindrance. If a limit requires touching another file, it is left for a later day and reported.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import attrs

from leadlog.core.layout import COMPRESSED, LogFile, merged_part, part_path
from leadlog.core.limits import TOTAL
from leadlog.reading.archive.policy import Policy

__all__ = [
    "Action",
    "Excess",
    "FoundFile",
    "Hindrance",
    "Kept",
    "Plan",
    "Verb",
    "closed_since",
    "plan",
]

Verb = Literal["compress", "finish", "archive", "merge", "remove"]
"""`finish` is for a file whose compressed copy exists: only the original is removed. `archive`
seals a file to Parquet, compressed or not; `merge` makes one part from several of a day."""

_REPLACING = ("compress", "archive")
_MOST_MERGED = 200
"""Parts per merge, all of which are open at the same time. A later run merges the others."""

_EPOCH = dt.date(1970, 1, 1)
_DAY_NS = 86_400_000_000_000


@attrs.frozen
class Hindrance:
    """The reason why a file must be left alone.

    Attributes:
        reason: the reason as a sentence.
        finding: whether a person must act; otherwise a later run will do.
    """

    reason: str
    finding: bool = False


@attrs.frozen
class FoundFile:
    """One log file as found.

    Attributes:
        file: what its name says, with category and path.
        size_bytes: its size.
        modified_ns: time of its last modification, nanoseconds since 1970.
        inode: its inode number.
        hindrance: why it must be left alone; None if no reason is known.
        packed_bytes: its estimated compressed size; None if unknown.
        unshipped: destinations of `leadlog ship` that lack some of it.
    """

    file: LogFile
    size_bytes: int
    modified_ns: int
    inode: int = 0
    hindrance: Hindrance | None = None
    packed_bytes: int | None = None
    unshipped: tuple[str, ...] = ()


@attrs.frozen
class Action:
    """An action on a file.

    Attributes:
        verb: the kind of action.
        found: the file; for a merge, the resulting part, about as large as all of them.
        reason: the reason.
        for_room: whether a limit in bytes requires it, not the file's age.
        parts: for a merge, its sources, whether already sealed or still to be sealed.
    """

    verb: Verb
    found: FoundFile
    reason: str
    for_room: bool = False
    parts: tuple[FoundFile, ...] = ()


@attrs.frozen
class Kept:
    """A file that the policy applies to but that is left alone.

    Attributes:
        file: the file.
        hindrance: the reason.
    """

    file: LogFile
    hindrance: Hindrance


@attrs.frozen
class Excess:
    """A limit that cannot be kept, because the remaining files must not be touched.

    Attributes:
        scope: a category, or `total`.
        limit_bytes: the limit.
        bytes: the size that its files will have.
    """

    scope: str
    limit_bytes: int
    bytes: int


@attrs.frozen
class Plan:
    """The actions, in order, and what is left alone.

    Attributes:
        actions: removals by age, then compression and sealing, then merges, then removals to make
            room; at most one per file, except for merges.
        kept: files left alone although the policy applies to them.
        excess: limits that will not be kept.
    """

    actions: tuple[Action, ...]
    kept: tuple[Kept, ...]
    excess: tuple[Excess, ...]


def plan(found: Iterable[FoundFile], policy: Policy, today: str) -> Plan:
    """Decide what to do with the files of a log.

    Args:
        found: all log files of all categories.
        policy: the policy to apply.
        today: the UTC day, `2026-11-23`.

    Raises:
        ValueError: `today` or a file's date is not a calendar day.
    """
    now = _day(today)
    files = sorted(found, key=_oldest_first)
    there = {one.file.path for one in files}
    actions: dict[FoundFile, Action] = {}
    kept: dict[FoundFile, Kept] = {}
    for one in files:
        age = now - _day(one.file.date)
        action = _by_age(one, age, policy, there)
        if action is not None and action.verb == "remove" and one.unshipped:
            # A limit in bytes removes it nevertheless; shipping counts the loss.
            reason = f"it is not shipped to {' and '.join(one.unshipped)} yet"
            kept[one] = Kept(one.file, Hindrance(reason, finding=True))
            action = _by_age(one, age, attrs.evolve(policy, retention_days={}), there)
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
            kept.pop(one, None)
            actions[one] = Action("remove", one, reason, for_room=True)
    excess = [
        Excess(scope, limit, used)
        for scope, limit in policy.sizes().items()
        if (used := _used(scope, files, actions)) > limit
    ]
    for action in _merges(files, actions, kept, policy, now):
        actions[action.found] = action
    return Plan(tuple(sorted(actions.values(), key=_order)), tuple(kept.values()), tuple(excess))


def _by_age(one: FoundFile, age: int, policy: Policy, there: set[Path]) -> Action | None:
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


def _merges(
    files: Iterable[FoundFile],
    actions: Mapping[FoundFile, Action],
    kept: dict[FoundFile, Kept],
    policy: Policy,
    now: int,
) -> list[Action]:
    """Return the merges, which follow everything else."""
    days = policy.parquet_after_days
    by_day: defaultdict[tuple[str, str], list[FoundFile]] = defaultdict(list)
    originals = {(one.file.category, one.file.stem) for one in files if not one.file.archived}
    for one in files:
        if not days or now - _day(one.file.date) <= days:
            continue
        verb = actions[one].verb if one in actions else None
        # A part is a mere copy while its original exists.
        copy = (one.file.category, one.file.stem) in originals
        if verb == "archive" or (one.file.archived and verb is None and not copy):
            by_day[one.file.category, one.file.date].append(one)
    found = []
    for parts in by_day.values():
        if len(parts) > 1:
            kept |= {
                one: Kept(one.file, one.hindrance)
                for one in parts
                if one.hindrance is not None and one.hindrance.finding
            }
        # Shipping treats a merged part as shipped, so all its parts must have been shipped.
        free = [one for one in parts if one.hindrance is None and not one.unshipped]
        if len(free) > 1:
            found.append(_merge(free[:_MOST_MERGED], f"its day has {len(free)} parts"))
    return found


def _merge(parts: list[FoundFile], reason: str) -> Action:
    first = parts[0].file
    root = first.path.parents[3 if first.archived else 1]
    number = max((one.file.segment for one in parts if one.file.merged), default=0) + 1
    file = replace(merged_part(first.date, number), category=first.category)
    size = sum(one.packed_bytes or one.size_bytes for one in parts)
    found = FoundFile(
        file=replace(file, path=part_path(root, file)),
        size_bytes=size,
        modified_ns=max(one.modified_ns for one in parts),
        packed_bytes=size,
    )
    return Action("merge", found, reason, parts=tuple(parts))


def closed_since(one: FoundFile, today: str) -> Hindrance | None:
    """Return why a file must be left alone on a day; None if there is no reason."""
    # A part has no writer, however recent its file is.
    return one.hindrance if one.file.archived else _hindrance(one, _day(today))


def _hindrance(one: FoundFile, now: int) -> Hindrance | None:
    """Return why a file must be left alone; None if there is no reason."""
    if _day(one.file.date) >= now:
        return Hindrance("its day is not over")
    # Its writer may be late: a stalled disk, or lines of a killed process.
    if one.modified_ns // _DAY_NS >= now:
        return Hindrance("it was written to today")
    return one.hindrance


def _used(scope: str, files: list[FoundFile], actions: dict[FoundFile, Action]) -> int:
    """Return the bytes that the files of a scope will take after the actions so far."""
    return sum(_after(one, actions) for one in files if scope in {TOTAL, one.file.category})


def _after(one: FoundFile, actions: dict[FoundFile, Action]) -> int:
    """Return the bytes that a file will take after the actions so far."""
    action = actions.get(one)
    if action is None:
        return one.size_bytes
    if action.verb in _REPLACING:
        return one.size_bytes if one.packed_bytes is None else one.packed_bytes
    return 0


def _day(date: str) -> int:
    return (dt.date.fromisoformat(date) - _EPOCH).days


def _oldest_first(one: FoundFile) -> tuple[object, ...]:
    # Within a day, errors come last: they are few, and needed longest.
    return one.file.date, one.file.category == "error_logs", one.file.category, one.file


def _order(action: Action) -> tuple[object, ...]:
    rank = {"remove": 0, "merge": 2}.get(action.verb, 1)
    return action.for_room, rank, *_oldest_first(action.found)

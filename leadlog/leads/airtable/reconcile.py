"""Three-way merge, field by field: what changed since both sides agreed, and who wins.

Pure. Values are text, True or False, or None; a blank is None, "" or False alike, because Airtable
leaves empty fields and unticked boxes out of its answers.

    >>> merge = reconcile(
    ...     {"title": "CTO", "email": "ada@new.example"},
    ...     {"title": "Engineer", "email": "ada@old.example"},
    ...     {"title": "Engineer", "email": "ada@old.example"},
    ...     {"title": "Engineer", "email": "ada@old.example"},
    ...     remote_wins=True,
    ... )
    >>> merge.push
    {'title': 'CTO', 'email': 'ada@new.example'}
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["FieldConflict", "Merge", "blank", "reconcile"]

Values = Mapping[str, Any]
Winner = Literal["local", "remote"]


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """A field that both sides changed, differently.

    Attributes:
        field: Its name in the lead.
        local: What the lead has.
        remote: What the row has.
        base_local: What the lead had when both agreed.
        base_remote: What the row had then.
        winner: Whose value stays.
        reason: Why.
    """

    field: str
    local: Any
    remote: Any
    base_local: Any
    base_remote: Any
    winner: Winner
    reason: str


@dataclass(slots=True)
class Merge:
    """What has to be done so that a lead and its row have the same.

    Attributes:
        push: Values for the row.
        pull: Values for the lead.
        agreed: Values that both have already, but have not had when they last agreed.
        conflicts: What was overwritten in `push` or `pull`.
    """

    push: dict[str, Any] = field(default_factory=dict)
    pull: dict[str, Any] = field(default_factory=dict)
    agreed: dict[str, Any] = field(default_factory=dict)
    conflicts: list[FieldConflict] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.push or self.pull or self.agreed)


def blank(value: Any) -> bool:
    """Return whether a value is none."""
    return value is None or value is False or value == ""


def _same(one: Any, other: Any) -> bool:
    return one == other or (blank(one) and blank(other))


def reconcile(
    local: Values,
    remote: Values,
    base_local: Values,
    base_remote: Values,
    *,
    remote_wins: bool,
    reason: str = "",
    by_field: Mapping[str, tuple[bool, str]] | None = None,
    ours: Collection[str] = (),
    needed: Collection[str] = (),
) -> Merge:
    """Compare a lead with its row and with what both had when they last agreed.

    Args:
        local: Values of the lead, by field.
        remote: Values of the row, by the same fields; a missing one is blank.
        base_local: What the lead had; empty where nothing was agreed on yet.
        base_remote: What the row had; not always the same, because Airtable normalises values.
        remote_wins: Who wins a field that both changed.
        reason: Why, for the conflict.
        by_field: The same two for fields whose own time is known.
        ours: Fields of which the lead's value always wins.
        needed: Fields that are never taken blank from the row.
    """
    merge = Merge()
    for name, mine in local.items():
        theirs = remote.get(name)
        was_mine, was_theirs = base_local.get(name), base_remote.get(name)
        changed_here = not _same(mine, was_mine)
        changed_there = not _same(theirs, was_theirs)
        if _same(mine, theirs):
            if changed_here or changed_there:
                merge.agreed[name] = mine
            continue
        if not changed_there:
            if changed_here:
                merge.push[name] = mine
            continue
        wins, why = (by_field or {}).get(name, (remote_wins, reason))
        winner: Winner = "remote" if wins else "local"
        if name in ours:
            winner, why = "local", "only the store sets this field"
        elif name in needed and blank(theirs):
            winner, why = "local", "a lead needs it"
        elif not changed_here:
            merge.pull[name] = theirs
            continue
        if winner == "local":
            merge.push[name] = mine
        else:
            merge.pull[name] = theirs
        merge.conflicts.append(FieldConflict(name, mine, theirs, was_mine, was_theirs, winner, why))
    return merge

"""Three-way merge by field: the changes since both sides last agreed, and the winners.

Pure functions. Values are text, bool or None; None, "" and False are all blank, because Airtable
omits empty fields and unticked boxes from its responses.

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
    """A field that both sides changed to different values.

    Attributes:
        field: Name of the lead's field.
        local: Current value of the lead.
        remote: Current value of the row.
        base_local: Value of the lead when both last agreed.
        base_remote: Value of the row at that time.
        winner: The side whose value stays.
        reason: The reason for the choice.
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
    """The changes that make a lead and its row equal.

    Attributes:
        push: New values of the row, by field.
        pull: New values of the lead, by field.
        agreed: Values that both already have but had not when they last agreed.
        conflicts: The conflicts that `push` and `pull` resolve.
    """

    push: dict[str, Any] = field(default_factory=dict)
    pull: dict[str, Any] = field(default_factory=dict)
    agreed: dict[str, Any] = field(default_factory=dict)
    conflicts: list[FieldConflict] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.push or self.pull or self.agreed)


def blank(value: Any) -> bool:
    """Return whether a value is blank: None, False or empty text."""
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
    """Compare a lead with its row and with the values that both last agreed on.

    Args:
        local: Values of the lead, by field.
        remote: Values of the row, by the same fields; a missing one is blank.
        base_local: Agreed values of the lead; empty before the first agreement.
        base_remote: Agreed values of the row; may differ, because Airtable normalises values.
        remote_wins: Whether the row wins a field that both changed.
        reason: The reason for that, for the conflict.
        by_field: Overrides of these two, by field, for fields whose time of change is known.
        ours: Fields in which the lead's value always wins.
        needed: Fields that a blank value of the row never clears.
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

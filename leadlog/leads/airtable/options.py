"""The options of a sync."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from leadlog.core.errors import ValidationError

__all__ = ["Deletes", "Options", "checked_deletes", "later"]

Deletes = Literal["guarded", "apply", "undo"]
"""The handling of deletes by a run."""

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a sync.

    Attributes:
        names: Airtable field by field of a lead.
        lead_id_field: Airtable field with the id of the lead.
        modified_field: Airtable field with the time of a row's last change; None without one.
        conflict: The side that wins a field changed on both sides, if the time of the row's
            change is not known.
        max_delete_share: Share of the linked leads that one run may delete, 0 to 1.
        typecast: Whether Airtable may convert values, and add options to selects.
        deletes: `guarded` withholds deletes beyond the share, `apply` executes them all, `undo`
            restores instead of deleting: rows become leads again, and leads get new rows.
    """

    names: Mapping[str, str]
    lead_id_field: str = "Lead ID"
    modified_field: str | None = None
    conflict: Literal["local", "remote"] = "remote"
    max_delete_share: float = 0.2
    typecast: bool = False
    deletes: Deletes = "guarded"

    def may_delete(self, number: int, linked: int) -> bool:
        """Return whether one run may delete `number` items; always at least one."""
        return self.deletes == "apply" or number <= max(1, int(self.max_delete_share * linked))


def checked_deletes(deletes: str) -> Deletes:
    """Return a valid choice for the handling of deletes.

    Raises:
        ValidationError: There is no such choice.
    """
    for one in get_args(Deletes):
        if deletes == one:
            found: Deletes = one
            return found
    raise ValidationError(f"deletes is {deletes!r}; give {', '.join(get_args(Deletes))}")


def later(local: datetime, remote: datetime | None, policy: str) -> tuple[bool, str]:
    """Return whether the row wins a field that both sides changed, and the reason.

    Args:
        local: Time of the last change of the lead.
        remote: Time of the last change of the row; None if unknown.
        policy: The winner if it is unknown: `local` or `remote`.
    """
    if remote is None:
        return policy == "remote", f"the time of the row is not known; {policy} wins by policy"
    # Airtable's times have milliseconds; the row wins a tie, on every machine.
    mine = local.astimezone(UTC)
    mine -= timedelta(microseconds=mine.microsecond % 1000)
    if mine - remote >= _MILLISECOND:
        return False, "the lead was changed later"
    same = mine == remote
    return True, "both were changed at the same time" if same else "the row was changed later"

"""How a sync behaves where there is a choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from leadlog.core.errors import ValidationError

__all__ = ["Deletes", "Options", "checked_deletes", "later"]

Deletes = Literal["guarded", "apply", "undo"]
"""What a run does with deletes."""

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Options:
    """The choices.

    Attributes:
        names: Field in Airtable by field of a lead.
        lead_id_field: Field in Airtable that holds the id of the lead.
        modified_field: Field in Airtable that holds when a row was last changed; None without one.
        conflict: Who wins a field that both sides changed, where the row does not say when.
        max_delete_share: Share of the linked leads that one run may delete.
        typecast: Whether Airtable may convert values, and add options to selects.
        deletes: `guarded` holds back deletes beyond the share, `apply` does them all, `undo` brings
            back what would be deleted: rows become leads again, and leads get new rows.
    """

    names: Mapping[str, str]
    lead_id_field: str = "Lead ID"
    modified_field: str | None = None
    conflict: Literal["local", "remote"] = "remote"
    max_delete_share: float = 0.2
    typecast: bool = False
    deletes: Deletes = "guarded"

    def may_delete(self, number: int, linked: int) -> bool:
        """Return whether one run may delete that many; one always, so that small tables work."""
        return self.deletes == "apply" or number <= max(1, int(self.max_delete_share * linked))


def checked_deletes(deletes: str) -> Deletes:
    """Return what a run does with deletes.

    Raises:
        ValidationError: There is no such choice.
    """
    for one in get_args(Deletes):
        if deletes == one:
            found: Deletes = one
            return found
    raise ValidationError(f"deletes is {deletes!r}; give {', '.join(get_args(Deletes))}")


def later(local: datetime, remote: datetime | None, policy: str) -> tuple[bool, str]:
    """Tell whether the row wins a field that both sides changed, and why.

    Args:
        local: When the lead was last changed.
        remote: When the row was; None where that is not known.
        policy: Who wins then: `local` or `remote`.
    """
    if remote is None:
        return policy == "remote", f"the time of the row is not known; {policy} wins by policy"
    # Airtable's times have milliseconds; what is equal then goes to the row, on every machine.
    mine = local.astimezone(UTC)
    mine -= timedelta(microseconds=mine.microsecond % 1000)
    if mine - remote >= _MILLISECOND:
        return False, "the lead was changed later"
    same = mine == remote
    return True, "both were changed at the same time" if same else "the row was changed later"

"""What a comparison of the log with the real table found."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["CAUSES", "Cause", "Difference", "VerificationReport"]

Cause = Literal[
    "blind_spot",
    "uncertain",
    "chain",
    "dropped",
    "lost",
    "waiting",
    "sampled",
    "damaged",
    "other_class",
    "before_log",
    "never_logged",
    "unexplained",
]

CAUSES: dict[Cause, str] = {
    "blind_spot": "a committed call that does not say which rows it changed",
    "uncertain": "a call whose outcome is not known",
    "chain": "a change that does not fit the one before it: one in between is not in the log",
    "dropped": "records that were dropped, according to the log itself",
    "lost": "records that were dropped, as a writer's counts tell",
    "waiting": "records that are not in the files yet",
    "sampled": "records that sampling left out",
    "damaged": "damaged lines",
    "other_class": "the log has the row, of another class",
    "before_log": "the log begins after the row was made",
    "never_logged": "a column that no record names",
    "unexplained": "another program, a trigger or a cascade in the database",
}
"""Each possible cause of a difference, in the order in which they are considered."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the log and the table differ.

    Attributes:
        key: the row's primary key as text.
        what: `missing` (the log has the row, the table has not), `extra` (the other way round) or
            `changed` (a column has another value).
        column: for `changed`.
        logged: its value by the log.
        found: its value in the table, as the log would show it.
        cause: the likely cause, see `CAUSES`.
        explanation: the same in a sentence, with the record that shows it.
        event_id: of that record; None where there is none.
    """

    key: str
    what: Literal["missing", "extra", "changed"]
    column: str | None
    logged: Any
    found: Any
    cause: Cause
    explanation: str
    event_id: str | None = None


@dataclass(slots=True)
class VerificationReport:
    """The result of a comparison.

    Attributes:
        entity: the mapped class's name.
        table: the table's name.
        log_first: when the log begins; "" for an empty one.
        log_last: when its last event ended.
        events: how many were read.
        rows_logged: rows by the log.
        rows_found: rows in the table.
        rows_equal: rows without a difference.
        values_compared: values that were compared.
        values_unknown: why to how many values were not compared, because the log does not have
            them.
        values_either: values that are one of two that a blind spot leaves possible.
        rows_uncertain: rows of which only the table shows whether they exist.
        columns_gone: logged columns that the table does not have.
        differences: the first ones.
        difference_count: how many there are.
        causes: cause to how many.
        gaps: places in the log where something is missing, in sentences.
        lost_updates: the first changes that overwrote one which they had not read, in sentences;
            the log has both.
        lost_update_count: how many there are.
    """

    entity: str
    table: str
    log_first: str = ""
    log_last: str = ""
    events: int = 0
    rows_logged: int = 0
    rows_found: int = 0
    rows_equal: int = 0
    values_compared: int = 0
    values_unknown: Counter[str] = field(default_factory=Counter)
    values_either: int = 0
    rows_uncertain: int = 0
    columns_gone: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    difference_count: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    gaps: list[str] = field(default_factory=list)
    lost_updates: list[str] = field(default_factory=list)
    lost_update_count: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["values_unknown"] = dict(self.values_unknown)
        found["causes"] = dict(self.causes)
        found["differences"] = [asdict(one) for one in self.differences]
        return found

"""The result of comparing the log with the real table."""

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
    """A difference between the log and the table.

    Attributes:
        key: the row's primary key as text.
        what: `missing` (the row is only in the log), `extra` (it is only in the table) or
            `changed` (a column has another value).
        column: the column, for `changed`.
        logged: its value according to the log.
        found: its value in the table, in the log's format.
        cause: the likely cause, see `CAUSES`.
        explanation: the cause as a sentence, with the record that shows it.
        event_id: the id of that record; None if there is none.
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
        log_first: time of the log's first event; "" for an empty log.
        log_last: end of its last event.
        events: number of events read.
        rows_logged: number of rows according to the log.
        rows_found: number of rows in the table.
        rows_equal: number of rows without a difference.
        values_compared: number of values compared.
        values_unknown: number of values not compared because the log lacks them, by reason.
        values_either: number of values that match one of two states left possible by a blind spot.
        rows_uncertain: number of rows whose existence is not certain from the log.
        columns_gone: logged columns that the table does not have.
        differences: the first differences.
        difference_count: total number of differences.
        causes: number of differences by cause.
        gaps: descriptions of gaps in the log.
        lost_updates: descriptions of the first lost updates: changes that overwrote another change
            without having read it; the log has both.
        lost_update_count: total number of lost updates.
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
        """Return the report as plain data."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["values_unknown"] = dict(self.values_unknown)
        found["causes"] = dict(self.causes)
        found["differences"] = [asdict(one) for one in self.differences]
        return found

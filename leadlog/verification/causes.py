"""Finds the likely cause of each difference between the log and a table, with its evidence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from leadlog.reading.doubts import Doubt
from leadlog.reading.events import Skipped
from leadlog.reading.rows import Row
from leadlog.reading.table import Table
from leadlog.recording.sinks.report import RingReport
from leadlog.verification.report import CAUSES, Cause, Difference

__all__ = ["Causes", "described"]

_MADE: Final = ("created_at", "created", "inserted_at", "created_on")


class Causes:
    """The possible causes of differences in one table.

    Args:
        table: the replayed rows.
        doubts: the doubts of the replay.
        log_first: time of the log's first event.
        skipped: lines that could not be read.
        rings: the writers' ring reports.

    Attributes:
        key_columns: names of the primary key's columns, once the real table is known.
        others: other classes with such a row in the log that has all columns of the table, by key.
    """

    def __init__(
        self,
        table: Table,
        doubts: Sequence[Doubt],
        log_first: str,
        skipped: Skipped,
        rings: Iterable[RingReport] = (),
    ) -> None:
        self.key_columns: frozenset[str] = frozenset()
        self.others: Mapping[str, str] = {}
        self._table = table
        self._doubts = doubts
        self._log_first = log_first
        self._skipped = skipped
        self._rings = [ring for ring in rings if ring.category == "database_operations"]

    def missing(self, key: str, row: Row) -> Difference:
        """Return the difference for a row that is in the log but not in the table."""
        cause, text, event_id = self._of(row, "delete", None)
        return Difference(key, "missing", None, None, None, cause, text, event_id)

    def surplus(self, key: str, values: dict[str, Any]) -> Difference:
        """Return the difference for a row that is in the table but not in the log."""
        gone = self._table.gone.get(key)
        other = self.others.get(key)
        if other is not None:
            text = f"{CAUSES['other_class']}: add `--entity {other}`, if they share the table"
            return Difference(key, "extra", None, None, None, "other_class", text)
        made = next((values[name] for name in _MADE if type(values.get(name)) is str), None)
        if gone is None and made is not None and made < self._log_first:
            text = f"{CAUSES['before_log']}: it was made at {made}, the log begins at "
            return Difference(key, "extra", None, None, None, "before_log", text + self._log_first)
        cause, text, event_id = self._of(None, "create", None)
        if gone is not None:
            text += f" (the log has its deletion at {gone})"
        return Difference(key, "extra", None, None, None, cause, text, event_id)

    def changed(self, key: str, row: Row, column: str, logged: Any, found: Any) -> Difference:
        """Return the difference for a value that differs."""
        cause, text, event_id = self._of(row, "update", column)
        if cause == "unexplained" and column not in self._table.columns:
            cause, text = (
                "never_logged",
                (
                    f"{CAUSES['never_logged']}: it is left out of the capture, or came later, or "
                    "something else writes it"
                ),
            )
        return Difference(key, "changed", column, logged, found, cause, text, event_id)

    def _of(self, row: Row | None, kind: Any, column: str | None) -> tuple[Cause, str, str | None]:
        first = 0 if row is None else row.seen(column)
        found: dict[str, Doubt] = {}
        for doubt in reversed(self._doubts[first:]):
            if doubt.cause in found:
                continue
            if doubt.touches(self._table.entity, kind, column) or (
                column is None and doubt.moves(self._table.entity, self.key_columns)
            ):
                found[doubt.cause] = doubt
        for cause in ("blind_spot", "uncertain"):
            if cause in found:
                return cause, described(found[cause]), found[cause].event_id
        if row is not None and row.gap is not None:
            text = f"{CAUSES['chain']}; seen at {row.gap.at} (event {row.gap.event_id})"
            return "chain", text, row.gap.event_id
        if "dropped" in found:
            return "dropped", described(found["dropped"]), found["dropped"].event_id
        return (*self._unseen(), None)

    def _unseen(self) -> tuple[Cause, str]:
        """Return a cause that affects the log as a whole, with a description."""
        for ring in self._rings:
            lost = sum(ring.dropped.values())
            if lost:
                causes = ", ".join(ring.dropped)
                return "lost", f"process {ring.process_id} lost {lost} records ({causes})"
        for ring in self._rings:
            if ring.in_ring:
                remedy = "wait a moment" if ring.alive else "run `leadlog recover`"
                return "waiting", (
                    f"{ring.in_ring} records of process {ring.process_id} are not in the files "
                    f"yet: {remedy}"
                )
        if self._table.sampled:
            text = ", ".join(f"{name} {share:g}" for name, share in self._table.sampled.items())
            return "sampled", f"sampling kept a share of the records only: {text}"
        if self._skipped.lines or self._skipped.unfinished:
            path, offset = self._skipped.places[0]
            count = self._skipped.lines + self._skipped.unfinished
            return "damaged", f"{count} damaged lines, the first in {path} at byte {offset}"
        return "unexplained", f"not in the log: {CAUSES['unexplained']}"


def described(doubt: Doubt) -> str:
    """Return a doubt as a sentence."""
    where = f"at {doubt.at} (event {doubt.event_id})"
    if doubt.cause == "dropped":
        lines = "" if doubt.lines is None else f"{doubt.lines} "
        if doubt.operation == "ended":
            return f"{lines}records were dropped ({doubt.detail}) until {doubt.at}"
        return f"records were being dropped ({doubt.detail}) {where}"
    rows = {None: "an unknown number of rows", 1: "1 row"}.get(doubt.rows, f"{doubt.rows} rows")
    what = doubt.operation or "a call"
    if doubt.columns:
        what += f" of {', '.join(sorted(doubt.columns))}"
    text = f"{what} {where} touched {rows} without saying which"
    return text if doubt.cause == "blind_spot" else f"{text}, and its outcome is not known"

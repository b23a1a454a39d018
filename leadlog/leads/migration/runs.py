"""The migration tables of a store: runs, sources, and the outcome of each record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.bulk import Insertion
from leadlog.leads.store.intake import AddOutcome
from leadlog.leads.store.models import Lead, MigrationItem, MigrationRun, MigrationSource

__all__ = ["COMPLETED", "RUNNING", "LeadsState", "MigrationTables", "account_of"]

RUNNING, COMPLETED = "running", "completed"
_OUTCOMES = {"created": "migrated", "updated": "duplicate", "rejected": "rejected"}
_ITEMS: Table = MigrationItem.__table__  # type: ignore[assignment]  # declarative types it FromClause
_ADD_ITEMS = Insertion(insert(_ITEMS))
_STATE = select(func.count(), func.coalesce(func.sum(Lead.row_version), 0)).select_from(Lead)


def account_of(source: Mapping[str, Any]) -> str:
    """Return the key of a source that was stored with a run; see `Reading.account`."""
    return str(source.get("account", source["sha256"]))


@dataclass(frozen=True, slots=True)
class LeadsState:
    """The number of leads and the sum of their versions, to detect changes to any lead."""

    count: int
    versions: int


class MigrationTables:
    """The tables of migrations in a store."""

    def __init__(self, db: LeadDatabase) -> None:
        self._db = db

    # -------------------------------------------------------------------------------- runs

    def all(self) -> list[MigrationRun]:
        """Return all runs, oldest first."""
        with self._db.session(read_only=True) as session:
            found = session.scalars(
                select(MigrationRun).order_by(MigrationRun.started_at, MigrationRun.id)
            ).all()
            session.expunge_all()
        return list(found)

    def to_resume(self, accounts: set[str]) -> MigrationRun | None:
        """Return the interrupted run of the same sources; None if there is none."""
        for run in reversed(self.all()):
            if set(map(account_of, run.details["sources"])) == accounts:
                return run if run.status == RUNNING else None
        return None

    def begin(self, run: MigrationRun) -> None:
        """Store the start of a run."""
        with self._db.session() as session:
            session.add(run)

    def end(self, migration_id: str, ended_at: datetime, details: dict[str, Any]) -> None:
        """Store the end of a completed run."""
        with self._db.session() as session:
            session.execute(
                update(MigrationRun)
                .where(MigrationRun.id == migration_id)
                .values(status=COMPLETED, ended_at=ended_at, details=details)
            )

    def state(self) -> LeadsState:
        """Return the number of leads, and the sum of their versions."""
        with self._db.session(read_only=True) as session:
            count, versions = session.execute(_STATE).one()
        return LeadsState(int(count), int(versions))

    # ----------------------------------------------------------------------------- sources

    def complete(self, accounts: set[str]) -> set[str]:
        """Return those of some sources of which every record has a stored outcome."""
        with self._db.session(read_only=True) as session:
            wanted = select(MigrationSource.sha256).where(
                MigrationSource.sha256.in_(accounts), MigrationSource.complete
            )
            return set(session.scalars(wanted))

    def source(self, account: str) -> int:
        """Return the id of a source; assign one if it has none."""
        by_digest = select(MigrationSource.id).where(MigrationSource.sha256 == account)
        with self._db.session() as session:
            found = session.scalar(by_digest)
            if found is None:
                source = MigrationSource(sha256=account)
                session.add(source)
                session.flush()
                found = source.id
        return found

    def set_complete(self, source_id: int) -> None:
        """Mark a source as complete: every record has a stored outcome."""
        with self._db.session() as session:
            session.execute(
                update(MigrationSource)
                .where(MigrationSource.id == source_id, ~MigrationSource.complete)
                .values(complete=True)
            )

    # ------------------------------------------------------------------------------- items

    def accounted(self, source_id: int) -> int:
        """Return the number of leading records of a source that have a stored outcome."""
        last = select(func.max(MigrationItem.ordinal)).where(MigrationItem.source_id == source_id)
        with self._db.session(read_only=True) as session:
            found = session.scalar(last)
        return 0 if found is None else found + 1

    def outcomes(self, source_id: int) -> dict[str, int]:
        """Return the number of records of a source by outcome: migrated, duplicate, rejected."""
        counted = (
            select(MigrationItem.outcome, func.count())
            .where(MigrationItem.source_id == source_id)
            .group_by(MigrationItem.outcome)
        )
        with self._db.session(read_only=True) as session:
            found = {row[0]: int(row[1]) for row in session.execute(counted)}
        return {outcome: found.get(outcome, 0) for outcome in _OUTCOMES.values()}

    def rejected(self, source_id: int, first: int, count: int) -> set[int]:
        """Return the numbers of the rejected ones among some records of a source."""
        wanted = select(MigrationItem.ordinal).where(
            MigrationItem.source_id == source_id,
            MigrationItem.ordinal >= first,
            MigrationItem.ordinal < first + count,
            MigrationItem.outcome == "rejected",
        )
        with self._db.session(read_only=True) as session:
            return set(session.scalars(wanted))

    @staticmethod
    def note(
        connection: Connection, source_id: int, first: int, outcomes: Sequence[AddOutcome]
    ) -> None:
        """Store the outcomes of some records, in the transaction of their leads.

        Args:
            connection: A connection in that transaction.
            source_id: Id of the source.
            first: Number of the first record.
            outcomes: One per record, in order.
        """
        rows = [
            {
                "source_id": source_id,
                "ordinal": ordinal,
                "outcome": _OUTCOMES[outcome.action],
                "lead_id": outcome.lead_id,
            }
            for ordinal, outcome in enumerate(outcomes, first)
        ]
        _ADD_ITEMS.rows(connection, rows)

"""The tables of the lead store: leads, keys, merges, and the state of migrations and the sync.

`lead_key` holds the keys that identify a person (see `leadlog.leads.store.duplicates`). Its primary
key makes the database itself refuse a second lead with the same LinkedIn profile, e-mail address or
name and company, however many threads and processes add leads at once.

A change here needs a migration in `leadlog/leads/store/migrations`; tests compare the two.

Text compares by code point on every database, so that SQLite and PostgreSQL agree on equality, sort
order and the matches of filters.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    event,
    false,
    inspect,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, mapped_column, object_session
from sqlalchemy.types import TypeDecorator

from leadlog.leads.store import triggers

__all__ = [
    "COLUMNS",
    "FIELDS",
    "MAX_TEXT",
    "Base",
    "Lead",
    "LeadKey",
    "LeadMerge",
    "MigrationItem",
    "MigrationRun",
    "MigrationSource",
    "SyncItem",
    "SyncLink",
    "SyncRun",
    "Tombstone",
    "from_lead",
    "from_row",
]

MAX_TEXT = 500
"""Maximum length of an indexed text column, in characters: an index entry of PostgreSQL holds 2704
bytes, and a character takes up to four."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC with microseconds, on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert an aware datetime to UTC; for SQLite, which has no time zones, to a naive one."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a stored datetime as an aware one in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _text() -> String:
    return String().with_variant(String(collation="C"), "postgresql")


class Base(DeclarativeBase):
    """Base of the mapped classes of the lead store."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        str: _text(),
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(),
    }


class Lead(Base):
    """One person to sell to."""

    __tablename__ = "leads"

    id: Mapped[str] = mapped_column(primary_key=True)
    full_name: Mapped[str]
    company: Mapped[str | None]
    email: Mapped[str | None]
    title: Mapped[str | None]
    linkedin_url: Mapped[str | None]
    phone: Mapped[str | None]
    website: Mapped[str | None]
    location: Mapped[str | None]
    industry: Mapped[str | None]
    company_size: Mapped[str | None]
    verified: Mapped[bool] = mapped_column(default=False, server_default=false())
    enriched: Mapped[bool] = mapped_column(default=False, server_default=false())
    status: Mapped[str | None]
    source: Mapped[str | None]
    notes: Mapped[str | None]
    raw_data: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    sync_pending: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # Counted by `_next_version`. Not SQLAlchemy's `version_id_col`: with a default in the database
    # it reloads the row after each UPDATE, and capture would lose the changes.
    row_version: Mapped[int] = mapped_column(default=1, server_default="1")

    __table_args__ = (
        # With the id as last column, an index serves pages in order.
        *(
            Index(f"ix_leads_{name}", name, "id")
            for name in ("full_name", "company", "email", "status", "created_at", "updated_at")
        ),
        # For case-insensitive `starts_with`.
        *(
            Index(f"ix_leads_{name}_small", text(f"lower({name})"))
            for name in ("full_name", "company", "email")
        ),
        # A partial index: only the few leads that wait are in it.
        Index(
            "ix_leads_sync_pending",
            "updated_at",
            "id",
            sqlite_where=text("sync_pending"),
            postgresql_where=text("sync_pending"),
        ),
    )

    def __repr__(self) -> str:
        return f"<Lead {self.id}>"


@event.listens_for(Lead, "before_update")
def _next_version(_: Mapper[Any], __: Connection, lead: Lead) -> None:
    session = object_session(lead)
    if session is not None and session.is_modified(lead):
        lead.row_version += 1


class LeadKey(Base):
    """A key that identifies a lead; no two leads can have the same key."""

    __tablename__ = "lead_key"

    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    # Deferred: keys are claimed before the lead is written, so that a writer that loses a race for
    # a key has written nothing yet.
    lead_id: Mapped[str] = mapped_column(
        ForeignKey("leads.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        index=True,
    )

    def __repr__(self) -> str:
        return f"<LeadKey {self.kind} of {self.lead_id}>"


class LeadMerge(Base):
    """The values that a duplicate overwrote in a stored lead, kept to undo the merge."""

    __tablename__ = "lead_merge"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True
    )
    lead_id: Mapped[str] = mapped_column(ForeignKey("leads.id", ondelete="CASCADE"))
    merged_at: Mapped[datetime]
    matched_on: Mapped[str]
    # By field; for raw_data by column, changed columns only.
    old_values: Mapped[dict[str, Any]]
    new_values: Mapped[dict[str, Any]]
    session_id: Mapped[str | None]
    undone_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_lead_merge_lead_id", "lead_id", "id"),)

    def __repr__(self) -> str:
        return f"<LeadMerge {self.id} of {self.lead_id}>"


class MigrationRun(Base):
    """One migration of files, from start to end, across any number of interruptions."""

    __tablename__ = "migration_run"

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    backup: Mapped[str | None]
    # Written by `leadlog.leads.migration.runs`: sources, counts, the state of the leads.
    details: Mapped[dict[str, Any]]

    def __repr__(self) -> str:
        return f"<MigrationRun {self.id}>"


class MigrationSource(Base):
    """A migrated file, with the number by which its items refer to it."""

    __tablename__ = "migration_source"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    complete: Mapped[bool] = mapped_column(default=False, server_default=false())

    def __repr__(self) -> str:
        return f"<MigrationSource {self.sha256}>"


class MigrationItem(Base):
    """The outcome of one record of a source; committed in the transaction of its lead.

    `lead_id` is not a foreign key: the record remains migrated when its lead is deleted.
    """

    __tablename__ = "migration_item"

    source_id: Mapped[int] = mapped_column(ForeignKey("migration_source.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False
    )
    outcome: Mapped[str]
    lead_id: Mapped[str | None]

    # Rows are inserted in key order, so that the table grows at its end.
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's

    def __repr__(self) -> str:
        return f"<MigrationItem {self.source_id}/{self.ordinal} {self.outcome}>"


class SyncLink(Base):
    """The link of a lead to its Airtable row, with the values of both when they last agreed.

    A lead whose values differ from `base_local` must be sent. There is no separate outbox that
    could disagree with the data.
    """

    __tablename__ = "sync_link"

    # No foreign key: a link whose lead was deleted, in whatever way, marks a row to delete.
    lead_id: Mapped[str] = mapped_column(primary_key=True)
    record_id: Mapped[str] = mapped_column(unique=True)
    base_local: Mapped[dict[str, Any]]
    base_remote: Mapped[dict[str, Any]]
    synced_at: Mapped[datetime]
    # Time of the last change by field; written by a trigger, for every writer.
    local_times: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")

    def __repr__(self) -> str:
        return f"<SyncLink {self.lead_id} {self.record_id}>"


@event.listens_for(SyncLink.__table__, "after_create")
def _create_triggers(_: object, connection: Connection, **__: object) -> None:
    for statement, dialect in triggers.STATEMENTS:
        if connection.dialect.name == dialect:
            connection.exec_driver_sql(statement)


class Tombstone(Base):
    """A deleted lead that was linked; kept until its row is deleted as well."""

    __tablename__ = "tombstone"

    lead_id: Mapped[str] = mapped_column(primary_key=True)
    record_id: Mapped[str] = mapped_column(unique=True)
    # The agreed values of the row, to detect a later edit of it.
    base_remote: Mapped[dict[str, Any]]
    deleted_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"<Tombstone {self.lead_id} {self.record_id}>"


class SyncRun(Base):
    """One run of the sync."""

    __tablename__ = "sync_run"

    sync_id: Mapped[str] = mapped_column(primary_key=True)
    sync_type: Mapped[str]
    base_id: Mapped[str]
    table_id: Mapped[str]
    # Lead field to the id of the Airtable field and the name by which it was found.
    fields: Mapped[dict[str, Any]]
    started_at: Mapped[datetime] = mapped_column(index=True)
    # None while it runs, and if it crashed.
    ended_at: Mapped[datetime | None]
    success: Mapped[bool | None]
    error: Mapped[str | None]
    counts: Mapped[dict[str, Any]]

    def __repr__(self) -> str:
        return f"<SyncRun {self.sync_id}>"


class SyncItem(Base):
    """A lead or a row that was refused by the sync; set aside until it changes or is retried."""

    __tablename__ = "sync_item"

    # The id of a lead, or of a row that is not linked to a lead yet.
    subject: Mapped[str] = mapped_column(primary_key=True)
    lead_id: Mapped[str | None]
    record_id: Mapped[str | None]
    reason: Mapped[str]
    error_code: Mapped[str | None]
    # Digest of the refused values: changed values are tried at once.
    fingerprint: Mapped[str]
    failures: Mapped[int]
    failed_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"<SyncItem {self.subject}>"


COLUMNS = tuple(c for c in inspect(Lead).local_table.c if isinstance(c, Column))
FIELDS = tuple(column.key for column in COLUMNS)
"""The fields of a lead, in the order of the rows that `from_row` takes."""


def from_row(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row of `COLUMNS` as a dict, with the name as both `name` and `full_name`."""
    lead = dict(zip(FIELDS, row, strict=True))
    lead["name"] = lead["full_name"]
    return lead


def from_lead(lead: Lead) -> dict[str, Any]:
    """Return a loaded lead as a dict, with the name as both `name` and `full_name`."""
    values = lead.__dict__
    found = {field: values[field] for field in FIELDS}
    found["name"] = found["full_name"]
    return found

"""The tables of the lead store: `leads` and `lead_key`.

`lead_key` holds what tells one person from another (see `leadlog.store.duplicates`). Its primary
key makes the database itself refuse a second lead with the same LinkedIn profile, e-mail address
or name and company, however many threads and processes add leads at once.

Text compares by code point on every database, so that SQLite and PostgreSQL agree on what is
equal, what comes first and what a filter finds.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, String, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = ["MAX_TEXT", "Base", "Lead", "LeadKey"]

MAX_TEXT = 500
"""Longest value of an indexed text column, characters: an index entry of PostgreSQL holds 2704
bytes, and a character takes up to four."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC with microseconds, whatever the database can store."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware datetime into UTC; SQLite, which has no time zones, gets it without one."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every datetime as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _text() -> String:
    return String().with_variant(String(collation="C"), "postgresql")


class Base(DeclarativeBase):
    """Root of the mapped classes of the lead store."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        str: _text(),
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(),
    }


class Lead(Base):
    """One person to sell to."""

    __tablename__ = "leads"

    id: Mapped[str] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(index=True)
    company: Mapped[str | None] = mapped_column(index=True)
    email: Mapped[str | None] = mapped_column(index=True)
    title: Mapped[str | None]
    linkedin_url: Mapped[str | None]
    phone: Mapped[str | None]
    website: Mapped[str | None]
    location: Mapped[str | None]
    industry: Mapped[str | None]
    company_size: Mapped[str | None]
    verified: Mapped[bool] = mapped_column(default=False, server_default=false())
    enriched: Mapped[bool] = mapped_column(default=False, server_default=false())
    status: Mapped[str | None] = mapped_column(index=True)
    source: Mapped[str | None]
    notes: Mapped[str | None]
    raw_data: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    sync_pending: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_leads_created_at", "created_at", "id"),
        # Only the few that wait are in it.
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


class LeadKey(Base):
    """One thing that identifies a lead; no two leads can have the same."""

    __tablename__ = "lead_key"

    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    # Deferred: keys are claimed before the lead is written, so that whoever loses a race for one
    # has written nothing yet.
    lead_id: Mapped[str] = mapped_column(
        ForeignKey("leads.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        index=True,
    )

    def __repr__(self) -> str:
        return f"<LeadKey {self.kind} of {self.lead_id}>"

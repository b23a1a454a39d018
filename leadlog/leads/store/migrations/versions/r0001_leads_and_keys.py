"""Leads and their duplicate keys, as created by the first version, without a version table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Create both tables and their indexes."""
    op.create_table(
        "leads",
        sa.Column("id", _text(), primary_key=True),
        sa.Column("full_name", _text(), nullable=False),
        *(
            sa.Column(name, _text(), nullable=True)
            for name in (
                *("company", "email", "title", "linkedin_url", "phone", "website", "location"),
                *("industry", "company_size"),
            )
        ),
        sa.Column("verified", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("enriched", sa.Boolean(), server_default=sa.false(), nullable=False),
        *(sa.Column(name, _text(), nullable=True) for name in ("status", "source", "notes")),
        sa.Column("raw_data", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("sync_pending", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    for name in ("full_name", "company", "email", "status"):
        op.create_index(f"ix_leads_{name}", "leads", [name])
    op.create_index("ix_leads_created_at", "leads", ["created_at", "id"])
    op.create_index(
        "ix_leads_sync_pending",
        "leads",
        ["updated_at", "id"],
        sqlite_where=sa.text("sync_pending"),
        postgresql_where=sa.text("sync_pending"),
    )
    op.create_table(
        "lead_key",
        sa.Column("kind", _text(), primary_key=True),
        sa.Column("value", _text(), primary_key=True),
        sa.Column(
            "lead_id",
            _text(),
            sa.ForeignKey("leads.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
            nullable=False,
        ),
    )
    op.create_index("ix_lead_key_lead_id", "lead_key", ["lead_id"])

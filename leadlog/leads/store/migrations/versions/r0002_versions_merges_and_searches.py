"""A version of each lead, the merge log, and indexes for paging and for prefix searches."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _text() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add them; existing leads get version 1."""
    op.add_column(
        "leads", sa.Column("row_version", sa.Integer(), server_default="1", nullable=False)
    )
    # With the id as last column, an index serves pages in order; on the lower-case text, it serves
    # `starts_with`.
    for name in ("full_name", "company", "email", "status"):
        op.drop_index(f"ix_leads_{name}", "leads")
        op.create_index(f"ix_leads_{name}", "leads", [name, "id"])
    for name in ("full_name", "company", "email"):
        op.create_index(f"ix_leads_{name}_small", "leads", [sa.text(f"lower({name})")])
    op.create_index("ix_leads_updated_at", "leads", ["updated_at", "id"])
    op.create_table(
        "lead_merge",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column(
            "lead_id", _text(), sa.ForeignKey("leads.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("matched_on", _text(), nullable=False),
        sa.Column("old_values", sa.JSON(), nullable=False),
        sa.Column("new_values", sa.JSON(), nullable=False),
        sa.Column("session_id", _text(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_lead_merge_lead_id", "lead_merge", ["lead_id", "id"])

"""The state of the Airtable sync: links, tombstones, runs, and refused leads and rows."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _text() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def _moment() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables; nothing is linked yet."""
    op.create_table(
        "sync_link",
        sa.Column("lead_id", _text(), primary_key=True),
        sa.Column("record_id", _text(), nullable=False, unique=True),
        sa.Column("base_local", sa.JSON(), nullable=False),
        sa.Column("base_remote", sa.JSON(), nullable=False),
        sa.Column("synced_at", _moment(), nullable=False),
    )
    op.create_table(
        "tombstone",
        sa.Column("lead_id", _text(), primary_key=True),
        sa.Column("record_id", _text(), nullable=False, unique=True),
        sa.Column("base_remote", sa.JSON(), nullable=False),
        sa.Column("deleted_at", _moment(), nullable=False),
    )
    op.create_table(
        "sync_run",
        sa.Column("sync_id", _text(), primary_key=True),
        sa.Column("sync_type", _text(), nullable=False),
        sa.Column("base_id", _text(), nullable=False),
        sa.Column("table_id", _text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("started_at", _moment(), nullable=False),
        sa.Column("ended_at", _moment(), nullable=True),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("error", _text(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
    )
    op.create_index("ix_sync_run_started_at", "sync_run", ["started_at"])
    op.create_table(
        "sync_item",
        sa.Column("subject", _text(), primary_key=True),
        sa.Column("lead_id", _text(), nullable=True),
        sa.Column("record_id", _text(), nullable=True),
        sa.Column("reason", _text(), nullable=False),
        sa.Column("error_code", _text(), nullable=True),
        sa.Column("fingerprint", _text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", _moment(), nullable=False),
    )

"""The outcome of each record of a migrated file."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _text() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables of migrations."""
    op.create_table(
        "migration_run",
        sa.Column("id", _text(), primary_key=True),
        sa.Column("status", _text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("backup", _text(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
    )
    op.create_table(
        "migration_source",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sha256", _text(), nullable=False, unique=True),
        sa.Column("complete", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "migration_item",
        sa.Column(
            "source_id", sa.Integer(), sa.ForeignKey("migration_source.id"), primary_key=True
        ),
        sa.Column(
            "ordinal",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("outcome", _text(), nullable=False),
        sa.Column("lead_id", _text(), nullable=True),
        sqlite_with_rowid=False,
    )

"""The time of the last change of each field of a linked lead, so that the later edit wins."""

import sqlalchemy as sa
from alembic import op

from leadlog.leads.store.triggers import STATEMENTS

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column and the trigger; the times of earlier changes are unknown."""
    op.add_column(
        "sync_link", sa.Column("local_times", sa.JSON(), nullable=False, server_default="{}")
    )
    dialect = op.get_bind().dialect.name
    for statement, wanted in STATEMENTS:
        if wanted == dialect:
            op.get_bind().exec_driver_sql(statement)

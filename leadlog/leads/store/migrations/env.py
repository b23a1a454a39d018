"""Alembic's environment of the lead store; `leadlog.leads.store.schema.upgrade` runs it."""

from alembic import context

from leadlog.core.errors import StoreError
from leadlog.leads.store.models import Base
from leadlog.leads.store.schema import VERSION_TABLE

connection = context.config.attributes.get("connection")
if connection is None:
    raise StoreError(
        "these migrations run on a connection of the lead store; use: leadlog db upgrade"
    )
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    # Holds for SQLite as well, since the driver leaves BEGIN and COMMIT to us.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

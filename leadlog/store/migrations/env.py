"""Alembic's way into the lead store: run by `leadlog.store.schema.upgrade`, in its transaction."""

from alembic import context

from leadlog.errors import StoreError
from leadlog.store.models import Base
from leadlog.store.schema import VERSION_TABLE

connection = context.config.attributes.get("connection")
if connection is None:
    raise StoreError(
        "these migrations run on a connection of the lead store; use: leadlog db upgrade"
    )
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    # SQLite has it too, where the driver leaves BEGIN and COMMIT to us.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

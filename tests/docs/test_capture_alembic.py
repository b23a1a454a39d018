"""The page on Alembic: its files make a real migration, on both kinds of database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "customers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("email", sa.String),
    )


def downgrade():
    op.drop_table("customers")
"""

FAILING = """
import sqlalchemy as sa
from alembic import op
from sqlalchemy.orm import Session

import leadlog
from models import Customer

revision = "0003"
down_revision = "0002"


def upgrade():
    with leadlog.session(revision=revision), Session(op.get_bind()) as session:
        session.get(Customer, 1).name = "Nobody"
        session.commit()
    raise RuntimeError("the step fails after its changes")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'customers.db'}"
    return str(request.getfixturevalue("postgres_database"))


def test_a_migration_says_what_each_step_did_to_the_rows(
    database: str,
    tmp_path: Path,
    files_of: Callable[[str], None],
    run: Callable[..., Any],
    logged: Callable[..., list[dict[str, Any]]],
) -> None:
    """Committed steps are committed; one that fails after its changes is rolled back."""
    files_of("capture-alembic.md")
    versions = tmp_path / "migrations" / "versions"
    (versions / "0001_customers.py").write_text(FIRST)
    (tmp_path / "alembic.ini").write_text(
        "[alembic]\nscript_location = migrations\nprepend_sys_path = .\npath_separator = os\n"
    )
    run("alembic", "upgrade", "0001", DATABASE_URL=database)
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO customers (name, email) VALUES (:name, :email)"),
            [{"name": "Ana", "email": "ANA@acme.com"}, {"name": "Bo", "email": None}],
        )
    assert logged("database_operations") == []

    run("alembic", "upgrade", "head", DATABASE_URL=database)
    (record,) = writes(logged("database_operations"))
    assert record["event_name"] == "customer.update"
    assert record["context"] == {"job": "alembic", "revision": "0002"}
    assert record["operation_details"]["outcome"] == "committed"
    assert record["data_details"]["fields_changed"] == {
        "email": {"old": "ANA@acme.com", "new": "ana@acme.com"}
    }

    (versions / "0003_failing.py").write_text(FAILING)
    failed = run("alembic", "upgrade", "head", check=False, DATABASE_URL=database)
    assert failed.returncode != 0
    assert "the step fails after its changes" in failed.stderr
    with engine.connect() as connection:
        names = connection.scalars(sa.text("SELECT name FROM customers ORDER BY id")).all()
    engine.dispose()
    assert names == ["Ana", "Bo"]
    (record,) = writes(logged("database_operations"))[1:]
    assert record["context"]["revision"] == "0003"
    assert record["operation_details"]["outcome"] == "rolled_back"
    assert record["data_details"]["fields_changed"] == {"name": {"old": "Ana", "new": "Nobody"}}


def writes(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of changes."""
    return [r for r in records if r["operation_details"]["operation_type"] != "read"]

"""The schema of new databases and of databases of earlier, later and foreign versions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, text

import leadlog.leads.store
from leadlog.core.errors import StoreError
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.location import location
from leadlog.leads.store.models import Base
from leadlog.leads.store.schema import REVISIONS, VERSION_TABLE, prepare, revision_of, upgrade

MIGRATIONS = Path(leadlog.leads.store.__file__).with_name("migrations")


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def connections(request, tmp_path) -> Iterator[Connections]:
    """An empty database."""
    url = (
        str(tmp_path / "leads.db")
        if request.param == "file"
        else request.getfixturevalue("postgres_database")
    )
    found = Connections(location(url))
    yield found
    found.close()


def migrate(connection: Connection, revision: str) -> None:
    """Apply all migrations up to a revision with Alembic's own commands."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    command.upgrade(config, revision)


def first_version(connections: Connections, *, leads: int = 0) -> None:
    """Create the database of leadlog's first version."""
    with connections.write() as session:
        connection = session.connection()
        migrate(connection, REVISIONS[0])
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        for n in range(leads):
            email, at = f"{n}@acme.example", "2026-11-23 10:00:00.000000"
            connection.exec_driver_sql(
                "INSERT INTO leads (id, full_name, email, created_at, updated_at) "
                f"VALUES ('{n}', 'Lead {n}', '{email}', '{at}', '{at}')"
            )
            connection.exec_driver_sql(f"INSERT INTO lead_key VALUES ('email', '{email}', '{n}')")


def described(connection: Connection) -> dict[str, list[object]]:
    """Return the database's own description of its tables, columns, keys and indexes."""

    def ask(statement: str) -> list[object]:
        return sorted((tuple(row) for row in connection.exec_driver_sql(statement)), key=repr)

    if connection.dialect.name == "postgresql":
        columns = "table_name, column_name, data_type, is_nullable, column_default, collation_name"
        here = "table_schema = 'public'"
        return {
            "columns": ask(f"SELECT {columns} FROM information_schema.columns WHERE {here}"),
            "indexes": ask("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"),
            "constraints": ask(
                "SELECT conrelid::regclass::text, contype, pg_get_constraintdef(oid) "
                "FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            ),
        }
    found = {}
    for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'"):
        columns = 'name, type, "notnull", dflt_value, pk'
        found[name] = ask(f"SELECT {columns} FROM pragma_table_xinfo('{name}')")
        found[name] += ask(f"SELECT * FROM pragma_foreign_key_list('{name}')")
    # Automatic ones have no text.
    found["indexes"] = ask("SELECT sql FROM sqlite_master WHERE type = 'index'")
    (deferred,) = connection.exec_driver_sql(
        "SELECT sql LIKE '%DEFERRABLE INITIALLY DEFERRED%' FROM sqlite_master "
        "WHERE name = 'lead_key'"
    ).one()
    return {**found, "deferred": [deferred]}


def test_a_new_schema_equals_the_migrated_one(connections):
    """A new database has the same tables, columns, keys and indexes as a migrated one."""
    assert upgrade(connections) == (None, REVISIONS[-1])
    with connections.write() as session:
        connection = session.connection()
        created = described(connection)
        Base.metadata.drop_all(connection)
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        migrate(connection, "head")
        assert described(connection) == created


# SQLAlchemy cannot read indexes on expressions on SQLite; the test above compares them.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_migrated_schema_has_nothing_that_alembic_would_change(connections):
    """Alembic's comparison finds no difference between the models and a migrated database."""
    with connections.write() as session:
        migrate(session.connection(), "head")
    with connections.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: (kind, name) != ("table", VERSION_TABLE),
            },
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_revisions_are_known_without_alembic():
    """REVISIONS lists exactly the shipped migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS


def test_a_database_of_the_first_version_is_upgraded(connections, tmp_path):
    """SQLite is upgraded on opening; PostgreSQL names the command; leads and keys are kept."""
    first_version(connections, leads=3)
    if connections.sqlite:
        prepare(connections)
    else:
        with pytest.raises(StoreError, match=r"is of revision 0001 .*leadlog db upgrade"):
            prepare(connections)
        assert upgrade(connections) == ("0001", REVISIONS[-1])
        prepare(connections)
    with connections.read() as connection:
        assert revision_of(connection, connections) == REVISIONS[-1]
    with LeadDatabase(connections.url, capture=False) as db:
        assert [lead["row_version"] for lead in db.get_all_leads()] == [1, 1, 1]
        assert db.add_lead({"name": "Lead 1", "email": "1@acme.example", "title": "CTO"}) == "1"
        assert db.get_lead("1")["row_version"] == 2


@pytest.mark.postgres
def test_a_store_that_another_process_makes_at_that_moment_is_no_old_one(postgres_database):
    """Tables created by another process during opening are not mistaken for revision 0001."""
    made = []

    def make(context):
        if getattr(context.original_exception, "sqlstate", None) == "42P01" and not made:
            made.append(True)
            LeadDatabase(postgres_database, capture=False).close()

    event.listen(Engine, "handle_error", make)
    try:
        with LeadDatabase(postgres_database, capture=False) as db:
            assert db.stats()["total_leads"] == 0
    finally:
        event.remove(Engine, "handle_error", make)
    assert made


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(connections):
    """All migrations run in one transaction, on SQLite as well."""
    first_version(connections, leads=1)
    with connections.write() as session:
        session.execute(text("CREATE TABLE lead_merge (stranger INTEGER)"))
    with connections.read() as connection:
        before = described(connection)
    with pytest.raises(Exception, match="lead_merge"):
        upgrade(connections)
    with connections.read() as connection:
        assert described(connection) == before


def test_a_database_of_a_newer_version_is_refused(connections):
    """A database of a newer leadlog is left unchanged, and the error says to upgrade."""
    prepare(connections)
    with connections.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"'9999', which a newer version .* upgrade leadlog"):
        prepare(connections)
    with pytest.raises(StoreError, match="newer version"):
        upgrade(connections)


def test_half_of_our_tables_are_refused(connections):
    """A database with leads but without lead_key is refused as foreign or damaged."""
    first_version(connections)
    with connections.write() as session:
        session.execute(text("DROP TABLE lead_key"))
    with pytest.raises(StoreError, match="has the table leads, but not lead_key"):
        prepare(connections)


def test_opening_an_up_to_date_store_does_not_import_alembic(tmp_path):
    """Opening a current store costs one SELECT, and creating one needs no migration."""
    program = (
        "import sys\nfrom leadlog.leads.store import LeadDatabase\n"
        "for _ in range(2): LeadDatabase('leads.db', capture=False).close()\n"
        "assert 'alembic' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        check=True,
        timeout=60,
    )


def test_processes_that_open_an_old_database_at_once_upgrade_it_once(tmp_path):
    """One process upgrades, and the others wait and find the upgrade done."""
    path = tmp_path / "leads.db"
    old = Connections(location(path))
    first_version(old, leads=200)
    old.close()
    program = (
        "from leadlog.leads.store import LeadDatabase\nLeadDatabase('leads.db', capture=False)"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        for _ in range(3)
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    with LeadDatabase(path, capture=False) as db:
        assert db.stats()["total_leads"] == 200

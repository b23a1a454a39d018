"""Every kind of column and key, and rows in several schemas, verify without false differences."""

import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

import leadlog
from leadlog.core.errors import ReadError
from leadlog.verification import verify
from tests.capture.test_identity import Composite, Kind, Post, Tag
from tests.capture.test_stored_values import VALUES, Thing


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_every_kind_of_value_verifies(
    request: pytest.FixtureRequest, tmp_path: Path, server: str
) -> None:
    """Values added by flush and by Core, changed and reverted, verify."""
    url = f"sqlite:///{tmp_path}/things.db"
    if server == "postgresql":
        url = request.getfixturevalue("postgres_database")
    engine = sa.create_engine(url)
    Thing.metadata.create_all(engine)
    leadlog.configure(directory=tmp_path / "log")
    handle = leadlog.capture(engine, Thing)
    sealed = [("diary", "tulip", None), ("loud", "hey", None), ("dump", {"a": 1}, None)]
    for place, (column, value, _stored) in enumerate([*VALUES, *sealed]):
        with Session(engine) as session:
            session.add(Thing(id=place, **{column: value}))
            session.execute(sa.insert(Thing.__table__).values(id=place + 100, **{column: value}))
            session.add(Thing(id=place + 200, **{column: value}))
            session.commit()
            changed = session.get_one(Thing, place + 200)
            setattr(changed, column, None)
            session.commit()
            setattr(changed, column, value)
            session.commit()
    handle.release()
    engine.dispose()
    assert leadlog.flush()
    report = verify(tmp_path / "log", url, entity="Thing")
    assert report.differences == []
    assert report.gaps == []
    assert report.rows_equal == 3 * (len(VALUES) + len(sealed))


def test_composite_keys_and_association_tables_verify(tmp_path: Path) -> None:
    """Rows with composite keys verify, whatever characters the parts contain."""
    url = f"sqlite:///{tmp_path}/posts.db"
    engine = sa.create_engine(url)
    Post.metadata.create_all(engine)
    leadlog.configure(directory=tmp_path / "log")
    handle = leadlog.capture(engine, Composite, Post, Tag)
    with Session(engine) as session:
        session.add(Post(id=1, tags=[Tag(id=1), Tag(id=2)]))
        session.add_all(
            Composite(room=room, kind=Kind.WORK, code=code, uid=uuid.UUID(int=0))
            for room in ("a,b", "a", "\\")
            for code in (b"", b",", b"\xff")
        )
        session.commit()
    handle.release()
    engine.dispose()
    assert leadlog.flush()
    for entity, table, rows in (("Composite", "composites", 9), ("post_tag", "post_tag", 2)):
        report = verify(tmp_path / "log", url, entity=entity, table=table)
        assert (report.differences, report.rows_equal) == ([], rows)


def test_schemas_verify_apart(postgres_database: str, tmp_path: Path) -> None:
    """A single schema needs no name; one of several must be named."""
    engine = sa.create_engine(postgres_database)
    with engine.begin() as connection:
        for tenant in ("one", "two"):
            connection.exec_driver_sql(f"CREATE SCHEMA {tenant}")
            connection.exec_driver_sql(f"CREATE TABLE {tenant}.tags (id int PRIMARY KEY)")
    leadlog.configure(directory=tmp_path / "log")
    handle = leadlog.capture(engine, Tag)

    def add(tenant: str, number: int) -> None:
        with Session(engine.execution_options(schema_translate_map={None: tenant})) as session:
            session.add(Tag(id=number))
            session.commit()
        assert leadlog.flush()

    add("one", 1)
    assert verify(tmp_path / "log", postgres_database, entity="Tag").rows_equal == 1
    add("two", 1)
    add("two", 2)
    with pytest.raises(ReadError, match=r"one\.Tag, two\.Tag; name one"):
        verify(tmp_path / "log", postgres_database, entity="Tag")
    report = verify(tmp_path / "log", postgres_database, entity="two.Tag")
    assert (report.differences, report.rows_equal) == ([], 2)
    handle.release()
    engine.dispose()

"""Sessions that are dropped without being closed, and the session that their records belong to."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog

Logged = Callable[..., list[dict[str, Any]]]


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """A captured engine with its own database."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'customers.db'}")
    Base.metadata.create_all(engine)
    leadlog.configure()
    handle = leadlog.capture(engine, Customer)
    yield engine
    handle.release()
    engine.dispose()


def test_an_abandoned_session_gives_its_connection_back(engine: sa.Engine, logged: Logged) -> None:
    """Capture keeps neither of them alive: SQLAlchemy rolls it back as without capture."""
    session = Session(engine)
    session.add(Customer(name="Ana"))
    session.flush()
    let_go = weakref.ref(session)
    del session
    gc.collect()
    assert let_go() is None
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool
    (record,) = logged("database_operations")
    assert record["operation_details"]["outcome"] == "rolled_back"


def test_a_record_belongs_to_the_session_its_call_was_made_in(
    engine: sa.Engine, logged: Logged
) -> None:
    """It does not belong to the session that is open when its transaction ends."""
    with Session(engine) as session:
        with leadlog.session(request="writes") as wrote:
            session.add(Customer(name="Ana"))
            session.flush()
        with leadlog.session(request="commits"):
            session.commit()
    (record,) = logged("database_operations")
    assert record["session_id"] == wrote
    assert record["context"] == {"request": "writes"}
    assert record["operation_details"]["outcome"] == "committed"


def test_a_rollback_by_the_garbage_collector_belongs_to_nobody_else(
    engine: sa.Engine, logged: Logged
) -> None:
    """A Session may be garbage collected while an unrelated request is served."""
    with leadlog.session(request="abandons") as abandoned:
        session = Session(engine)
        session.add(Customer(name="Ana"))
        session.flush()
    with leadlog.session(request="another"):
        del session
        gc.collect()
    (record,) = logged("database_operations")
    assert record["session_id"] == abandoned

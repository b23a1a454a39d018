"""One log for several databases with the same classes, such as one per tenant or shard."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.core.errors import ReadError
from leadlog.verification import verify


class Base(DeclarativeBase):
    pass


class Deal(Base):
    __tablename__ = "deals"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


def test_rows_of_databases_with_names_are_kept_apart(tmp_path: Path) -> None:
    """Rows with equal keys in named databases are kept separate, for ORM, Core and reads."""
    leadlog.configure()
    for tenant in ("north", "south"):
        engine = sa.create_engine(f"sqlite:///{tmp_path / tenant}.db")
        Base.metadata.create_all(engine)
        handle = leadlog.capture(engine, Base, database=tenant, hits=True)
        with Session(engine) as session:
            session.add_all([Deal(id=1, title=tenant), Deal(id=2, title="x")])
            session.commit()
            session.execute(sa.update(Deal).where(Deal.id == 2).values(title=f"of {tenant}"))
            session.commit()
            session.get(Deal, 1)
            session.get(Deal, 1)
        handle.release()
        engine.dispose()
    assert leadlog.flush()
    logs = tmp_path / "database_logs"
    for tenant in ("north", "south"):
        database = f"sqlite:///{tmp_path / tenant}.db"
        report = verify(logs, database, entity=f"{tenant}:Deal", table="deals")
        assert (report.difference_count, report.rows_equal, report.gaps) == (0, 2, [])
    with pytest.raises(ReadError, match="the log has north:Deal, south:Deal"):
        verify(logs, f"sqlite:///{tmp_path / 'north'}.db", entity="Deal", table="deals")


@pytest.mark.parametrize("name", ["", "a:b", 7])
def test_a_name_that_is_none_is_refused(name: object) -> None:
    """A database name with a colon, or of another type, is refused."""
    with pytest.raises(ValueError, match="give a text without a colon"):
        leadlog.capture(sa.create_engine("sqlite://"), Deal, database=name)  # type: ignore[arg-type]

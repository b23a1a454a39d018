"""Attribution of failures to users, from a captured application to the alert."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.monitor import Monitor
from leadlog.monitor.configuration import configure


class Base(DeclarativeBase):
    """Base class of the tables below."""


class Contact(Base):
    """A contact with a unique address."""

    __tablename__ = "contact"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)


@pytest.fixture
def sign_up(tmp_path):
    """Return a function that signs a user up and returns 201, 409 or 503 like an endpoint."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    Base.metadata.create_all(engine)
    leadlog.configure()
    leadlog.capture(engine, Contact)

    def make(email, *, table=True):
        if not table:
            with engine.begin() as connection:
                connection.execute(sa.text("DROP TABLE IF EXISTS contact"))
        with leadlog.session(), Session(engine) as session:
            session.add(Contact(email=email))
            try:
                session.commit()
            except sa.exc.IntegrityError:
                return 409
            except sa.exc.OperationalError:
                return 503
        return 201

    yield make
    engine.dispose()


def alerts(tmp_path, **table):
    """Return the findings of one evaluation."""
    leadlog.flush()
    monitor = Monitor(
        tmp_path / "database_logs",
        configuration=configure(table),
        channels={},
        checks=False,
        emit=lambda level, name, event: None,
        measure=lambda _: {},
    )
    with closing(monitor):
        return {f"{one.rule}:{one.label}": one.message for one in monitor.once(0).firing}


def test_duplicates_that_the_application_handled_burn_no_objective(sign_up, tmp_path):
    """Sixty sign-ups and seven existing addresses fire nothing."""
    answers = [sign_up(f"c{number % 60}@x.example") for number in range(67)]
    assert (answers.count(201), answers.count(409)) == (60, 7)
    assert alerts(tmp_path) == {}


def test_they_do_where_the_settings_say_so(sign_up, tmp_path):
    """With `user_errors_count` they burn the objective."""
    for number in range(67):
        sign_up(f"c{number % 60}@x.example")
    assert "burn_rate:fast" in alerts(tmp_path, user_errors_count=True)


def test_a_database_that_fails_burns_it(sign_up, tmp_path):
    """The message names the class, the sessions and the error."""
    for number in range(60):
        sign_up(f"c{number}@x.example")
    answers = {sign_up(f"d{number}@x.example", table=False) for number in range(20)}
    assert answers == {503}
    said = alerts(tmp_path)["burn_rate:fast"]
    assert "Contact.create 20" in said
    assert "database_error of Contact.create" in said
    assert "no such table" in said
    assert "20 sessions" in said

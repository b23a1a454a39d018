"""The recorded outcome is the database's, and a hook never interferes with the application."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.recording.capture.operation import current_operation, operation
from leadlog.recording.capture.targets import Handle, attach
from tests.capture.people import begin_recipe

Logged = Callable[..., list[dict[str, Any]]]


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Contact(Base):
    """A small mapped class."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str | None]


@pytest.fixture(params=["sqlite", "sqlite_autocommit", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[sa.Engine]:
    """A database with an empty table."""
    if request.param == "postgresql":
        engine = sa.create_engine(request.getfixturevalue("postgres_database"))
    elif request.param == "sqlite":
        engine = begin_recipe(sa.create_engine(f"sqlite:///{tmp_path}/test.db"))
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", isolation_level="AUTOCOMMIT")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def transactional(engine: sa.Engine) -> sa.Engine:
    """The `engine` fixture, only for databases with transactions."""
    if engine.get_execution_options().get("isolation_level") == "AUTOCOMMIT" or (
        engine.dialect._on_connect_isolation_level == "AUTOCOMMIT"
    ):
        pytest.skip("AUTOCOMMIT has no transactions")
    return engine


@pytest.fixture
def handle(engine: sa.Engine) -> Iterator[Handle]:
    """The hooks on that database."""
    handle = attach(engine, Contact)
    yield handle
    handle.release()


def outcomes(logged: Logged) -> list[tuple[str, str]]:
    """Return operation and outcome of every record of a write, in order."""
    return [
        (e["operation_details"]["operation_type"], e["operation_details"]["outcome"])
        for e in logged("database_operations")
        if e["operation_details"]["operation_type"] != "read"
    ]


@pytest.mark.usefixtures("handle")
def test_a_committed_flush_is_one_record_per_object(engine: sa.Engine, logged: Logged) -> None:
    """Create, update and delete record the changes and the outcome committed."""
    with Session(engine, expire_on_commit=False) as session:
        contact = Contact(email="a@x.org", name="A")
        session.add(contact)
        session.commit()
        contact.name = "B"
        session.commit()
        key = contact.id
        session.delete(contact)
        session.commit()
    assert outcomes(logged) == [
        ("create", "committed"),
        ("update", "committed"),
        ("delete", "committed"),
    ]
    create, update, delete = logged("database_operations")
    assert create["lead_identifier"]["lead_id"] == str(key)
    assert create["data_details"]["fields_changed"]["name"] == {"new": "A"}
    assert update["data_details"]["fields_changed"] == {"name": {"old": "A", "new": "B"}}
    assert delete["data_details"]["fields_changed"]["name"] == {"old": "B"}
    assert create["operation_details"]["entity"] == "Contact"
    assert create["event_name"] == "contact.create"


@pytest.mark.usefixtures("handle")
def test_an_old_value_that_is_not_known_is_left_out(engine: sa.Engine, logged: Logged) -> None:
    """The old value of an attribute expired by a commit would need a query."""
    with Session(engine) as session:
        contact = Contact(name="A")
        session.add(contact)
        session.commit()
        contact.name = "B"
        session.commit()
    _, update = logged("database_operations")
    assert update["data_details"]["fields_changed"] == {"name": {"new": "B"}}


@pytest.mark.usefixtures("handle")
def test_a_rollback_is_a_rollback(transactional: sa.Engine, logged: Logged) -> None:
    """Flushed and rolled back, or closed without commit: rolled_back, success false."""
    with Session(transactional) as session:
        session.add(Contact(name="A"))
        session.flush()
        session.rollback()
        session.add(Contact(name="B"))
        session.flush()
    assert outcomes(logged) == [("create", "rolled_back")] * 2
    assert logged("database_operations")[0]["operation_details"]["success"] is False
    assert logged("database_operations")[0]["training_labels"]["operation_successful"] is False


@pytest.mark.usefixtures("handle")
def test_with_autocommit_a_rollback_keeps_the_row(engine: sa.Engine, logged: Logged) -> None:
    """The log agrees with what another connection sees, also after rollback()."""
    with Session(engine) as session:
        session.add(Contact(name="A"))
        session.flush()
        session.rollback()
    with engine.connect() as connection:
        there = connection.execute(sa.text("select count(*) from contacts")).scalar_one()
    assert outcomes(logged) == [("create", "committed" if there else "rolled_back")]


@pytest.mark.usefixtures("handle")
def test_savepoints_have_their_own_end(transactional: sa.Engine, logged: Logged) -> None:
    """Rolling back a savepoint undoes its rows; a released one waits for the commit."""
    with Session(transactional) as session:
        session.add(Contact(name="outer"))
        session.flush()
        with session.begin_nested():
            session.add(Contact(name="released"))
        undone = session.begin_nested()
        session.add(Contact(name="undone"))
        session.flush()
        undone.rollback()
        assert outcomes(logged) == [("create", "savepoint_rolled_back")]
        session.commit()
    found = {
        e["lead_identifier"]["name"]: e["operation_details"]["outcome"]
        for e in logged("database_operations")
    }
    assert found == {
        "undone": "savepoint_rolled_back",
        "outer": "committed",
        "released": "committed",
    }


@pytest.mark.usefixtures("handle")
def test_a_swallowed_error_poisons_the_transaction_where_it_does(
    transactional: sa.Engine, logged: Logged
) -> None:
    """PostgreSQL rolls back at COMMIT after a swallowed error, SQLite commits: the log agrees."""
    with transactional.connect() as connection:
        session = Session(connection)
        session.add(Contact(name="A"))
        session.flush()
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql("select * from nowhere")
        connection.commit()
    with transactional.connect() as connection:
        there = connection.execute(sa.text("select count(*) from contacts")).scalar_one()
    assert there == (0 if transactional.dialect.name == "postgresql" else 1)
    assert outcomes(logged) == [("create", "committed" if there else "rolled_back")]


@pytest.mark.usefixtures("handle")
def test_a_commit_that_fails_is_no_commit(tmp_path: Any, logged: Logged, engine: sa.Engine) -> None:
    """A deferred constraint is checked at COMMIT: commit_failed, and the row is not there."""
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no deferred unique constraint")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "alter table contacts add constraint late unique (name) deferrable initially deferred"
        )
    with Session(engine) as session:
        session.add_all([Contact(name="A"), Contact(name="A")])
        with pytest.raises(sa.exc.IntegrityError):
            session.commit()
    assert {outcome for _, outcome in outcomes(logged)} == {"commit_failed"}


@pytest.mark.usefixtures("handle")
def test_a_dirty_object_without_a_change_is_no_update(engine: sa.Engine, logged: Logged) -> None:
    """Setting an attribute to its current value runs no SQL and writes no record."""
    with Session(engine) as session:
        contact = Contact(name="A")
        session.add(contact)
        session.commit()
        contact.name = contact.name
        session.commit()
    assert outcomes(logged) == [("create", "committed")]


def test_another_engine_is_not_captured(handle: Handle, tmp_path: Any, logged: Logged) -> None:
    """The hooks on the mapped class check which connection is used."""
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    with Session(other) as session:
        session.add(Contact(name="A"))
        session.commit()
    other.dispose()
    assert logged("database_operations") == []
    assert handle is not None


def test_release_removes_every_hook(engine: sa.Engine, logged: Logged) -> None:
    """After release nothing is written, and the dialect is unchanged."""
    before = engine.dialect.do_commit
    handle = attach(engine, Contact)
    handle.release()
    handle.release()
    with Session(engine) as session:
        session.add(Contact(name="A"))
        session.commit()
    assert logged("database_operations") == []
    assert engine.dialect.do_commit == before


class Contacts:
    """A small store with captured methods."""

    def __init__(self, engine: sa.Engine, handle: Handle | None) -> None:
        self.engine = engine
        self._capture = handle

    @operation("add_contact", event_name="contact.add")
    def add(self, name: str, email: str | None = None) -> int:
        """Add one contact."""
        with Session(self.engine) as session, session.begin():
            contact = Contact(name=name, email=email)
            session.add(contact)
            session.flush()
            active = current_operation()
            assert active is not None
            active.records_affected = 1
            return contact.id

    @operation("add_contacts", event_name="contact.add_many", bulk=True)
    def add_many(self, names: list[str]) -> None:
        """Add several contacts, through `add`."""
        for name in names:
            self.add(name)

    @operation("refuse", event_name="contact.refuse")
    def refuse(self) -> None:
        """Raise before any statement."""
        raise ValueError("a contact needs a name")

    @operation("list", event_name="contact.list")
    def names(self) -> Iterator[str]:
        """Stream the names."""
        with Session(self.engine) as session:
            yield from session.scalars(sa.select(Contact.name).order_by(Contact.id))


@pytest.fixture
def contacts(engine: sa.Engine, handle: Handle) -> Contacts:
    """The captured store."""
    return Contacts(engine, handle)


def test_a_call_is_one_record_with_what_it_cost(contacts: Contacts, logged: Logged) -> None:
    """Statements, times, changes and outcome of the call are in its single record."""
    key = contacts.add("A", "a@x.org")
    (event,) = logged("database_operations")
    assert event["event_name"] == "contact.add"
    details, metrics = event["operation_details"], event["performance_metrics"]
    assert details["outcome"] == "committed"
    assert details["success"] is True
    assert details["records_affected"] == 1
    assert details["transaction_id"] or contacts.engine.dialect.name == "sqlite"
    assert event["lead_identifier"]["lead_id"] == str(key)
    assert event["data_details"]["fields_changed"]["email"] == {"new": "a@x.org"}
    assert metrics["database_queries"] == 1
    assert 0 < metrics["database_time_ms"] < metrics["execution_time_ms"]
    assert metrics["cpu_time_ms"] >= 0
    assert metrics["memory_usage_mb"] > 1


def test_a_failed_call_is_two_records(contacts: Contacts, logged: Logged) -> None:
    """A unique violation: success false, outcome failed, and an error of the same operation."""
    address = "a@x.org"  # a stack trace shows source lines, but not this one
    contacts.add("A", address)
    with pytest.raises(sa.exc.IntegrityError):
        contacts.add("B", address)
    _, event = logged("database_operations")
    (error,) = logged("error_logs")
    assert event["operation_details"]["outcome"] == "failed"
    assert event["operation_details"]["success"] is False
    assert event["level"] == "error"
    assert error["error_details"]["error_type"] == "database_error"
    assert error["error_details"]["error_code"] in ("23505", "SQLITE_CONSTRAINT_UNIQUE")
    assert error["context"]["operation_id"] == event["operation_details"]["operation_id"]
    assert error["error_details"]["fingerprint"]
    assert event["operation_details"]["statement"].startswith("INSERT INTO")
    for text in (error["error_details"]["error_message"], error["error_details"]["stack_trace"]):
        assert address not in text


def test_bad_input_is_a_validation_error(contacts: Contacts, logged: Logged) -> None:
    """A ValueError raised by the call is the user's error, and no statement was sent."""
    with pytest.raises(ValueError, match="needs a name"):
        contacts.refuse()
    (event,), (error,) = logged("database_operations"), logged("error_logs")
    assert event["operation_details"]["error_message"] == "a contact needs a name"
    assert event["performance_metrics"]["database_queries"] == 0
    assert error["error_details"]["error_type"] == "validation_error"
    assert error["training_labels"]["user_error"] is True


def test_a_call_inside_a_call_belongs_to_it(contacts: Contacts, logged: Logged) -> None:
    """A bulk call that uses the single call makes one record."""
    contacts.add_many(["A", "B", "C"])
    (event,) = logged("database_operations")
    assert event["operation_details"]["operation_type"] == "add_contacts"
    assert event["operation_details"]["bulk"] is True
    assert event["performance_metrics"]["database_queries"] == 3
    assert event["training_labels"]["complexity_level"] == "high"


def test_a_streamed_call_ends_with_its_last_item(contacts: Contacts, logged: Logged) -> None:
    """The record is written when the iteration ends; the consumer's statements are not included."""
    contacts.add_many(["A", "B"])
    seen = []
    for name in contacts.names():
        seen.append(name)
        contacts.add(f"{name}2") if contacts.engine.dialect.name == "postgresql" else None
    assert seen[:2] == ["A", "B"]
    last = logged("database_operations")[-1]
    assert last["operation_details"]["operation_type"] == "list"
    assert last["operation_details"]["outcome"] == "completed"
    assert last["performance_metrics"]["database_queries"] == 1


def test_an_abandoned_stream_is_recorded(contacts: Contacts, logged: Logged) -> None:
    """Closing the iteration early ends the call, and is not a failure."""
    contacts.add_many(["A", "B"])
    names = contacts.names()
    next(names)
    names.close()  # type: ignore[attr-defined]  # an Iterator that is a generator
    last = logged("database_operations")[-1]
    assert last["operation_details"]["operation_type"] == "list"
    assert last["operation_details"]["success"] is True


def test_a_call_in_a_monitored_block_counts_for_both(contacts: Contacts, logged: Logged) -> None:
    """The block's statement count includes the call's."""
    with leadlog.monitor_performance("import"):
        contacts.add("A")
        contacts.add("B")
    (event,) = logged("performance_metrics")
    assert event["performance_data"]["database_queries"] == 2


def test_without_capture_the_methods_are_plain(engine: sa.Engine, logged: Logged) -> None:
    """A store without a handle logs nothing and works."""

    class Quiet(Contacts):
        pass

    store = Quiet(engine, None)
    with pytest.raises(ValueError, match="needs a name"):
        store.refuse()
    assert logged("database_operations") == []


def test_switched_off_nothing_is_captured(contacts: Contacts, logged: Logged) -> None:
    """With `enabled=False` the hooks do nothing, and `current_operation` is None."""
    leadlog.configure(enabled=False)
    with pytest.raises(ValueError, match="needs a name"):
        contacts.refuse()
    with Session(contacts.engine) as session:
        session.add(Contact(name="A"))
        session.commit()
    assert logged("database_operations") == []


def test_ctrl_c_while_the_record_is_written_does_not_lose_it(
    contacts: Contacts, logged: Logged
) -> None:
    """The interrupt reaches the application, and the committed call has exactly one record."""
    asked = iter([True])

    def interrupt(logger: Any, name: str, event: Any) -> Any:
        if event["operation_details"]["outcome"] == "committed" and next(asked, False):
            raise KeyboardInterrupt
        return event

    leadlog.configure(processors=[interrupt], enrich="caller")
    with pytest.raises(KeyboardInterrupt):
        contacts.add("A")
    assert outcomes(logged) == [("add_contact", "committed")]
    contacts.add("B")
    assert outcomes(logged) == [("add_contact", "committed")] * 2

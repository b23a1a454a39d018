"""Typical uses of results, transactions, errors and process exit.

A program gets a shop, prints what it observes, and ends in its own way. It is written once for all
databases; its output must be the same with and without capture.
"""

import atexit
import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, selectinload, validates

from tests.capture.programs.shop import Base, Booking, Seat, Shop

Run = Callable[[Shop], None]


@attrs.frozen
class Program:
    """One program.

    Attributes:
        run: the program.
        told: operation and outcome of each write that the log must contain, if there are
            transactions; None if that depends on the database.
        before: code that runs before leadlog is imported.
    """

    run: Run
    told: tuple[str, ...] | None = None
    before: Run | None = None


PROGRAMS: dict[str, Program] = {}


def program(*told: str, before: Run | None = None, vague: bool = False) -> Callable[[Run], Run]:
    """Register a program in the table."""

    def enter(run: Run) -> Run:
        PROGRAMS[run.__name__] = Program(run, None if vague else told, before)
        return run

    return enter


SEATS = Seat.__table__
TAKE = sa.update(Seat).values(taken=True).returning(Seat.id)
TAKE_CORE = sa.update(SEATS).values(taken=True).returning(SEATS.c.id)
TAKE_TEXT = "UPDATE seats SET taken = true RETURNING id"
ALL = sa.select(Seat).order_by(Seat.id)


def upsert(shop: Shop, label: str) -> Any:
    """Return an upsert with RETURNING in the database's own dialect."""
    dialect = postgresql if shop.kind in ("psycopg", "asyncpg") else sqlite
    insert = dialect.insert(Seat).values(id=1, taken=True, label=label)
    return insert.on_conflict_do_update(index_elements=["id"], set_={"label": label}).returning(
        Seat.id
    )


# -------------------------------------------------------------------------- results of writes


@program("update committed")
def returning_unread(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(TAKE)
        shop.attempt("commit", session.commit)
        shop.look()
    shop.look()


@program("update committed")
def returning_unread_core(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        connection.execute(TAKE_CORE)
        shop.attempt("commit", connection.commit)
    shop.look()


@program("update committed")
def returning_unread_text(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        connection.execute(sa.text(TAKE_TEXT))
        shop.attempt("commit", connection.commit)
    shop.look()


@program("update committed")
def returning_unread_driver_sql(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        connection.exec_driver_sql(TAKE_TEXT)
        shop.attempt("commit", connection.commit)
    shop.look()


@program("update committed")
def returning_unread_begin(shop: Shop) -> None:
    with shop.engine.begin() as connection:
        connection.execute(TAKE_CORE)
    shop.look()


@program("create committed")
def insert_returning_unread(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(sa.insert(Seat).values(id=10, label="x", taken=False).returning(Seat))
        shop.attempt("commit", session.commit)
    shop.look()


@program("create committed")
def insert_many_returning_unread(shop: Shop) -> None:
    rows = [{"id": number, "label": f"n{number}", "taken": False} for number in range(20, 26)]
    with shop.session() as session:
        session.execute(sa.insert(Seat).returning(Seat.id), rows)
        shop.attempt("commit", session.commit)
    shop.look()


@program("create committed")
def insert_many_in_pages_half_read(shop: Shop) -> None:
    rows = [{"id": number, "label": f"n{number}", "taken": False} for number in range(20, 26)]
    options = {"insertmanyvalues_page_size": 2}
    with shop.session() as session:
        result = session.execute(
            sa.insert(Seat).returning(Seat.id, sort_by_parameter_order=True),
            rows,
            execution_options=options,
        )
        shop.say(result.fetchone())
        del result
        shop.attempt("commit", session.commit)
    shop.look()


@program("delete committed")
def delete_returning_unread(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(sa.delete(Seat).where(Seat.id > 3).returning(Seat.id))
        shop.attempt("commit", session.commit)
    shop.look()


@program("upsert committed")
def upsert_returning_unread(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(upsert(shop, "again"))
        shop.attempt("commit", session.commit)
    shop.look()


@program("update committed")
def returning_half_read(shop: Shop) -> None:
    with shop.session() as session:
        shop.say(session.execute(TAKE).fetchone() is not None)
        shop.attempt("commit", session.commit)
        shop.look()


@program("update committed")
def returning_half_iterated(shop: Shop) -> None:
    with shop.session() as session:
        for row in session.execute(TAKE):
            shop.say(len(row))
            break
        shop.attempt("commit", session.commit)
        shop.look()


@program(vague=True)
def returning_kept_over_commit(shop: Shop) -> None:
    """On SQLite the kept result makes COMMIT fail, with and without capture."""
    with shop.engine.connect() as connection:
        result: Any = connection.execute(TAKE_CORE)
        shop.attempt("commit", connection.commit)
        shop.look()
        del result
        shop.attempt("commit again", connection.commit)
    shop.look()


@program(vague=True)
def returning_kept_until_exit(shop: Shop) -> None:
    connection = shop.engine.connect()
    shop.kept += [connection.execute(TAKE_CORE), connection]
    shop.attempt("commit", connection.commit)
    shop.look()


@program("update rolled_back")
def returning_unread_rollback(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(TAKE)
        session.rollback()
        shop.look()


@program("update rolled_back")
def returning_unread_close(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    session.close()
    shop.look()


@program("update savepoint_rolled_back", "create committed")
def returning_unread_in_a_savepoint(shop: Shop) -> None:
    with shop.session() as session:
        nested = session.begin_nested()
        session.execute(TAKE)
        shop.attempt("rollback", nested.rollback)
        session.add(Seat(id=9, taken=False))
        shop.attempt("commit", session.commit)
    shop.look()


@program("update committed")
def returning_unread_in_a_released_savepoint(shop: Shop) -> None:
    with shop.session() as session:
        with session.begin_nested():
            session.execute(TAKE)
        shop.attempt("commit", session.commit)
    shop.look()


@program("update committed")
def returning_closed_by_hand(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        with connection.execute(TAKE_CORE) as result:
            shop.say(result.fetchone() is not None)
        result.close()
        shop.attempt("fetch", result.fetchone)
        shop.attempt("commit", connection.commit)
    shop.look()


@program("update committed")
def returning_wrong_number_of_rows(shop: Shop) -> None:
    with shop.session() as session:
        shop.attempt("one", lambda: session.execute(TAKE).scalar_one())
        shop.attempt("commit", session.commit)
    shop.look()


@program("update committed")
def returning_scalars_first(shop: Shop) -> None:
    with shop.session() as session:
        shop.say(session.scalars(TAKE).first() is not None)
        shop.attempt("commit", session.commit)
        shop.look()


@program("update committed")
def returning_with_an_own_cursor(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        result = connection.execute(TAKE_CORE)
        shop.say(type(result.cursor).__name__, result.returns_rows, result.closed)
        del result
        shop.attempt("commit", connection.commit)
    shop.look()


# --------------------------------------------------------------------------- results of reads


@program()
def select_unread(shop: Shop) -> None:
    with shop.session() as session:
        result = session.execute(ALL)
        shop.say(result.closed)
        del result
        shop.look()
        session.commit()
        shop.look()


@program()
def select_half_read(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        shop.say(connection.execute(sa.select(SEATS.c.id).order_by(SEATS.c.id)).fetchmany(2))
        shop.look()
        shop.attempt("commit", connection.commit)
        shop.look()


@program()
def select_half_iterated(shop: Shop) -> None:
    with shop.session() as session:
        for seat in session.scalars(ALL):
            shop.say(seat.id)
            break
        shop.look()


@program()
def select_kept_until_exit(shop: Shop) -> None:
    connection = shop.engine.connect()
    result = connection.execute(sa.select(SEATS.c.id).order_by(SEATS.c.id))
    shop.say(result.fetchone())
    shop.kept += [result, connection]
    shop.look()


@program()
def stream_half_read(shop: Shop) -> None:
    with shop.session() as session:
        result = session.scalars(ALL.execution_options(yield_per=2))
        shop.say(next(iter(result)).id)
        del result
        shop.look()
        session.commit()
        shop.look()


@program()
def stream_kept_until_exit(shop: Shop) -> None:
    session = shop.session()
    result = session.execute(ALL.execution_options(yield_per=2))
    shop.kept += [iter(result.scalars()), session]
    shop.say(next(shop.kept[0]).id)
    shop.look()


@program()
def stream_in_partitions(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(sa.select(SEATS.c.id))
        for part in result.partitions(2):
            shop.say(len(part))
            break
        result.close()
        shop.attempt("drop", lambda: connection.exec_driver_sql("DROP TABLE bookings"))
        connection.rollback()
    shop.look()


@program()
def select_unread_then_ddl(shop: Shop) -> None:
    """On SQLite a statement in progress would make DDL fail."""
    with shop.engine.connect() as connection:
        connection.execute(sa.select(SEATS))
        shop.attempt("drop", lambda: connection.exec_driver_sql("DROP TABLE bookings"))
        shop.attempt("commit", connection.commit)
    shop.look()


@program()
def two_results_interleaved(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        first = connection.execute(sa.select(SEATS.c.id).order_by(SEATS.c.id))
        second = connection.execute(sa.select(SEATS.c.label).order_by(SEATS.c.id))
        shop.say(first.fetchone(), second.fetchone(), first.fetchmany(2), second.all())
        del second
        shop.say(first.all())
    shop.look()


@program()
def result_after_its_connection(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        result = connection.execute(sa.select(SEATS.c.id).order_by(SEATS.c.id))
        shop.say(result.fetchone())
    shop.attempt("fetch", result.fetchone)
    shop.look()


@program()
def generator_closed(shop: Shop) -> None:
    def ids() -> Iterator[int]:
        with shop.session() as session:
            for seat in session.scalars(ALL.execution_options(yield_per=2)):
                yield seat.id

    found = ids()
    shop.say(next(found))
    found.close()
    shop.look()
    other = ids()
    shop.say(next(other))
    del other
    shop.look()


@program()
def frozen_and_merged_results(shop: Shop) -> None:
    with shop.session() as session:
        frozen = session.execute(ALL).freeze()
        shop.say([seat.id for seat in frozen().scalars()])
        first, second = (session.execute(sa.select(Seat.id).order_by(Seat.id)) for _ in range(2))
        shop.say(first.merge(second).unique().all())
    shop.look()


@program()
def loads_of_every_kind(shop: Shop) -> None:
    with shop.session() as session:
        seats = session.scalars(ALL.options(selectinload(Seat.bookings))).unique().all()
        shop.say([len(seat.bookings) for seat in seats])
        booking = session.get(Booking, 1)
        assert booking is not None
        session.expire_all()
        shop.say(booking.seat.label, len(booking.seat.bookings))
        session.refresh(booking)
        shop.say(session.get(Seat, 99), session.scalar(sa.select(sa.func.count(Seat.id))))
    shop.look()


# ---------------------------------------------------------------------- transactions that stop


@program("update unknown")
def connection_dropped(shop: Shop) -> None:
    connection = shop.engine.connect()
    connection.execute(sa.update(SEATS).values(taken=True))
    del connection
    shop.look()


@program("update unknown")
def connection_dropped_with_a_result(shop: Shop) -> None:
    connection = shop.engine.connect()
    result: Any = connection.execute(TAKE_CORE)
    shop.say(result.fetchone() is not None)
    del connection, result
    shop.look()


@program("update unknown")
def session_dropped(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    gone = weakref.ref(session)
    del session
    shop.say("gone", gone() is None)
    shop.look()


@program("update unknown")
def engine_dropped(shop: Shop) -> None:
    if shop.kind == "sqlite_memory":
        return
    connection = shop.engine.connect()
    connection.execute(TAKE_CORE)
    gone = weakref.ref(shop.engine)
    del connection
    shop.engine = sa.create_engine("sqlite://")
    shop.say("gone", gone() is None)
    shop.look()


@program("update rolled_back")
def engine_disposed(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    if shop.kind != "sqlite_memory":
        shop.engine.dispose()
    shop.look()
    session.close()
    shop.look()


@program("update rolled_back")
def connection_invalidated(shop: Shop) -> None:
    if shop.kind == "sqlite_memory":
        return
    with shop.engine.connect() as connection:
        result: Any = connection.execute(TAKE_CORE)
        connection.invalidate()
        shop.look()
        del result
        shop.attempt("execute", lambda: connection.execute(sa.select(SEATS)))
        connection.rollback()
    shop.look()


@program(*["update committed"] * 5)
def small_pool(shop: Shop) -> None:
    """A connection that is not returned exhausts the pool."""
    if shop.kind == "sqlite_memory":
        return
    for number in range(1, 6):
        session = shop.session()
        session.execute(TAKE.where(Seat.id == number))
        shop.attempt("commit", session.commit)
        session.close()
        shop.look()


@program("update committed")
def two_sessions(shop: Shop) -> None:
    """The second session does not have to wait."""
    if shop.kind == "sqlite_memory":
        return
    first, second = shop.session(), shop.session()
    shop.say(first.scalars(ALL).first() is not None)
    first.commit()
    second.execute(TAKE)
    shop.attempt("commit", second.commit)
    first.close()
    shop.look()


# --------------------------------------------------------------------------------------- errors


@program("create failed")
def error_kept(shop: Shop) -> None:
    session = shop.session()
    session.add(Seat(id=1, taken=False))
    shop.kept.append(None)
    try:
        session.commit()
    except sa.exc.IntegrityError as error:
        shop.kept.append(error)
        shop.say(type(error).__name__)
    session.close()
    shop.look()


@program("create failed")
def error_swallowed(shop: Shop) -> None:
    with shop.session() as session:
        session.add(Seat(id=1, taken=False))
        shop.attempt("flush", session.flush)
        session.rollback()
        shop.look()
        shop.say(len(session.scalars(ALL).all()))


@program("update rolled_back", "create failed")
def error_after_an_unread_result(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(TAKE)
        bad = sa.insert(Seat).values(id=1, taken=False)
        shop.attempt("insert", lambda: session.execute(bad))
        session.rollback()
        shop.look()


@program("update rolled_back")
def error_while_reading(shop: Shop) -> None:
    with suppress(RuntimeError), shop.session() as session:
        for _ in session.execute(TAKE):
            raise RuntimeError("enough")
    shop.look()


@program()
def before_flush_refuses(shop: Shop) -> None:
    session = shop.session()

    def refuse(*_: Any) -> None:
        raise ValueError("refused")

    sa.event.listen(session, "before_flush", refuse)
    session.add(Seat(id=10, taken=False))
    shop.attempt("commit", session.commit)
    gone = weakref.ref(session)
    session.close()
    sa.event.remove(session, "before_flush", refuse)
    del session
    gc.collect()
    shop.say("gone", gone() is None)
    shop.look()


@program("create rolled_back")
def after_flush_refuses(shop: Shop) -> None:
    session = shop.session()

    def refuse(*_: Any) -> None:
        raise ValueError("refused")

    sa.event.listen(session, "after_flush", refuse)
    session.add(Seat(id=10, taken=False))
    shop.attempt("commit", session.commit)
    gone = weakref.ref(session)
    session.close()
    sa.event.remove(session, "after_flush", refuse)
    del session
    gc.collect()
    shop.say("gone", gone() is None)
    shop.look()


@program("update failed")
def mapper_event_refuses(shop: Shop) -> None:
    @sa.event.listens_for(Seat, "before_update")
    def refuse(*_: Any) -> None:
        raise ValueError("refused")

    with shop.session() as session:
        seats = session.scalars(ALL).all()
        seats[0].taken = True
        shop.attempt("flush", session.flush)
        session.rollback()
        shop.look()
    sa.event.remove(Seat, "before_update", refuse)


@program()
def validator_refuses(shop: Shop) -> None:
    class Strict(Base):
        # Not a subclass of Seat: SQLAlchemy 2.0 ignores its validator of an inherited attribute,
        # writes the row and rolls it back, which the log then has to show.
        __table__ = SEATS

        @validates("label")
        def check(self, _key: str, value: str) -> str:
            raise ValueError(f"no such label: {value}")

    with shop.session() as session:
        shop.attempt("set", lambda: session.add(Strict(label="x")))
        shop.say(len(session.scalars(ALL).all()))
    shop.look()


@program("update rolled_back")
def interrupted_while_reading(shop: Shop) -> None:
    session = shop.session()
    try:
        for _ in session.execute(TAKE):
            signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        shop.say("interrupted")
    session.close()
    shop.look()


@program("create committed", "create committed", "create failed", "update committed")
def mixed_work(shop: Shop) -> None:
    with shop.session() as session:
        session.add(Seat(id=10, taken=False, bookings=[Booking(id=10)]))
        session.flush()
        try:
            with session.begin_nested():
                session.add(Seat(id=11, label="s1", taken=False))
        except sa.exc.IntegrityError:
            shop.say("refused")
        session.merge(Seat(id=1, taken=True))
        shop.attempt("commit", session.commit)
    shop.look()


# ------------------------------------------------------------------------------------- the end


def _write_at_exit(shop: Shop) -> None:
    def goodbye() -> None:
        with Session(shop.engine) as session:
            session.execute(TAKE)
            session.commit()
        shop.look()

    atexit.register(goodbye)


@program("update committed", before=_write_at_exit)
def write_in_an_exit_function_from_before(shop: Shop) -> None:
    """It runs after leadlog has shut down."""
    shop.look()


@program("update committed")
def write_in_an_exit_function(shop: Shop) -> None:
    _write_at_exit(shop)
    shop.look()


class Writer:
    """Writes when it is finalised."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.me = self

    def __del__(self) -> None:
        with self.shop.engine.begin() as connection:
            connection.execute(TAKE_CORE)
        self.shop.look()


@program("update committed")
def write_in_a_finaliser(shop: Shop) -> None:
    writer = Writer(shop)
    writer.me = None  # type: ignore[assignment]  # no cycle: it ends here
    del writer
    shop.look()


@program(vague=True)
def write_in_a_finaliser_at_exit(shop: Shop) -> None:
    sys.modules["tests.late_writer"] = Writer(shop)  # type: ignore[assignment]
    shop.look()


@program(vague=True)
def write_in_a_thread_at_exit(shop: Shop) -> None:
    def work() -> None:
        main = threading.main_thread()
        main.join(0.2)
        with shop.engine.begin() as connection:
            connection.execute(TAKE_CORE)
        shop.look()

    if shop.kind in ("aiosqlite", "asyncpg", "sqlite_memory"):
        return  # their connections are the loop's, or the thread's
    threading.Thread(target=work).start()


@program(vague=True)
def daemon_thread_with_a_result(shop: Shop) -> None:
    if shop.kind in ("aiosqlite", "asyncpg", "sqlite_memory"):
        return
    there = threading.Event()

    def work() -> None:
        with shop.engine.connect() as connection:
            result = connection.execute(TAKE_CORE)
            shop.kept.append(result.fetchone() is not None)
            there.set()
            threading.Event().wait()

    threading.Thread(target=work, daemon=True).start()
    there.wait(5)
    shop.look()


@program("update rolled_back")
def exit_in_a_transaction(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(TAKE)
        sys.exit(3)


@program(vague=True)
def exit_with_an_open_session(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    shop.kept.append(session)
    shop.look()


@program(vague=True)
def uncaught_error(shop: Shop) -> None:
    session = shop.session()
    for row in session.execute(TAKE):
        raise LookupError(len(row))


@program(vague=True)
def interrupted(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    signal.raise_signal(signal.SIGINT)


@program(vague=True)
def terminated(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


@program(vague=True)
def ended_at_once(shop: Shop) -> None:
    session = shop.session()
    session.execute(TAKE)
    session.commit()
    os._exit(4)

"""MariaDB with PyMySQL: outcomes, values and behaviour specific to this database."""

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

import leadlog
from tests.capture.people import Log, Note, Person, Shade, Topic
from tests.conftest import _KEEPER, _free_port, _unavailable, _unprivileged

_OPTIONS = (
    "--no-defaults --skip-grant-tables --skip-log-bin --skip-name-resolve --bind-address=127.0.0.1 "
    "--innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=4M "
    "--innodb-buffer-pool-size=16M --innodb-lock-wait-timeout=1"
)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """Start a server on loopback for this process alone, with no system tables; yield its URL."""
    pytest.importorskip("pymysql", reason="needs the driver PyMySQL")
    program = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
    if program is None:
        _unavailable("no MariaDB server is installed")
    as_user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="leadlog-my-"))
    (folder / "data").mkdir()
    for path in (folder, folder / "data"):
        if as_user:
            shutil.chown(path, as_user["user"], as_user["group"])
    try:
        port = _free_port()
        places = [f"--datadir={folder}/data", f"--socket={folder}/socket", f"--port={port}"]
        command = [program, *_OPTIONS.split(), *places, f"--pid-file={folder}/pid"]
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER.replace("-INT", "-TERM"), "keeper", *command],
            cwd=folder,
            stdin=subprocess.PIPE,
            start_new_session=True,
            **as_user,
        )
        log = folder / "server.log"
        for _ in range(1_200):
            if log.exists() and "ready for connections" in log.read_text():
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"MariaDB did not start: {log.read_text()}")
        yield f"mariadb+pymysql://root@127.0.0.1:{port}/"
        keeper.communicate(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def engine(mariadb_server: str, log: Log) -> Iterator[sa.Engine]:
    """A captured engine with an empty database."""
    del log
    name = f"test_{uuid4().hex}"
    server = sa.create_engine(mariadb_server)
    with server.begin() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
    engine = sa.create_engine(mariadb_server + name)
    with engine.begin() as connection:
        for table in ("people", "notes", "topics"):
            columns = {
                "people": "email VARCHAR(50) UNIQUE, score INT, kind VARCHAR(20) DEFAULT 'person', "
                "origin VARCHAR(20) DEFAULT 'import', touched INT, version INT DEFAULT 1",
                "notes": "person_id INT, body VARCHAR(50)",
                "topics": "name VARCHAR(50), labels JSON, marks JSON, shade VARCHAR(1)",
            }[table]
            key = "id INT PRIMARY KEY AUTO_INCREMENT"
            connection.execute(sa.text(f"CREATE TABLE {table} ({key}, {columns})"))
    handle = leadlog.capture(engine, Person, Note, Topic)
    yield engine
    handle.release()
    engine.dispose()
    with server.begin() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    server.dispose()


def note(**values: Any) -> Any:
    """An INSERT of a note."""
    return sa.insert(Note).values(**values)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [("commit", "committed"), ("rollback", "rolled_back"), ("close", "rolled_back")],
)
def test_an_outcome_is_what_the_transaction_had(
    engine: sa.Engine, log: Log, end: str, outcome: str
) -> None:
    """True for a flush and for Core, with a savepoint rolled back in between."""
    with Session(engine) as session:
        session.add(Note(id=1, body="a"))
        session.flush()
        with session.begin_nested() as nested:
            session.execute(note(id=2, body="b"))
            nested.rollback()
        session.execute(note(id=3, body="c"))
        getattr(session, end)()
    assert sorted(log.told()) == sorted(
        [
            ("note.create", outcome, 1),
            ("note.create", "savepoint_rolled_back", 1),
            ("note.create", outcome, 1),
        ]
    )


def test_what_autocommit_writes_is_committed(engine: sa.Engine, log: Log) -> None:
    """Later actions of the Session do not change that."""
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        session.add(Note(body="a"))
        session.flush()
        session.rollback()
    assert log.told() == [("note.create", "committed", 1)]


def test_values_are_those_that_are_stored(engine: sa.Engine, log: Log) -> None:
    """JSON, a custom type, generated keys, and the old value of an update."""
    with Session(engine) as session:
        topic = Topic(name="é", labels={"a": [1]}, marks=[1], shade=Shade.DARK)
        session.add(topic)
        session.commit()
        topic.marks, topic.shade = [2], Shade.LIGHT
        session.commit()
    created, updated = (one for one in log.records() if one["event_name"] != "topic.read")
    assert created["data_details"]["fields_changed"] == {
        "id": {"new": 1},
        "name": {"new": "é"},
        "labels": {"new": {"a": [1]}},
        "marks": {"new": [1]},
        "shade": {"new": "d"},
    }
    assert updated["data_details"]["fields_changed"]["marks"]["new"] == [2]
    assert updated["data_details"]["fields_changed"]["shade"]["new"] == "l"


def test_an_insert_gives_back_its_keys(engine: sa.Engine, log: Log) -> None:
    """INSERT … RETURNING of one row and of two."""
    with engine.begin() as connection:
        connection.execute(note(body="a").returning(Note.id)).all()
        rows = [{"body": "b"}, {"body": "c"}]
        connection.execute(sa.insert(Note).returning(Note.id), rows).all()
    one, two = log.records()
    assert one["lead_identifier"]["lead_id"] == "1"
    assert two["operation_details"]["records_affected"] == 2


@pytest.mark.parametrize("before", ["nothing", "same", "other"])
def test_an_upsert_is_one_row_whatever_the_server_counts(
    engine: sa.Engine, log: Log, before: str
) -> None:
    """The server counts an updated row twice, and an unchanged one once or not at all."""
    statement = insert(Person).values(email="a", score=1, version=1)
    if before != "nothing":
        score = 1 if before == "same" else 2
        with engine.begin() as connection:
            connection.execute(insert(Person).values(email="a", score=score, version=1))
    log.clear()
    with engine.begin() as connection:
        connection.execute(statement.on_duplicate_key_update(score=1))
    assert log.told() == [("person.upsert", "committed", 1)]


def test_what_the_server_does_not_count_is_not_counted(engine: sa.Engine, log: Log) -> None:
    """An upsert of many rows, REPLACE as text, and TRUNCATE have no row count."""
    rows = [{"email": "a", "version": 1}, {"email": "b", "version": 1}]
    with engine.begin() as connection:
        many = insert(Person).on_duplicate_key_update(score=sa.literal_column("1"))
        connection.execute(many, rows)
        connection.execute(sa.text("REPLACE INTO people (id, email) VALUES (1, 'c')"))
        connection.execute(sa.text("TRUNCATE notes"))
    assert [(event, rows) for event, _, rows in log.told()] == [
        ("person.upsert", None),
        ("person.upsert", None),
        ("note.delete", None),
    ]


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("ddl", ["CREATE TABLE more (id INT)", "TRUNCATE topics", "BEGIN"])
def test_what_ddl_commits_is_committed(engine: sa.Engine, log: Log, ddl: str, end: str) -> None:
    """The server commits before it runs such a statement, which cannot be undone."""
    with engine.connect() as connection:
        connection.execute(note(body="a"))
        connection.execute(sa.text(ddl))
        getattr(connection, end)()
        rows = connection.scalar(sa.text("SELECT count(*) FROM notes"))
    assert rows == 1
    assert log.told()[0] == ("note.create", "committed", 1)


def test_ddl_of_sqlalchemys_own_commits_too(engine: sa.Engine, log: Log) -> None:
    """CREATE TABLE from its Table object commits as well."""
    with engine.connect() as connection:
        connection.execute(note(body="a"))
        sa.Table("more", sa.MetaData(), sa.Column("id", sa.Integer)).create(connection)
        connection.rollback()
    assert log.told() == [("note.create", "committed", 1)]


def test_ddl_that_fails_leaves_it_open_what_it_committed(engine: sa.Engine, log: Log) -> None:
    """It commits before or after the failure, so the outcome is never `rolled_back`."""
    with engine.connect() as connection:
        connection.execute(note(body="a"))
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(sa.text("CREATE TABLE notes (id INT)"))
        connection.rollback()
        assert connection.scalar(sa.text("SELECT count(*) FROM notes")) == 1
    assert log.told()[0] == ("note.create", "unknown", 1)


def test_a_deadlock_rolls_all_of_it_back(engine: sa.Engine, log: Log) -> None:
    """The victim's later COMMIT commits nothing, and no write is recorded as committed."""
    with engine.begin() as connection:
        connection.execute(sa.insert(Note), [{"id": 1, "body": "a"}, {"id": 2, "body": "b"}])
    log.clear()
    both = threading.Barrier(2)
    failed: list[str] = []

    def swap(first: int, second: int) -> None:
        with engine.connect() as connection:
            change = sa.update(Note).values(body=f"from {first}")
            connection.execute(change.where(Note.id == first))
            both.wait(20)
            try:
                connection.execute(change.where(Note.id == second))
            except sa.exc.OperationalError as error:
                failed.append(str(error.orig))
            connection.commit()

    threads = [threading.Thread(target=swap, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(failed) == 1
    assert "1213" in failed[0]
    assert sorted(outcome for _, outcome, _ in log.told()) == [
        *("committed", "committed"),
        *("failed", "rolled_back"),
    ]


def test_a_lock_that_is_not_got_fails_alone(engine: sa.Engine, log: Log) -> None:
    """Earlier writes of the transaction are committed."""
    with engine.begin() as connection:
        connection.execute(note(id=1, body="a"))
    log.clear()
    with engine.connect() as holder, engine.connect() as waiter:
        holder.execute(sa.update(Note).where(Note.id == 1).values(body="b"))
        waiter.execute(note(id=2, body="c"))
        with pytest.raises(sa.exc.OperationalError, match="1205"):
            waiter.execute(sa.update(Note).where(Note.id == 1).values(body="d"))
        waiter.commit()
        holder.rollback()
    assert sorted(log.outcomes().items()) == [
        (("note.create", "committed"), 1),
        (("note.update", "failed"), 1),
        (("note.update", "rolled_back"), 1),
    ]


def test_a_duplicate_is_told_without_its_value(engine: sa.Engine, log: Log) -> None:
    """The server quotes the value in its message; the log does not."""
    add: Callable[[], Any] = lambda: sa.insert(Person).values(email="ana@acme.com", version=1)  # noqa: E731
    with engine.connect() as connection:
        connection.execute(add())
        with pytest.raises(sa.exc.IntegrityError, match=r"ana@acme\.com"):
            connection.execute(add())
        connection.rollback()
    failed = log.records()[0] if log.told()[0][1] == "failed" else log.records()[-1]
    assert failed["operation_details"]["duplicate_detected"] is True
    errors = json.dumps(log.records("error_logs"))
    assert "Duplicate entry" in errors
    assert "ana@acme.com" not in errors

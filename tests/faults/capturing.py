"""Inserts and commits through a captured engine until it is killed.

capturing.py DIRECTORY DATABASE NAME before|after|SECONDS session|many|store|caller

It is killed before or after the COMMIT of the third transaction, or some time after the first.
`many` writes 40 rows at once, `store` uses the lead store, whose record is written some time after
COMMIT, and `caller` is `session` with `enrich = "caller"`.
"""

import os
import signal
import sys
import threading
import time
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog

DIRECTORY, DATABASE, NAME, WHEN, MODE = sys.argv[1:]
KILLED = 3
going = threading.Event()


class Base(DeclarativeBase):
    """Base of the class below."""


class Note(Base):
    """The row to write."""

    __tablename__ = "notes"
    id: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


def die() -> None:
    """Kill the process without any cleanup."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """Make the process kill itself."""
    if WHEN not in ("before", "after"):

        def later() -> None:
            going.wait()
            time.sleep(float(WHEN))
            die()

        threading.Thread(target=later, daemon=True).start()
        return
    commit, commits = DefaultDialect.do_commit, 0

    def do_commit(self: Any, connection: Any) -> None:
        nonlocal commits
        commits += 1
        if WHEN == "before" and commits == KILLED:
            die()
        commit(self, connection)
        if WHEN == "after" and commits == KILLED:
            die()

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # dies inside our own


def main() -> None:
    """Write until killed."""
    leadlog.configure(directory=DIRECTORY, enrich="caller" if MODE == "caller" else "drain")
    number = 0
    if MODE == "store":
        leadlog.LeadDatabase(DATABASE).close()
        arm()
        store = leadlog.LeadDatabase(DATABASE)
        while True:
            lead = {"id": f"{NAME}-{number}", "name": f"Ann Field{number}", "company": NAME}
            store.add_lead(lead)
            going.set()
            number += 1
    engine = create_engine(f"sqlite:///{DATABASE}", connect_args={"timeout": 30})
    Base.metadata.create_all(engine)
    arm()
    leadlog.capture(engine, Note)
    while True:
        with Session(engine) as session:
            for at in range(40 if MODE == "many" else 1):
                session.add(Note(id=f"{NAME}-{number}-{at}", text="password=hunter2"))
            session.commit()
        going.set()
        number += 1


if __name__ == "__main__":
    main()

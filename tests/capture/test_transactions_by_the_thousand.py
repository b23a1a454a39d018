"""Ten thousand random transactions on eight databases: log and tables agree."""

import os
import random
import warnings

import pytest
from sqlalchemy.exc import SAWarning

from tests.capture.people import logging_to_memory
from tests.capture.schedules import disagreements, random_schedule
from tests.capture.test_replay import KINDS, Place, place
from tests.capture.test_wal import Decoder, by_transaction, written

__all__ = ["place"]

TRANSACTIONS = 10_000 // len(KINDS) if os.environ.get("SOAK") else 5
ON_POSTGRESQL = ("postgresql", "postgresql_autocommit", "psycopg_async", "asyncpg")


@pytest.mark.hypothesis
@pytest.mark.timeout(3_600)
def test_no_transaction_is_told_otherwise_than_it_was(
    place: Place, request: pytest.FixtureRequest
) -> None:
    """Replay gives the tables; on PostgreSQL, the log also agrees with the server's own log."""
    kind = request.node.callspec.params["place"]
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    apart = "autocommit" not in kind
    decoder = Decoder(place.oracle) if kind in ON_POSTGRESQL else None
    done = 0
    try:
        while done < TRANSACTIONS:
            schedule = random_schedule(rng)
            done += len(schedule)
            place.empty()
            if decoder is not None:
                decoder.transactions()
            with logging_to_memory() as log, warnings.catch_warnings():
                warnings.simplefilter("ignore", SAWarning)  # for what schedules leave incomplete
                place.run(schedule)
                records = log.records()
            with place.oracle.connect() as connection:
                found = disagreements(records, connection)
            if decoder is not None:
                told = written(records, apart=apart)
                found += by_transaction(decoder.transactions(), told, apart=apart)
            assert found == [], (seed, schedule)
    finally:
        if decoder is not None:
            decoder.close()

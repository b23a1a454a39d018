"""Features found in arrays: what a log has at its edges, and numbers as large as there are."""

import pytest

from leadlog.core.errors import MissingExtraError
from leadlog.reading.duck import connect
from leadlog.training.examples import make_features
from leadlog.training.targets import target_named

COLUMNS = (
    "event_id VARCHAR, operation VARCHAR, session_id VARCHAR, started_us BIGINT, ended_us BIGINT, "
    "us BIGINT, w BIGINT, failed BOOLEAN, label TINYINT, items DOUBLE, megabytes DOUBLE"
)


def features(rows, asked="SELECT * FROM labelled"):
    """The features of runs, by the id of their event."""
    with connect(threads=1) as connection:
        connection.execute(f"CREATE TEMP TABLE labelled ({COLUMNS})")
        for row in rows:
            connection.execute(f"INSERT INTO labelled VALUES ({', '.join('?' * 11)})", row)
        make_features(connection, target_named("failed"), asked)
        found = connection.sql("SELECT * FROM features").to_arrow_table().to_pylist()
    return {one["event_id"]: one for one in found}


def run(name, began, ended, us=None, *, w=1000, session="s", label=0):
    return (name, "op", session, began, ended, us, w, bool(label), label, None, None)


def test_nothing_is_known_of_the_first_run_of_a_log():
    """Unknown is null, and only the count of the session's runs is 0."""
    found = features([run("a", 10, 20, 10)])["a"]
    known = {name for name, value in found.items() if value is not None}
    assert known == {"event_id", "operation", "hour", "weekday", "session_runs"}
    assert found["session_runs"] == 0


def test_a_log_without_an_ended_run_gives_no_history():
    """A call that is asked about before anything was logged has its time only."""
    call = "SELECT 'c' AS event_id, 'op' AS operation, 's' AS session_id, 86400000000 AS started_us"
    found = features([], f"{call}, 5.0::DOUBLE AS items, NULL::DOUBLE AS megabytes")["c"]
    assert (found["weekday"], found["items"], found["session_runs"]) == (5, 5, 0)
    assert found["operation_last_ms"] is None
    assert found["all_label_200"] is None


def test_weighted_durations_are_added_up_exactly():
    """The longest durations that a record may have, with the largest weight, are no overflow."""
    us, w = 10**15 - 1, 10**6
    rows = [run(f"r{n}", n, 100 + n, us - n, w=w) for n in range(300)]
    found = features([*rows, run("z", 1000, 1001, 1)])["z"]
    for size in (20, 200):
        exact = sum(w * (us - n) for n in range(300 - size, 300))
        assert found[f"operation_mean_ms_{size}"] == float(exact) / (w * size) / 1000


def test_of_runs_that_ended_together_the_last_id_counts():
    """Ties have the order of their ids, however the table is ordered."""
    rows = [run("b", 1, 50, 2), run("c", 1, 50, 3), run("a", 1, 50, 1), run("z", 51, 60, 9)]
    assert features(rows)["z"]["operation_last_ms"] == 0.003
    assert features(rows)["c"]["operation_last_ms"] is None


def test_runs_without_a_session_have_none_in_common():
    """Null is not a session."""
    rows = [run("a", 1, 2, 1, session=None), run("z", 3, 4, 1, session=None)]
    assert features(rows)["z"]["session_runs"] == 0
    assert features(rows)["z"]["all_since_s"] == 1e-6


def test_without_numpy_the_extra_is_named(monkeypatch):
    """Without NumPy the error names the extra to install."""
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(MissingExtraError, match=r"leadlog\[analytics\]"):
        features([run("a", 1, 2, 1)])

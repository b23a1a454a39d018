"""Predictions with features from the whole log, for one call and for runs of past days."""

import os
from typing import TYPE_CHECKING, Any

from leadlog.core.clock import now_us, parse
from leadlog.training.examples import label_runs, make_features
from leadlog.training.model import Model, Prediction
from leadlog.training.runs import load_runs, runs_engine

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["feature_rows", "foretell"]


def feature_rows(connection: "DuckDBPyConnection", model: Model, sql: str) -> list[dict[str, Any]]:
    """Return the rows of the table `features` as dictionaries for `Model.row`.

    Args:
        connection: A connection with the table.
        model: The model that determines the columns.
        sql: SQL to append to `FROM features f`.
    """
    names = ", ".join(f"f.{one.name}" for one in model.target.features)
    cursor = connection.execute(f"SELECT {names} FROM features f {sql}")
    columns = [column[0] for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def foretell(
    directory: str | os.PathLike[str],
    model: Model,
    operation: str,
    *,
    session_id: str | None = None,
    at: str | None = None,
    items: float | None = None,
    megabytes: float | None = None,
) -> Prediction:
    """Return a model's prediction for a call, with features computed from the log.

    Args:
        directory: The log directory.
        model: The model.
        operation: Name of the operation that is about to run.
        session_id: Id of its session.
        at: Its start, in the format of `timestamp` in the records; by default now.
        items: Number of leads that it processes.
        megabytes: Size of the files that it reads, in 10^6 bytes.

    Raises:
        ReadError: A log file cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    began = now_us() if at is None else parse(at)
    with runs_engine(directory) as engine:
        load_runs(engine)
        connection = engine.connection
        label_runs(connection, model.target, model.body["target"]["objective_ms"])
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE call AS SELECT 'call' AS event_id, "
            "CAST($operation AS VARCHAR) AS operation, CAST($session AS VARCHAR) AS session_id, "
            "CAST($began AS BIGINT) AS started_us, CAST($items AS DOUBLE) AS items, "
            "CAST($megabytes AS DOUBLE) AS megabytes",
            {
                "operation": operation,
                "session": session_id,
                "began": began,
                "items": items,
                "megabytes": megabytes,
            },
        )
        make_features(connection, model.target, "SELECT * FROM call")
        (known,) = feature_rows(connection, model, "")
    return model.score(model.row(operation, known))

"""What a model says with the whole log at hand: of one call, and of the runs of past days."""

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
    """Return the rows of the table `features` as `Model.row` takes them.

    Args:
        connection: Has the table.
        model: Whose features.
        sql: What comes after `FROM features f`.
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
    """Return what a model says of a call, with the features that the log gives.

    Args:
        directory: The log directory.
        model: Which.
        operation: What is about to run.
        session_id: Its session.
        at: When it begins, as `timestamp` in the records; now by default.
        items: Leads that it is about.
        megabytes: Size of the files that it reads.

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

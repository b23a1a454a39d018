"""Spark as the engine of the built-in queries, over the archive wherever it lies.

It reads the Parquet files only, `<source>/category=…/date=…/part-*.parquet`, and gives the same
rows as DuckDB does for the same files.
"""

import datetime as dt
from types import TracebackType
from typing import Any, Self

from leadlog.errors import MissingExtraError, ReadError
from leadlog.reading.columns import SPARK, columns, flat_columns
from leadlog.reading.events import Skipped
from leadlog.reading.scan import quoted
from leadlog.reading.tables import FLAT

__all__ = ["SparkEngine"]


class SparkEngine:
    """Runs the built-in queries on Spark; a context manager.

    Args:
        source: the archive, as Spark's workers reach it: a folder or `s3a://…`.
        remote: a Spark Connect server, `sc://host:15002`; by default what SPARK_REMOTE says,
            else a Spark in this machine.
        since: only events of this moment or later, as `timestamp` in the records.
        until: only events before this moment.
        session: a Spark session to use instead; it stays open afterwards.

    Raises:
        MissingExtraError: PySpark is not installed.
        ReadError: the server cannot be reached.
    """

    def __init__(
        self,
        source: str,
        remote: str | None = None,
        since: str | None = None,
        until: str | None = None,
        *,
        session: Any = None,
    ) -> None:
        self._source = source.rstrip("/")
        self._window = since, until
        self._own = session is None
        self._session = _session(remote) if session is None else session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own:
            self._session.stop()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a built-in query.

        Raises:
            ReadError: Spark cannot read the archive.
        """
        from pyspark.errors import (  # pyright: ignore[reportMissingImports]
            PySparkException,
        )

        try:
            for name, category in FLAT.items():
                if name in sql:
                    self._make_view(name, category)
            return [row.asDict(recursive=True) for row in self._session.sql(sql).collect()]
        except PySparkException as error:
            message = " ".join(str(error).split("\n\n")[0].split())[:500]
            raise ReadError(f"Spark cannot read {self._source}: {message}") from error

    def damaged(self) -> Skipped:
        """Nothing: damaged lines are not in the archive's Parquet files."""
        return Skipped()

    def _make_view(self, name: str, category: str) -> None:
        """The flat table, of the days that are asked for."""
        nested = f"{name}_records"
        schema = ", ".join(f"`{key}` {kind}" for key, kind in columns(category, SPARK).items())
        # The base makes Spark find the columns of the path, `date` and `category`; the pattern
        # keeps it from the bucket tables beside them.
        frame = (
            self._session.read.schema(f"{schema}, `category` STRING, `date` DATE")
            .option("basePath", self._source)
            .option("pathGlobFilter", "part-*.parquet")
            .parquet(f"{self._source}/category=*")
        )
        frame.createOrReplaceTempView(nested)
        chosen = ", ".join(
            f"{path} AS `{key}`" for key, path in flat_columns(category).items()
        ).replace('"', "`")
        where = [f"category = {quoted(category)}"]
        for limit, sign, days in zip(self._window, (">=", "<"), (0, 1), strict=True):
            if limit is not None:
                # A condition on `timestamp` alone would open every file.
                day = dt.date.fromisoformat(limit[:10]) + dt.timedelta(days=days)
                where.append(f"date {sign[0]}= DATE {quoted(str(day))}")
                moment = limit.rstrip("Z").replace("T", " ")
                where.append(f"timestamp {sign} TIMESTAMP_NTZ {quoted(moment)}")
        self._session.sql(
            f"CREATE OR REPLACE TEMP VIEW {name} AS "
            f"SELECT date, {chosen} FROM {nested} WHERE {' AND '.join(where)}"
        )


def _session(remote: str | None) -> Any:
    try:
        from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(
            "this needs PySpark, which is not installed; install leadlog[spark], and Java 17 "
            "unless --remote names a server"
        ) from error
    builder: Any = SparkSession.builder
    if remote is not None:
        builder = builder.remote(remote)
    else:
        builder = builder.config("spark.ui.enabled", "false").config(
            "spark.driver.bindAddress", "127.0.0.1"
        )
    try:
        return builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    except Exception as error:
        raise ReadError(
            f"cannot start Spark{f' at {remote}' if remote else ''}: {str(error)[:300]}"
        ) from error

"""Spark as an engine of the built-in queries, over the archive in any storage.

It reads only the Parquet files, `<source>/category=…/date=…/part-*.parquet`, and returns the same
rows as DuckDB for the same files.
"""

import datetime as dt
import os
import re
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leadlog.core.doors import parameter
from leadlog.core.errors import MissingExtraError, ReadError
from leadlog.reading.analytics.engine import whole
from leadlog.reading.columns import SPARK, columns, flat_columns
from leadlog.reading.duck import quoted
from leadlog.reading.events import Skipped
from leadlog.reading.moments import shifted
from leadlog.reading.tables import FLAT

__all__ = ["SparkEngine"]

_REACHED_SECONDS = 10
_IN_THIS_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",  # 200 are for a cluster
}
_PARAMETER = re.compile(r"\$(?=[a-z_])")


class SparkEngine:
    """Runs the built-in queries on Spark; a context manager.

    Args:
        source: the archive, as Spark's workers address it: a folder or `s3a://…`.
        remote: a Spark Connect server, `sc://host:15002`; by default the variable SPARK_REMOTE,
            else a local Spark is started.
        since: only events of this time or later, as `timestamp` in the records.
        until: only events before this time.
        session: a Spark session to use instead; it is not closed.

    Raises:
        MissingExtraError: PySpark is not installed, or only its client without a server.
        ReadError: `remote` is not a server's address, or the server cannot be reached.
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
        self._tables: set[str] = set()
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

    def rows(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a built-in query; `parameters` are its `$name`.

        Raises:
            ReadError: Spark cannot read the archive.
        """
        return [
            {name: whole(value) for name, value in row.asDict(recursive=True).items()}
            for row in self._collected(sql, parameters or {})
        ]

    def tuples(self, sql: str, parameters: Mapping[str, str]) -> list[tuple[Any, ...]]:
        """Return the rows as tuples, without column names.

        Raises:
            ReadError: Spark cannot read the archive.
        """
        return [tuple(row) for row in self._collected(sql, parameters)]

    def _collected(self, sql: str, parameters: Mapping[str, str]) -> list[Any]:
        from pyspark.errors import (  # pyright: ignore[reportMissingImports]
            PySparkException,
        )

        try:
            for name, category in FLAT.items():
                if name in sql and name not in self._tables:
                    self._make_view(name, category)
                    self._tables.add(name)
            asked = self._session.sql(_PARAMETER.sub(":", sql), args=dict(parameters))
            rows: list[Any] = asked.collect()
            return rows
        except PySparkException as error:
            raise ReadError(self._explained(error)) from error

    def _explained(self, error: Exception) -> str:
        text = str(error)
        if "[PATH_NOT_FOUND]" in text:
            return (
                f"there is no archive at {self._source}: no folder category=… is there, as Spark "
                "sees it; name the folder that `leadlog archive` seals to with "
                f"{parameter('source', '--source')}"
            )
        connector = re.search(r"ClassNotFoundException: Class (\S+) not found|No FileSystem", text)
        if connector is not None:
            return (
                f"Spark cannot read {self._source}: it has no connector for that storage; start "
                "it with one, for s3a:// with the hadoop-aws of its own Hadoop version"
            )
        message = " ".join(text.split("\n\n", maxsplit=1)[0].split())[:500]
        return f"Spark cannot read {self._source}: {message}"

    def damaged(self) -> Skipped:
        """Return no damage: damaged lines are not in the archive's Parquet files."""
        return Skipped()

    def _make_view(self, name: str, category: str) -> None:
        """Create the flat table of the requested days."""
        nested = f"{name}_records"
        schema = ", ".join(f"`{key}` {kind}" for key, kind in columns(category, SPARK).items())
        # The base path lets Spark derive the columns `date` and `category` from folders; the
        # pattern excludes the bucket tables next to them.
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
                day = shifted(dt.date.fromisoformat(limit[:10]), days)
                where.append(f"date {sign[0]}= DATE {quoted(str(day))}")
                moment = limit.rstrip("Z").replace("T", " ")
                where.append(f"timestamp {sign} TIMESTAMP_NTZ {quoted(moment)}")
        self._session.sql(
            f"CREATE OR REPLACE TEMP VIEW {name} AS "
            f"SELECT date, {chosen} FROM {nested} WHERE {' AND '.join(where)}"
        )


def _session(remote: str | None) -> Any:
    remote = remote or os.environ.get("SPARK_REMOTE")
    with warnings.catch_warnings():
        # It warns at length about the version of pandas, which is not used here.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise MissingExtraError(
                "this needs PySpark, which is not installed; install leadlog[spark] to use the "
                f"server named by {parameter('remote', '--remote')}, or pyspark and Java 17 to run "
                "Spark on this machine"
            ) from error
        builder: Any = SparkSession.builder
        try:
            if remote is None:
                _check_whole()
                for key, value in _IN_THIS_MACHINE.items():
                    builder = builder.config(key, value)
            else:
                _check_server(remote)
                builder = builder.remote(remote)
            return builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
        except (MissingExtraError, ReadError):
            raise
        except Exception as error:
            where = f"at {remote}" if remote else "in this machine, which needs Java 17"
            raise ReadError(f"cannot start Spark {where}: {str(error)[:300]}") from error


def _check_whole() -> None:
    """Raise an error if PySpark lacks its server part, without which it exits the process."""
    found = find_spec("pyspark")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    if "SPARK_HOME" not in os.environ and not any(Path(one, "jars").is_dir() for one in folders):
        raise MissingExtraError(
            "the PySpark that is installed is the client alone; name a server with "
            f"{parameter('remote', '--remote')}, such as sc://host:15002, or install pyspark and "
            "Java 17"
        )


def _check_server(remote: str) -> None:
    """Raise an error if the server does not answer; PySpark itself tries for minutes."""
    if not remote.startswith("sc://"):
        # It would start a local Spark for any other text.
        raise ReadError(f"{remote!r} is not a Spark Connect server; write it like sc://host:15002")
    import grpc  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
    from pyspark.sql.connect.client import (  # pyright: ignore[reportMissingImports]
        DefaultChannelBuilder,
    )

    channel = DefaultChannelBuilder(remote).toChannel()
    try:
        grpc.channel_ready_future(channel).result(timeout=_REACHED_SECONDS)
    except grpc.FutureTimeoutError as error:
        raise ReadError(
            f"no Spark Connect server answers at {remote}; check the address, and that "
            "start-connect-server.sh runs there"
        ) from error
    finally:
        channel.close()

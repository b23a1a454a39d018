"""An in-memory history of ended runs, which provides the features of a call before it is made.

It gives the same numbers as the SQL; a test compares them. It is not filled automatically, since
the logging path does no work for models: an application calls `add`, or reads the log from time to
time (`RunHistory.of_log`, in a separate thread).
"""

import math
import os
from collections import OrderedDict, deque
from typing import Final, NamedTuple, Self

from leadlog.core.clock import parse
from leadlog.training.targets import Target, target_named

__all__ = ["RunHistory"]

_SHORT: Final = 20
_LONG: Final = 200
_SESSIONS: Final = 10_000
_DAY_US: Final = 86_400_000_000


class _Ended(NamedTuple):
    ended_us: int
    ms: float | None
    label: float | None
    failed: bool
    weight: float


class _Session:
    __slots__ = ("labelled", "labels", "last", "runs")

    def __init__(self) -> None:
        self.runs = 0.0
        self.labels = 0.0
        self.labelled = 0.0
        self.last: _Ended | None = None


def _mean(values: "list[tuple[float | None, float]]") -> float | None:
    total = math.fsum(weight for value, weight in values if value is not None)
    if not total:
        return None
    return math.fsum(value * weight for value, weight in values if value is not None) / total


class RunHistory:
    """The last 200 ended runs of each operation and of all operations, and sums per session.

    Args:
        target: Name of the target whose labels the runs have, such as `slow`.
    """

    def __init__(self, target: str) -> None:
        self.target: Target = target_named(target)
        self._operations: dict[str, deque[_Ended]] = {}
        self._all: deque[_Ended] = deque(maxlen=_LONG)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._means: dict[str, dict[str, float | None]] = {}
        self._shared: dict[str, float | None] | None = None

    @classmethod
    def of_log(
        cls, directory: str | os.PathLike[str], target: str, *, objective_ms: float | None = None
    ) -> Self:
        """Return the history of a log in its current state.

        Args:
            directory: The log directory.
            target: Name of the target, such as `failed`.
            objective_ms: The same as for the model's data set.

        Raises:
            ReadError: A log file cannot be read.
            MissingExtraError: DuckDB is not installed.
        """
        from leadlog.training.examples import label_runs
        from leadlog.training.runs import load_runs, runs_engine

        history = cls(target)
        with runs_engine(directory) as engine:
            load_runs(engine)
            label_runs(engine.connection, history.target, objective_ms)
            rows = engine.connection.execute(
                "SELECT operation, ended_us, us, label, failed, w, session_id FROM labelled "
                "ORDER BY ended_us, event_id"
            )
            while found := rows.fetchmany(10_000):
                for operation, ended, us, label, failed, weight, session in found:
                    ms = None if us is None else us / 1000
                    history._add(
                        operation, _Ended(ended, ms, label, failed, weight / 1000), session
                    )
        return history

    def add(
        self,
        operation: str,
        ended_at: str,
        *,
        ms: float | None = None,
        label: float | None = None,
        failed: bool = False,
        session_id: str | None = None,
        weight: float = 1.0,
    ) -> None:
        """Add an ended run; runs must be added in the order of their ends.

        Args:
            operation: Name of the operation.
            ended_at: Time of its end, in the format of `timestamp` in the records.
            ms: Duration in milliseconds.
            label: Value of the target, 0 or 1.
            failed: Whether it failed.
            session_id: Id of its session.
            weight: Number of runs that it represents.
        """
        self._add(operation, _Ended(parse(ended_at), ms, label, failed, weight), session_id)

    def _add(self, operation: str, run: _Ended, session_id: str | None) -> None:
        if self.target.kind != "binary":
            run = run._replace(label=None)
        own = self._operations.get(operation)
        if own is None:
            own = self._operations[operation] = deque(maxlen=_LONG)
        own.append(run)
        self._all.append(run)
        self._means.pop(operation, None)
        self._shared = None
        if session_id is None:
            return
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = _Session()
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(session_id)
        session.runs += run.weight
        session.last = run
        if run.label is not None:
            session.labels += run.label * run.weight
            session.labelled += run.weight

    def features(
        self, operation: str, at_us: int, session_id: str | None = None
    ) -> dict[str, float | None]:
        """Return the features of a run that is about to begin.

        Args:
            operation: Name of the operation.
            at_us: Its start in microseconds since 1970, not before the end of any added run.
            session_id: Id of its session.
        """
        found: dict[str, float | None] = {
            "hour": at_us // 1_000_000 % 86_400 / 3600.0,
            "weekday": float((at_us // _DAY_US + 3) % 7 + 1),
            "session_runs": 0.0,
        }
        own = self._operations.get(operation)
        if own:
            found |= self._own(operation, own)
            found["operation_since_s"] = (at_us - own[-1].ended_us) / 1e6
        if self._all:
            found |= self._of_all()
            found["all_since_s"] = (at_us - self._all[-1].ended_us) / 1e6
        session = self._sessions.get(session_id) if session_id is not None else None
        if session is not None and session.last is not None:
            found["session_runs"] = session.runs
            found["session_last_label"] = session.last.label
            found["session_label"] = session.labels / session.labelled if session.labelled else None
            found["session_since_s"] = (at_us - session.last.ended_us) / 1e6
        return found

    def _own(self, operation: str, runs: "deque[_Ended]") -> dict[str, float | None]:
        known = self._means.get(operation)
        if known is None:
            last = list(runs)
            ms = [(one.ms, one.weight) for one in last]
            labels = [(one.label, one.weight) for one in last]
            known = self._means[operation] = {
                "operation_last_ms": last[-1].ms,
                "operation_last_label": last[-1].label,
                "operation_mean_ms_20": _mean(ms[-_SHORT:]),
                "operation_mean_ms_200": _mean(ms),
                "operation_label_20": _mean(labels[-_SHORT:]),
                "operation_label_200": _mean(labels),
            }
        return known

    def _of_all(self) -> dict[str, float | None]:
        if self._shared is None:
            last = list(self._all)
            span = (last[-1].ended_us - last[0].ended_us) / 1e6 if len(last) == _LONG else None
            self._shared = {
                "all_span_s": span,
                "all_label_200": _mean([(one.label, one.weight) for one in last]),
                "all_failed_200": _mean([(float(one.failed), one.weight) for one in last]),
            }
        return self._shared

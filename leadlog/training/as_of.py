"""The features of runs as of their beginning, found in arrays of what had ended by then.

DuckDB selects and sorts the runs that ended, by their end; where two ended in the same microsecond,
by their ids. Then every window is a difference of two running sums, and what was known when a run
began is one binary search: the last of its operation, of its session and of all with
`ended < began`.

The runs are processed in slices by the time at which they began. For a slice only the runs that can
count are fetched, so memory depends on the slice, not on the log.

Sums are whole numbers of 64 bits. A running sum may wrap around; the difference of two is right all
the same, since no window is that large.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from leadlog.core.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import DTypeLike, NDArray

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool]

__all__ = ["MOST_ENDED", "WINDOW", "EndedRuns", "check_arrays"]

WEIGHT_UNIT: Final = 1000
"""Weights are kept in thousandths, as whole numbers."""

WINDOW: Final = 200
"""Number of ended runs in the longest window."""

MOST_ENDED: Final = 5_000_000
"""Limit of the ended runs that are held as arrays at a time."""

_SHORT, _LONG = 20, WINDOW
_LOW_BITS: Final = 25
"""Weighted durations are added up in two halves, each exact as a float of 64 bits."""


def check_arrays() -> None:
    """Raise where the arrays cannot be made.

    Raises:
        MissingExtraError: NumPy or pyarrow is not installed.
    """
    try:
        import numpy  # noqa: F401 - asked for before any work
        import pyarrow  # noqa: F401 - DuckDB needs it for its tables
    except ImportError as error:
        raise MissingExtraError(
            "this needs NumPy and pyarrow, and one of them is not installed; run: "
            "pip install 'leadlog[analytics]'"
        ) from error


class _Sums:
    """Running sums in one order, with a leading 0; a window is a difference of two."""

    def __init__(self, values: Ints) -> None:
        import numpy as np

        self._sums = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(values, out=self._sums[1:])

    def between(self, first: Ints, after: Ints) -> Ints:
        """Return the sums of windows: from a row up to, and without, another."""
        found: Ints = self._sums[after] - self._sums[first]
        return found


class _EndColumns(NamedTuple):
    """Columns of the runs that ended, sorted by their end."""

    ended: Ints
    us: Ints
    weight: Ints
    label: Ints
    timed: Flags
    failed: Flags
    labelled: Flags


class _Group:
    """The runs of each operation or of each session, one after another."""

    def __init__(self, codes: Ints, known: _EndColumns) -> None:
        import numpy as np

        self._total = len(known.ended)
        self.order: Ints = np.argsort(codes, kind="stable")
        sorted_codes = codes[self.order]
        self._keys = sorted_codes * self._total + self.order
        # Where the group of each row begins.
        rows = np.arange(self._total, dtype=np.int64)
        begins = np.diff(sorted_codes, prepend=sorted_codes[:1] - 1) != 0
        self._first = np.maximum.accumulate(np.where(begins, rows, 0))

    def last(self, codes: Ints, upto: Ints) -> tuple[Ints, Flags]:
        """Return the last row in this order of the first `upto` of all; and if there is one."""
        import numpy as np

        place = np.searchsorted(self._keys, codes * self._total + upto, side="left") - 1
        there = (place >= 0) & (codes >= 0)
        place = np.where(there, place, 0)
        if self._total:
            there &= self._keys[place] >= codes * self._total
        return place, there

    def start(self, place: Ints, size: int | None) -> Ints:
        """Return the beginning of a window of that many rows; of its group without a number."""
        import numpy as np

        first: Ints = self._first[place]
        return first if size is None else np.maximum(first, place + 1 - size)


class EndedRuns:
    """What was known after each end.

    Args:
        known: The ended runs by their end, then by their ids: `operation` and `session` (a number;
            -1 for one that is not asked about), `ended_us`, `us` (the duration), `timed` (whether
            there is one), `w` (thousandths), `failed`, `label` (whole millionths) and `labelled`.
    """

    def __init__(self, known: pa.Table) -> None:
        import numpy as np

        self._known = _EndColumns(
            ended=_ints(known["ended_us"]),
            us=_ints(known["us"]),
            weight=_ints(known["w"]),
            label=_ints(known["label"]),
            timed=_flags(known["timed"]),
            failed=_flags(known["failed"]),
            labelled=_flags(known["labelled"]),
        )
        self._by_operation = _Group(_codes(known["operation"]), self._known)
        self._by_session = _Group(_codes(known["session"]), self._known)
        every = np.arange(known.num_rows, dtype=np.int64)
        self._of_operation = _Totals(self._known, self._by_operation.order)
        self._of_session = _Totals(self._known, self._by_session.order)
        self._of_all = _Totals(self._known, every)

    def features(self, asked: pa.Table) -> pa.Table:
        """Return `event_id` and every feature of runs, as of their beginning.

        Args:
            asked: `event_id`, `operation`, `items`, `megabytes`, `started_us`, `begun` (whether
                that is known), and the numbers `operation_code` and `session_code`.
        """
        import numpy as np
        import pyarrow as pa

        started, begun = _ints(asked["started_us"]), _flags(asked["begun"])
        upto = np.searchsorted(self._known.ended, started, side="left").astype(np.int64)
        upto[~begun] = 0
        hour = (started // 1_000_000 % 86_400) / 3600.0
        weekday = ((started // 86_400_000_000 + 3) % 7 + 1).astype(np.float64)
        columns = {
            "event_id": asked["event_id"],
            "operation": asked["operation"],
            "hour": _nullable(hour, begun),
            "weekday": _nullable(weekday, begun),
            **self._operation(_codes(asked["operation_code"]), started, upto),
            **self._session(_codes(asked["session_code"]), started, upto),
            **self._all(started, upto),
            "items": asked["items"],
            "megabytes": asked["megabytes"],
        }
        return pa.table(columns)

    def _operation(self, codes: Ints, started: Ints, upto: Ints) -> dict[str, Any]:
        place, there = self._by_operation.last(codes, upto)
        if not len(self._known.ended):
            return dict.fromkeys(_OPERATION, _nullable(started / 1.0, there))
        last = self._by_operation.order[place]
        known, of = self._known, self._of_operation
        after = place + 1
        short, long = (self._by_operation.start(place, size) for size in (_SHORT, _LONG))
        return {
            "operation_last_ms": _nullable(known.us[last] / 1000.0, there & known.timed[last]),
            "operation_last_label": _nullable(
                known.label[last] / 1e6, there & known.labelled[last]
            ),
            "operation_since_s": _nullable((started - known.ended[last]) / 1e6, there),
            "operation_mean_ms_20": of.mean_ms(short, after, there),
            "operation_mean_ms_200": of.mean_ms(long, after, there),
            "operation_label_20": of.mean_label(short, after, there),
            "operation_label_200": of.mean_label(long, after, there),
        }

    def _session(self, codes: Ints, started: Ints, upto: Ints) -> dict[str, Any]:
        import numpy as np

        place, there = self._by_session.last(codes, upto)
        if not len(self._known.ended):
            nothing = dict.fromkeys(_SESSION, _nullable(started / 1.0, there))
            return {"session_runs": _nullable(started * 0.0, ~there), **nothing}
        last = self._by_session.order[place]
        known, of = self._known, self._of_session
        first, after = self._by_session.start(place, None), place + 1
        runs = of.weight.between(first, after) / WEIGHT_UNIT
        return {
            "session_runs": _nullable(np.where(there, runs, 0.0), there | True),
            "session_last_label": _nullable(known.label[last] / 1e6, there & known.labelled[last]),
            "session_label": of.mean_label(first, after, there),
            "session_since_s": _nullable((started - known.ended[last]) / 1e6, there),
        }

    def _all(self, started: Ints, upto: Ints) -> dict[str, Any]:
        import numpy as np

        there = upto > 0
        if not len(self._known.ended):
            return dict.fromkeys(_ALL, _nullable(started / 1.0, there))
        ended, of = self._known.ended, self._of_all
        last = np.where(there, upto - 1, 0)
        first, after = np.maximum(last + 1 - _LONG, 0), last + 1
        return {
            "all_since_s": _nullable((started - ended[last]) / 1e6, there),
            "all_span_s": _nullable((ended[last] - ended[first]) / 1e6, upto >= _LONG),
            "all_label_200": of.mean_label(first, after, there),
            "all_failed_200": _nullable(
                of.failed.between(first, after) / of.weight.between(first, after), there
            ),
        }


_OPERATION: Final = (
    *("operation_last_ms", "operation_last_label", "operation_since_s", "operation_mean_ms_20"),
    *("operation_mean_ms_200", "operation_label_20", "operation_label_200"),
)
_SESSION: Final = ("session_last_label", "session_label", "session_since_s")
_ALL: Final = ("all_since_s", "all_span_s", "all_label_200", "all_failed_200")


class _Totals:
    """Running sums of what means are made of, in one order of the runs; each made when needed."""

    def __init__(self, known: _EndColumns, order: Ints) -> None:
        self._columns = known
        self._order = order

    @cached_property
    def weight(self) -> _Sums:
        """The weights."""
        return _Sums(self._columns.weight[self._order])

    @cached_property
    def failed(self) -> _Sums:
        """The weights of the runs that failed."""
        return self._weights(self._columns.failed)

    @cached_property
    def _timed(self) -> _Sums:
        return self._weights(self._columns.timed)

    @cached_property
    def _labelled(self) -> _Sums:
        return self._weights(self._columns.labelled)

    @cached_property
    def _high(self) -> _Sums:
        known = self._columns
        return _Sums(((known.us >> _LOW_BITS) * known.weight)[self._order])

    @cached_property
    def _low(self) -> _Sums:
        known = self._columns
        return _Sums(((known.us & ((1 << _LOW_BITS) - 1)) * known.weight)[self._order])

    @cached_property
    def _label(self) -> _Sums:
        known = self._columns
        return _Sums((known.label * known.weight * known.labelled)[self._order])

    def _weights(self, of: Flags) -> _Sums:
        return _Sums((self._columns.weight * of)[self._order])

    def mean_ms(self, first: Ints, after: Ints, there: Flags) -> pa.Array:
        import numpy as np

        weight = self._timed.between(first, after)
        total = self._high.between(first, after).astype(np.float64) * (1 << _LOW_BITS)
        total += self._low.between(first, after)
        return _mean(total, weight, there, 1000)

    def mean_label(self, first: Ints, after: Ints, there: Flags) -> pa.Array:
        weight = self._labelled.between(first, after)
        return _mean(self._label.between(first, after), weight, there, 1_000_000)


def _mean(total: Any, weight: Ints, there: Flags, unit: int) -> pa.Array:
    import numpy as np

    return _nullable(total / np.maximum(weight, 1) / unit, there & (weight > 0))


def _ints(column: pa.ChunkedArray | pa.Array, kind: DTypeLike = "int64") -> Ints:
    """Return a column of whole numbers without nulls, as it lies in memory.

    `to_numpy` would import pandas where that is installed, which takes longer than all the rest.
    """
    import numpy as np

    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    size, begin = len(array), array.offset
    found: Ints = (
        np.frombuffer(array.buffers()[1], kind, begin + size)[begin:] if size else np.zeros(0, kind)
    )
    return found


def _flags(column: pa.ChunkedArray) -> Flags:
    import numpy as np

    return _ints(column, np.uint8) > 0


def _codes(column: pa.ChunkedArray) -> Ints:
    import numpy as np

    return _ints(column, np.int32).astype(np.int64)


def _nullable(values: NDArray[Any], known: Flags) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    data = np.ascontiguousarray(values, dtype=np.float64)
    buffers = [pa.py_buffer(np.packbits(known, bitorder="little")), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.float64(), len(data), buffers)

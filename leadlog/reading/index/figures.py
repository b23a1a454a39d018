"""Queries of pages and reports against the index; they read no log file.

    with Index("database_logs") as index:
        index.catch_up()
        figures = Figures(index)
        figures.totals(None, since_us, until_us)  # {kind: Total(...)}

Whole days, hours and quarters of an hour are read from the roll-ups, the rest of a period from the
events themselves.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from leadlog.reading.analytics.durations import bucket_of
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.numbers import session_number
from leadlog.reading.index.rollups import pieces, unpacked
from leadlog.reading.index.store import EventLocation, Index

__all__ = ["Figures", "IndexedEvent", "Scores", "Total"]

_US: Final = 1_000_000

Buckets = Iterable[tuple[int, int]]
"""Number of events by bucket of duration; can be iterated once."""


class Total(NamedTuple):
    """Totals of events, without weights for sampling.

    Attributes:
        n: number of events.
        timed: number of events with a duration.
        us: sum of the durations in microseconds.
    """

    n: int
    timed: int
    us: int


class IndexedEvent(NamedTuple):
    """An event in the index.

    Attributes:
        number: number of the event; larger if indexed later.
        at: time of the event, microseconds since 1970.
        kind: number of its kind.
        duration: duration in microseconds; None if unknown.
    """

    number: int
    at: int
    kind: int
    duration: int | None


class Scores(NamedTuple):
    """A number of quality scores of leads.

    Attributes:
        day: number of the day since 1970.
        bin: twentieth of the score, 0 to 19.
        source: of the leads; None where it is not known.
        issues: codes that say why the score is what it is.
        n: number of scores.
        thousandths: sum of the scores in thousandths.
    """

    day: int
    bin: int
    source: str | None
    issues: tuple[str, ...]
    n: int
    thousandths: int


class Figures:
    """Figures computed from the index.

    Args:
        index: the open index; used from one thread at a time.

    Every method raises `IndexUnavailableError` if the database cannot be read.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._ask = index.ask
        self._kinds: dict[int, Kind] = {}

    # ------------------------------------------------------------------------- what there is

    def kinds(self) -> Mapping[int, Kind]:
        """Return all kinds by number."""
        last = max(self._kinds, default=0)
        for number, text in self._ask("SELECT id, kind FROM kinds WHERE id > ?", (last,)):
            self._kinds[number] = Kind(*orjson.loads(text))
        return self._kinds

    def extent(self) -> tuple[int, int] | None:
        """Return the times of the first and the last event; None if there is none."""
        # Separate queries take one step in the index each; a combined one would scan all of it.
        ((first, last),) = self._ask(
            "SELECT (SELECT min(at) FROM events), (SELECT max(at) FROM events)"
        )
        return None if first is None else (first, last)

    def position(self) -> tuple[str, int]:
        """Return the generation of the numbers, and the last number assigned."""
        rows = self._ask(
            "SELECT name, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) "
            "FROM generation"
        )
        return (str(rows[0][0]), int(rows[0][1])) if rows else ("", 0)

    def users(self, names: Collection[str]) -> list[int]:
        """Return the numbers of the users with the given names."""
        return [
            number
            for (number,) in self._ask(
                "SELECT id FROM names WHERE name IN (SELECT value FROM json_each(?))",
                (_json(names),),
            )
        ]

    def damaged(self) -> set[str]:
        """Return the categories that have lines which are not events."""
        rows = self._ask("SELECT DISTINCT category FROM files WHERE damaged > 0")
        return {category for (category,) in rows}

    # ----------------------------------------------------------------------------- added up

    def totals(self, kinds: Collection[int] | None, since: int, until: int) -> dict[int, Total]:
        """Return the totals of a period's events, by kind.

        Args:
            kinds: numbers of the kinds to include; None for all.
            since: start of the period, microseconds since 1970.
            until: end of the period; excluded.
        """
        found: dict[int, list[int]] = {}
        for level, start, end in pieces(since, until):
            if level:
                sql = (
                    "SELECT kind, sum(n), sum(timed), sum(us) FROM counts "
                    f"WHERE level = :level AND slot >= :start AND slot < :end{_of(kinds)} "
                    "GROUP BY kind"
                )
            else:
                sql = (
                    "SELECT kind, count(*), count(duration), coalesce(sum(duration), 0) "
                    f"FROM events WHERE at >= :start AND at < :end{_of(kinds)} GROUP BY kind"
                )
            for kind, *numbers in self._ask(sql, _parameters(kinds, start, end, level)):
                sums = found.setdefault(kind, [0, 0, 0])
                for place, number in enumerate(numbers):
                    sums[place] += number
        return {kind: Total(*sums) for kind, sums in found.items()}

    def series(
        self, kinds: Collection[int] | None, since: int, until: int, step: int
    ) -> dict[int, dict[int, int]]:
        """Return the number of events by kind and slot; a slot is its start time // step.

        Args:
            kinds: numbers of the kinds to include; None for all.
            since: start of the period, microseconds since 1970.
            until: end of the period; excluded.
            step: width of a slot in seconds.
        """
        found: dict[int, dict[int, int]] = {}
        for level, start, end in pieces(since, until, step):
            if level:
                # Added up below: to group by kind, SQLite would sort all rows.
                sql = (
                    f"SELECT kind, slot * {level:d} / {step:d}, n FROM counts "
                    f"WHERE level = :level AND slot >= :start AND slot < :end{_of(kinds)}"
                )
            else:
                sql = (
                    f"SELECT kind, at / {step * _US:d} AS place, count(*) FROM events "
                    f"WHERE at >= :start AND at < :end{_of(kinds)} GROUP BY kind, place"
                )
            for kind, place, n in self._ask(sql, _parameters(kinds, start, end, level)):
                slots = found.setdefault(kind, {})
                slots[place] = slots.get(place, 0) + n
        return found

    def latencies(
        self, kinds: Collection[int] | None, since: int, until: int, step: int | None = None
    ) -> Iterator[tuple[int, int, Buckets]]:
        """Yield kind, slot, and events by bucket of duration; a kind may occur twice.

        Args:
            kinds: numbers of the kinds to include; None for all.
            since: start of the period, microseconds since 1970.
            until: end of the period; excluded.
            step: width of a slot in seconds; without it, everything is in slot 0.
        """
        wanted = " AND kind > 0" if kinds is None else _of(kinds)
        for level, start, end in pieces(since, until, step):
            if level:
                yield from self._packed(wanted, kinds, (level, start, end), step)
                continue
            slot = "0" if step is None else f"at / {step * _US:d}"
            sql = (
                f"SELECT kind, {slot}, duration FROM events "
                f"WHERE at >= :start AND at < :end AND duration IS NOT NULL{_of(kinds)}"
            )
            counted: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
            for kind, place, duration in self._ask(sql, _parameters(kinds, start, end, level)):
                counted[kind, place][bucket_of(duration / 1000)] += 1
            for key, buckets in counted.items():
                yield (*key, buckets.items())

    def _packed(
        self,
        wanted: str,
        kinds: Collection[int] | None,
        piece: tuple[int, int, int],
        step: int | None,
    ) -> Iterator[tuple[int, int, Buckets]]:
        """Yield the packed roll-ups of a part of a period."""
        level, start, end = piece
        slot = "0" if step is None else f"slot * {level:d} / {step:d}"
        sql = (
            f"SELECT kind, {slot}, buckets FROM latencies "
            f"WHERE level = :level AND slot >= :start AND slot < :end{wanted}"
        )
        for kind, place, buckets in self._ask(sql, _parameters(kinds, start, end, level)):
            yield kind, place, unpacked(buckets)

    def lots(self) -> Mapping[int, int]:
        """Return the number of each kind's lot, by the kind's number.

        A lot is all kinds of one category and sampling rate.
        """
        return dict(self._ask("SELECT id, lot FROM kinds"))

    def latencies_of_lots(
        self, lots: Collection[int], since: int, until: int, step: int | None = None
    ) -> Iterator[tuple[int, int, Buckets]]:
        """Yield lot, slot, and events by bucket of duration; a lot may occur twice.

        The arguments are those of `latencies`.
        """
        lot_of = self.lots()
        packed, kinds = (
            [-lot for lot in lots],
            [kind for kind, lot in lot_of.items() if lot in lots],
        )
        for level, start, end in pieces(since, until, step):
            if level:
                for lot, place, buckets in self._packed(
                    _of(packed), packed, (level, start, end), step
                ):
                    yield -lot, place, buckets
                continue
            for kind, place, buckets in self.latencies(kinds, start, end, step):
                yield lot_of[kind], place, buckets

    def durations(
        self, since: int, until: int, step: int | None = None
    ) -> list[tuple[int, int, int | None]]:
        """Return kind, slot and duration in microseconds of each single event of a period.

        Arguments are those of `latencies`.
        """
        slot = "0" if step is None else f"at / {step * _US:d}"
        sql = f"SELECT kind, {slot}, duration FROM events WHERE at >= ? AND at < ?"
        found: list[Any] = self._ask(sql, (since, until))
        return found

    def scores(self, since_day: int, until_day: int) -> Iterator[Scores]:
        """Yield the numbers of leads' quality scores, by day.

        Args:
            since_day: the first day, as a number since 1970.
            until_day: the last day; excluded.
        """
        for day, bin_, n, thousandths, marks in self._ask(
            "SELECT slot, bin, n, thousandths, name FROM scores "
            "LEFT JOIN names ON names.id = marks WHERE slot >= ? AND slot < ?",
            (since_day, until_day),
        ):
            told: list[Any] = orjson.loads(marks) if marks else [None]
            yield Scores(day, bin_, told[0], tuple(told[1:]), n, thousandths)

    def first_and_last(self, kinds: Collection[int]) -> tuple[int, int] | None:
        """Return the times of the first and the last event of some kinds."""
        first: int | None = None
        last: int | None = None
        for kind in kinds:  # separately, since each then takes two steps in an index
            ((low, high),) = self._ask(
                "SELECT (SELECT min(at) FROM events WHERE kind = :kind), "
                "(SELECT max(at) FROM events WHERE kind = :kind)",
                {"kind": kind},
            )
            if low is not None:
                first = low if first is None else min(first, low)
                last = high if last is None else max(last, high)
        return None if first is None or last is None else (first, last)

    # ------------------------------------------------------------------------ single events

    def newest(
        self,
        kinds: Collection[int] | None,
        since: int,
        until: int,
        *,
        most: int,
        users: Collection[int] | None = None,
        session: str | None = None,
        key: str | None = None,
        least_us: int | None = None,
        most_us: int | None = None,
        oldest: bool = False,
        before: tuple[int, int] | None = None,
        numbers: tuple[int, int] | None = None,
    ) -> list[IndexedEvent]:
        """Return events of a period, newest first.

        Args:
            kinds: numbers of the kinds wanted; None for all.
            since: first moment, microseconds since 1970.
            until: the moment at which the period has ended.
            most: how many.
            users: numbers of users; None for all.
            session: only of this session.
            key: only on the row with this key.
            least_us: only those that took as long, microseconds.
            most_us: only those that took no longer.
            oldest: the oldest first instead.
            before: only those before this time, and of the same time those with a smaller number.
            numbers: only those whose numbers are above the first and up to the last.
        """
        conditions, values = _conditions(users, session, key, least_us, most_us)
        table, order = "events", "ASC" if oldest else "DESC"
        if before is not None:
            conditions += " AND (at, id) < (:at, :id)"
            values |= {"at": before[0], "id": before[1]}
            until = min(until, before[0] + 1)
        if numbers is not None:
            table = "events NOT INDEXED"  # but by number: there are few of them
            conditions += " AND id > :above AND id <= :last"
            values |= {"above": numbers[0], "last": numbers[1]}
        sql = (
            f"SELECT id, at, kind, duration FROM {table} WHERE at >= :start AND at < :end"
            f"{_of(kinds)}{conditions} ORDER BY at {order}, id {order} LIMIT :most"
        )
        parameters = _parameters(kinds, since, until, 0) | values | {"most": most}
        return [IndexedEvent(*row) for row in self._ask(sql, parameters)]

    def grouped(
        self,
        kinds: Collection[int] | None,
        since: int,
        until: int,
        step: int,
        *,
        users: Collection[int] | None = None,
        session: str | None = None,
        key: str | None = None,
        least_us: int | None = None,
        most_us: int | None = None,
    ) -> list[tuple[int, int, int]]:
        """Return (kind, slot, number of events), with filters that the roll-ups do not have.

        The arguments are those of `newest` and `series`.
        """
        conditions, values = _conditions(users, session, key, least_us, most_us)
        sql = (
            f"SELECT kind, at / {step * _US:d} AS place, count(*) FROM events "
            f"WHERE at >= :start AND at < :end{_of(kinds)}{conditions} GROUP BY kind, place"
        )
        rows = self._ask(sql, _parameters(kinds, since, until, 0) | values)
        return [(kind, place, n) for kind, place, n in rows]

    def by_user(
        self,
        kinds: Collection[int] | None,
        since: int,
        until: int,
        *,
        session: str | None = None,
        key: str | None = None,
        least_us: int | None = None,
        most_us: int | None = None,
    ) -> list[tuple[str, int, int]]:
        """Return (user, kind, number of events); the arguments are those of `newest`."""
        conditions, values = _conditions(None, session, key, least_us, most_us)
        rows = self._ask(
            "SELECT name, kind, n FROM (SELECT user, kind, count(*) AS n FROM events "
            f"WHERE at >= :start AND at < :end AND user IS NOT NULL{_of(kinds)}{conditions} "
            "GROUP BY user, kind) JOIN names ON names.id = user",
            _parameters(kinds, since, until, 0) | values,
        )
        return [(name, kind, n) for name, kind, n in rows]

    def sessions(self, kinds: Collection[int], since: int, until: int) -> int:
        """Return the number of sessions with events of some kinds."""
        ((count,),) = self._ask(
            "SELECT count(DISTINCT session) FROM events "
            f"WHERE at >= :start AND at < :end{_of(kinds)}",
            _parameters(kinds, since, until, 0),
        )
        return int(count)

    def after(self, number: int, most: int) -> tuple[int, int]:
        """Return (number of the last event, count) of the events indexed after a number.

        Args:
            number: number of the event to start after; returned if there is none.
            most: largest number of events to count.
        """
        ((last, n),) = self._ask(
            "SELECT max(id), count(*) FROM "
            "(SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?)",
            (number, most),
        )
        return (number if last is None else int(last)), int(n)

    def places(self, numbers: Collection[int]) -> dict[int, EventLocation]:
        """Return the locations of some events, by number."""
        return self._index.of_numbers(numbers)


def _json(values: Collection[Any]) -> str:
    return orjson.dumps([*values]).decode()


def _of(kinds: Collection[int] | None) -> str:
    return "" if kinds is None else " AND kind IN (SELECT value FROM json_each(:kinds))"


def _parameters(kinds: Collection[int] | None, start: int, end: int, level: int) -> dict[str, Any]:
    width = level * _US or 1
    given: dict[str, Any] = {"start": start // width, "end": end // width, "level": level}
    if kinds is not None:
        given["kinds"] = _json(kinds)
    return given


def _conditions(
    users: Collection[int] | None,
    session: str | None,
    key: str | None,
    least_us: int | None,
    most_us: int | None,
) -> tuple[str, dict[str, Any]]:
    text, values = "", dict[str, Any]()
    for condition, name, value in (
        ("user IN (SELECT value FROM json_each(:users))", "users", users and _json(users)),
        ("session = :session", "session", None if session is None else session_number(session)),
        ("key = :key", "key", key),
        ("duration >= :least", "least", least_us),
        ("duration <= :longest", "longest", most_us),
    ):
        if value is not None:
            text += f" AND {condition}"
            values[name] = value
    if users is not None and not users:  # no user has such a name
        text += " AND 0"
        values.pop("users", None)
        text = text.replace("user IN (SELECT value FROM json_each(:users))", "1")
    return text, values

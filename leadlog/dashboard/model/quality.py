"""Data quality of the leads: scores by day, issues, and scores by source."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from leadlog.dashboard.log import Log
from leadlog.dashboard.model.windows import TimeWindow
from leadlog.reading.index.figures import Scores

__all__ = ["BINS", "Issue", "QualityFigures", "SourceQuality", "quality"]

BINS: Final = 20
_DAY_US: Final = 86_400 * 1_000_000
_MOST_DAYS: Final = 400
_EPOCH: Final = date(1970, 1, 1)
_SHOWN: Final = 30


@dataclass(frozen=True, slots=True)
class Issue:
    """One reason for a low score.

    Attributes:
        code: code of the issue.
        leads: number of calls whose lead had it.
        share: share of all calls with a score.
    """

    code: str
    leads: int
    share: float


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """The leads of one source.

    Attributes:
        name: of the source; None where it is not known.
        leads: calls with a score.
        mean: of the scores, 0 to 1.
        low: share of those below 0.5.
        issue: the most frequent issue.
    """

    name: str | None
    leads: int
    mean: float
    low: float
    issue: str | None


@dataclass(frozen=True, slots=True)
class QualityFigures:
    """The quality of the leads written on whole UTC days.

    Attributes:
        days: the days, oldest first.
        cells: day by day, how many scores are in each twentieth, the lowest first.
        means: mean score by day; None for a day without any.
        most: the highest cell.
        total: calls with a score.
        mean: of all scores; None without any.
        issues: ranked.
        sources: those with most leads first.
    """

    days: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    means: tuple[float | None, ...]
    most: int
    total: int
    mean: float | None
    issues: tuple[Issue, ...]
    sources: tuple[SourceQuality, ...]


def quality(log: Log, window: TimeWindow) -> QualityFigures:
    """Return the quality on the days that a period overlaps, at most the last 400.

    Raises:
        IndexUnavailableError: the index cannot be read.
    """
    last = (window.until - 1) // _DAY_US
    first = max(window.since // _DAY_US, last - _MOST_DAYS + 1)
    cells = [[0] * BINS for _ in range(last - first + 1)]
    sums = [0] * len(cells)
    issues: Counter[str] = Counter()
    by_source: dict[str | None, _SourceScores] = defaultdict(_SourceScores)
    with log.figures() as figures:
        for one in figures.scores(first, last + 1):
            cells[one.day - first][one.bin] += one.n
            sums[one.day - first] += one.thousandths
            by_source[one.source].add(one)
            for issue in one.issues:
                issues[issue] += one.n
    total = sum(map(sum, cells))
    sources = [own.told(name) for name, own in by_source.items()]
    sources.sort(key=lambda one: (-one.leads, one.name or ""))
    return QualityFigures(
        tuple((_EPOCH + timedelta(days=day)).isoformat() for day in range(first, last + 1)),
        tuple(tuple(column) for column in cells),
        tuple(_mean(one, sum(column)) for one, column in zip(sums, cells, strict=True)),
        max(map(max, cells)),
        total,
        _mean(sum(sums), total),
        tuple(Issue(code, n, n / total) for code, n in issues.most_common(_SHOWN)),
        tuple(sources[:_SHOWN]),
    )


class _SourceScores:
    """What the scores of one source add up to."""

    def __init__(self) -> None:
        self.n = self.low = self.thousandths = 0
        self.issues: Counter[str] = Counter()

    def add(self, one: Scores) -> None:
        self.n += one.n
        self.low += one.n if one.bin < BINS // 2 else 0
        self.thousandths += one.thousandths
        for issue in one.issues:
            self.issues[issue] += one.n

    def told(self, name: str | None) -> SourceQuality:
        ranked = sorted(self.issues.items(), key=lambda one: (-one[1], one[0]))
        return SourceQuality(
            name,
            self.n,
            self.thousandths / self.n / 1000,
            self.low / self.n,
            ranked[0][0] if ranked else None,
        )


def _mean(thousandths: int, n: int) -> float | None:
    return thousandths / n / 1000 if n else None

"""Data quality of the leads: scores by day, issues, and scores by source."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from leadlog.dashboard.model.log import Log
from leadlog.dashboard.model.windows import TimeWindow

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
        name: name of the source; None if unknown.
        leads: number of calls with a score.
        mean: mean score, 0 to 1, to a twentieth.
        low: share of scores below 0.5.
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
        cells: number of scores in each twentieth, lowest first, day by day.
        means: mean score by day; None for a day without scores.
        most: the highest number in a cell.
        total: number of calls with a score.
        mean: mean of all scores, to a twentieth; None without scores.
        issues: issues, most frequent first.
        sources: sources, those with most leads first.
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
    issues: Counter[str] = Counter()
    by_source: dict[str | None, Counter[int]] = defaultdict(Counter)
    issues_by_source: dict[str | None, Counter[str]] = defaultdict(Counter)
    with log.figures() as figures:
        for one in figures.scores(first, last + 1):
            cells[one.day - first][one.bin] += one.n
            by_source[one.source][one.bin] += one.n
            for issue in one.issues:
                issues[issue] += one.n
                issues_by_source[one.source][issue] += one.n
    total = sum(map(sum, cells))
    sources = [
        SourceQuality(
            name,
            sum(bins.values()),
            _mean(bins) or 0.0,
            sum(n for bin_, n in bins.items() if bin_ < BINS // 2) / sum(bins.values()),
            max(issues_by_source[name].items(), key=lambda one: one[1], default=(None,))[0],
        )
        for name, bins in by_source.items()
    ]
    sources.sort(key=lambda one: (-one.leads, one.name or ""))
    return QualityFigures(
        tuple((_EPOCH + timedelta(days=day)).isoformat() for day in range(first, last + 1)),
        tuple(tuple(column) for column in cells),
        tuple(_mean(Counter(dict(enumerate(column)))) for column in cells),
        max(map(max, cells)),
        total,
        _mean(Counter({n: sum(column[n] for column in cells) for n in range(BINS)})),
        tuple(Issue(code, n, n / total) for code, n in issues.most_common(_SHOWN)),
        tuple(sources[:_SHOWN]),
    )


def _mean(bins: Counter[int]) -> float | None:
    """Return the mean score, from the midpoints of the bins; None without scores."""
    count = sum(bins.values())
    if not count:
        return None
    return sum((bin_ + 0.5) / BINS * n for bin_, n in bins.items()) / count

"""The content of a report, independent of HTML."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from leadlog.core.clock import format_us, now_us, utc_date
from leadlog.core.settings import Settings
from leadlog.dashboard.model import (
    ErrorGroup,
    Log,
    Now,
    QualityFigures,
    Runs,
    TimeWindow,
    error_groups,
    firing,
    now,
    quality,
    runs,
)
from leadlog.dashboard.model import window as window_of
from leadlog.dashboard.wording import moment
from leadlog.reading.index import Progress
from leadlog.reading.index.figures import Figures
from leadlog_processors.privacy import Policy, Privacy

__all__ = ["PeriodReport", "report_of"]

_MOST_GROUPS: Final = 25
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class PeriodReport:
    """The content of a report on one period.

    Attributes:
        log: name of the log directory.
        window: the period.
        made_us: time of the report, microseconds since 1970.
        events: number of events in the log, not scaled for sampling.
        now: state, figures, charts and operations.
        errors: error groups, most frequent first.
        more_errors: number of error groups left out.
        quality: data quality of the leads.
        runs: syncs and migrations, newest first.
        notices: caveats about the figures.
        command: command that writes this report again.
        version: version of leadlog.
    """

    log: str
    window: TimeWindow
    made_us: int
    events: int
    now: Now
    errors: tuple[ErrorGroup, ...]
    more_errors: int
    quality: QualityFigures
    runs: Runs
    notices: tuple[str, ...]
    command: str
    version: str


class _PrivateLog(Log):
    """A log that applies a privacy policy to the records it returns."""

    def __init__(self, directory: Path, privacy: Privacy) -> None:
        super().__init__(directory)
        self._privacy = privacy

    def records(self, figures: Figures, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
        """Return records by index number, with secrets and personal data masked."""
        found = super().records(figures, numbers)
        return {
            number: cast("dict[str, Any]", self._privacy(None, "info", record))
            for number, record in found.items()
        }


def report_of(
    directory: Path,
    window: TimeWindow,
    settings: Settings,
    *,
    command: str,
    version: str,
    masked: bool = False,
    shrink: bool = False,
    progress: Progress | None = None,
) -> PeriodReport:
    """Return the content of a report on a period; index new events first.

    Args:
        directory: the log directory.
        window: the period.
        settings: settings with the policy for personal data.
        command: command that writes this report again.
        version: version of leadlog.
        masked: whether to mask personal data regardless of the settings.
        shrink: whether to start the period at the hour of the log's first event, if later.
        progress: called with the progress of the indexing.

    Raises:
        IndexUnavailableError: the index cannot be used.
        ReadError: a log file cannot be read.
    """
    policy = "masked" if masked else settings.pii
    privacy = Privacy(cast(Policy, policy), settings.pseudonym_key.encode() or None)
    with _PrivateLog(directory, privacy) as log:
        log.catch_up(progress)
        with log.figures() as figures:
            extent = figures.extent()
            if shrink:
                window = _shrunk(window, extent)
            groups = error_groups(log, figures, window)
            totals = figures.totals(None, window.since, window.until)
        events = sum(total.n for total in totals.values())
        frequent = sorted(groups, key=lambda one: (-one.events, one.last_seen))[:_MOST_GROUPS]
        return PeriodReport(
            directory.name or str(directory),
            window,
            now_us(),
            events,
            now(log, window, firing(log) if window.live else ()),
            tuple(frequent),
            len(groups) - len(frequent),
            quality(log, window),
            runs(log, window),
            tuple(_notices(log, window, extent, events)),
            command,
            version,
        )


def _shrunk(period: TimeWindow, extent: tuple[int, int] | None) -> TimeWindow:
    if extent is None:
        return period
    begin = extent[0] // _HOUR_US * _HOUR_US
    if not period.since < begin < period.until:
        return period
    until = None if period.live else period.until_text
    return window_of(format_us(begin), until, now=period.now)


def _notices(
    log: Log, window: TimeWindow, extent: tuple[int, int] | None, events: int
) -> Iterator[str]:
    if not events and extent is not None:
        yield (
            f"The log has events from {moment(extent[0])} to {moment(extent[1])}; "
            "report a period in that range."
        )
    first, last = utc_date(window.since), utc_date(window.until - 1)
    sealed = [day for day in log.sealed_days() if first <= day <= last]
    if sealed:
        days = f"{sealed[0]} to {sealed[-1]}" if len(sealed) > 1 else sealed[0]
        yield (
            f"{len(sealed)} of the days ({days}) are sealed in the archive and not counted here; "
            f"leadlog summary --from {sealed[0]} --to {sealed[-1]} counts them."
        )

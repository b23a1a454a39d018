"""The period requested on the command line, and the period of the same length before it."""

import datetime as dt

import click

__all__ = ["as_many_before", "asked_days"]

_MOST_DAYS = 3_660
"""About ten years: each day is a line of the report."""


def asked_days(
    date: str | None, week: str | None, first: str | None, last: str | None
) -> tuple[dt.date, dt.date]:
    """Return the first and the last UTC day given by `--date`, `--week`, or `--from` and `--to`.

    Raises:
        click.UsageError: the options contradict each other, or a value is not a day.
    """
    from leadlog.reading.moments import shifted

    ways = [date is not None, week is not None, first is not None or last is not None]
    if sum(ways) > 1:
        raise click.UsageError("give one of --date, --week, or --from with --to")
    if week is not None:
        monday = _monday(week)
        return monday, shifted(monday, 6)
    if last is not None and first is None:
        raise click.UsageError("--to needs --from, the first day")
    begin = _day(date or first or "today")
    end = begin if first is None else _day(last or "today")
    if end < begin:
        raise click.UsageError(f"the last day {end} is before the first day {begin}; swap them")
    if (end - begin).days >= _MOST_DAYS:
        raise click.UsageError(
            f"{begin} to {end} are {(end - begin).days + 1} days; give at most {_MOST_DAYS}"
        )
    return begin, end


def as_many_before(begin: dt.date, end: dt.date) -> tuple[dt.date, dt.date]:
    """Return the first and the last day of the period of the same length just before.

    Raises:
        click.UsageError: The calendar has no days that early.
    """
    length = end - begin + dt.timedelta(days=1)
    try:
        return begin - length, end - length
    except OverflowError:
        raise click.UsageError(
            f"there are no days before {begin} to compare with; begin later"
        ) from None


def _day(text: str) -> dt.date:
    from leadlog.core.clock import format_us
    from leadlog.reading.moments import MomentError, moment

    try:
        return dt.date.fromisoformat(format_us(moment(text))[:10])
    except MomentError as error:
        raise click.UsageError(str(error)) from error


def _monday(text: str) -> dt.date:
    try:
        if "W" in text.upper():
            return dt.date.fromisoformat(f"{text.upper().rstrip('-')}-1")
        day = _day(text)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is not a week; write it like 2026-W48, or give any day in it"
        ) from None
    return day - dt.timedelta(days=day.weekday())

"""A report as one HTML file: no script, no network request, the same on screen and on paper.

Stored values are escaped, and invisible characters are made visible. Long texts are folded: the
table shows the first line, a click opens the rest, and on paper they are open.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final, NamedTuple

from leadlog.core.clock import parse
from leadlog.dashboard.model.errors import ErrorGroup
from leadlog.dashboard.model.now import Tile
from leadlog.dashboard.model.quality import QualityFigures
from leadlog.dashboard.model.runs import RunFigures, Runs
from leadlog.dashboard.model.verdict import OperationFigures
from leadlog.dashboard.report.charts import bars, course, sparkline
from leadlog.dashboard.report.content import PeriodReport
from leadlog.dashboard.report.parts import (
    UNITS,
    Column,
    folded,
    nothing,
    section,
    shown_figure,
    table,
    text,
    time_of,
)
from leadlog.dashboard.wording import UNKNOWN, change, duration, figure, moment, percent, span

__all__ = ["page"]

_SIGNS: Final = {"ok": "●", "warning": "▲", "critical": "■", "unknown": "○"}
_WORDS: Final = {
    "ok": "All is well",
    "warning": "Needs a look",
    "critical": "Something is wrong",
    "unknown": "Nothing here",
}
_MOST_ROWS: Final = 31
_MOST_RUNS: Final = 25
_SHADES: Final = 5


@cache
def _style() -> str:
    return files("leadlog.dashboard.report").joinpath("report.css").read_text("utf-8").strip()


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def page(report: PeriodReport) -> str:
    """Return the whole HTML file."""
    period = _period(report)
    parts = [_head(report, period)]
    if report.events:
        parts += [
            _now(report),
            _operations(report.now.operations, report.now.operations_left_out),
            _errors(report.errors, report.more_errors),
            _quality(report.quality),
            _runs(report.runs),
        ]
    parts.append(_foot(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>Lead log, {text(period)}</title><style>{_style()}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _period(report: PeriodReport) -> str:
    window = report.window
    begin, end = moment(window.since), moment(window.until)
    if not begin.endswith(", 00:00") or not (end.endswith(", 00:00") or window.live):
        day, _, clock = end.partition(", ")
        return f"{begin} to {clock if begin.startswith(f'{day},') else end}"
    first = begin.partition(",")[0]
    last = moment(window.until - 1).partition(",")[0]
    if first == last:
        return first
    if first.rpartition(" ")[2] == last.rpartition(" ")[2]:
        first = first.rpartition(" ")[0]
    return f"{first} to {last}"


# ---------------------------------------------------------------------------------- sections


def _head(report: PeriodReport, period: str) -> str:
    state = report.now.state
    return (
        f'<header><p class="brand">leadlog report</p><h1>{text(period)}</h1>'
        f'<p class="meta">{text(report.log)}, '
        f"{shown_figure(report.events)} {'event' if report.events == 1 else 'events'}, "
        f"times in UTC</p></header>\n<main>"
        f'<p class="state {state.word}"><span class="sign" aria-hidden="true">'
        f"{_SIGNS[state.word]}</span> <strong>{_WORDS[state.word]}.</strong> "
        f"{text(_sentence(state.sentence))}</p>"
        + "".join(f'<p class="notice">{text(one)}</p>' for one in report.notices)
    )


def _sentence(sentence: str) -> str:
    """Return the sentence without a prefix that the page already shows."""
    return sentence.removeprefix("All is well: ")


def _now(report: PeriodReport) -> str:
    chart, step = report.now.chart, report.window.step
    each = f"per {span(step * 1000).removeprefix('1 ')}"
    charts = (
        _chart(report, "Operations", each, _Course("count", chart.calls, bars))
        + _chart(report, "Failed", each, _Course("count", chart.failed, bars), kind="bad")
        + _chart(report, "p95 duration", "", _Course("ms", chart.p95, course))
    )
    tiles = "".join(_tile(one) for one in report.now.tiles)
    values = table(
        "The figures of the charts",
        (
            Column("from"),
            Column("operations", number=True),
            Column("failed", number=True),
            Column("errors", number=True),
            Column("p50", number=True),
            Column("p95", number=True),
        ),
        (
            (
                time_of(at * 1_000_000),
                *(figure(one) for one in (calls, failed, errors)),
                duration(p50),
                duration(p95),
            )
            for at, calls, failed, errors, p50, p95 in zip(
                chart.at, chart.calls, chart.failed, chart.errors, chart.p50, chart.p95, strict=True
            )
            if calls or errors
        ),
    )
    return (
        f'<section id="now" aria-label="Now"><div class="tiles">{tiles}</div>'
        f'<div class="charts">{charts}</div>'
        f'<details class="figures"><summary>The charts as a table</summary>{values}</details>'
        "</section>"
    )


def _tile(tile: Tile) -> str:
    told = ""
    if tile.before is not None:
        how = change(tile.value, tile.before)
        worse = (
            tile.rising is not None
            and tile.value is not None
            and ((tile.value > tile.before) == tile.rising and tile.value != tile.before)
        )
        mark = ' class="worse"' if worse and how not in {"same", UNKNOWN} else ""
        was = UNITS[tile.unit](tile.before)
        told = f"<span{mark}>{escape(how)}</span> on a week earlier ({escape(was)})"
        if how in {"same", "new"}:
            told = f"{how}, a week earlier {escape(was)}"
    bad = " bad" if tile.rising else ""
    return (
        f'<div class="tile"><h3>{text(tile.name)}</h3><p class="value">'
        f"{shown_figure(tile.value, tile.unit)}</p>"
        f'<div class="spark{bad}">{sparkline(tile.spark)}</div><p class="was">{told}</p></div>'
    )


class _Course(NamedTuple):
    """The values of a chart, their unit, and the function that draws them."""

    unit: str
    values: Sequence[float | None]
    draw: Callable[[Sequence[float | None], str], str]


def _chart(report: PeriodReport, title: str, each: str, drawn: _Course, *, kind: str = "") -> str:
    most = max((one for one in drawn.values if one is not None), default=None)
    highest = UNITS[drawn.unit](most)
    window = report.window
    told = f"{title} {each}".strip()
    shown = drawn.draw(
        drawn.values, f"{told}, at most {highest}; the values are in the table below"
    )
    middle = (window.since + window.until) // 2
    short = window.until - window.since <= 36 * 3_600_000_000
    ticks = "".join(
        f"<span>{_tick(us, short=short)}</span>" for us in (window.since, middle, window.until)
    )
    return (
        f'<figure class="chart {kind}"><figcaption>{escape(title)} <span>{escape(each)}</span>'
        f'<span class="most">max {escape(highest)}</span></figcaption>{shown}'
        f'<div class="ticks" aria-hidden="true">{ticks}</div></figure>'
    )


def _tick(us: int, *, short: bool) -> str:
    day, _, clock = moment(us).partition(", ")
    return clock if short else day.rpartition(" ")[0]


def _operations(operations: Sequence[OperationFigures], more: int) -> str:
    if not operations:
        return section("operations", "Operations", "", nothing("No operation ran in this period."))
    compared = any(one.p95_before is not None for one in operations)
    rows = (
        (
            f"<bdi>{text(one.name)}</bdi>",
            ("≈" if one.approx else "") + shown_figure(one.n),
            _failures(one),
            shown_figure(one.p50, "ms"),
            shown_figure(one.p95, "ms"),
            *((_slower(one),) if compared else ()),
            f'<div class="spark">{sparkline(one.spark)}</div>',
        )
        for one in operations
    )
    columns = (
        Column("operation"),
        Column("calls", number=True),
        Column("failed", number=True),
        Column("p50", number=True, quiet=True),
        Column("p95", number=True),
        *((Column("p95 a week earlier", number=True, quiet=True),) if compared else ()),
        Column("calls over time", quiet=True),
    )
    return section(
        "operations",
        "Operations",
        figure(len(operations) + more),
        table("Operations", columns, rows, kind="narrows")
        + (f'<p class="note">And {figure(more)} more.</p>' if more else ""),
    )


def _failures(one: OperationFigures) -> str:
    if not one.failed:
        return '<span class="none">0</span>' if one.failed_share is not None else UNKNOWN
    return (
        f'<span class="worse">{shown_figure(one.failed)}</span> '
        f"<small>{percent(one.failed_share)}</small>"
    )


def _slower(one: OperationFigures) -> str:
    if one.p95_before is None:
        return f'<span class="none">{UNKNOWN}</span>'
    return f"{duration(one.p95_before)} <small>{escape(change(one.p95, one.p95_before))}</small>"


def _errors(groups: Sequence[ErrorGroup], more: int) -> str:
    if not groups:
        return section("errors", "Errors", "", nothing("No error was logged in this period."))
    rows = (
        (
            _error_name(one),
            ("≈" if one.approx else "") + shown_figure(one.events),
            folded(one.message or UNKNOWN),
            text(one.state or UNKNOWN),
            time_of(parse(one.first_seen)),
            time_of(parse(one.last_seen)),
            f'<div class="spark bad">{sparkline(one.spark)}</div>',
            f"<code>{text(one.fingerprint[:8])}</code>",
        )
        for one in groups
    )
    columns = (
        Column("error"),
        Column("count", number=True),
        Column("message"),
        Column("state", quiet=True),
        Column("first seen", quiet=True),
        Column("last seen"),
        Column("over time", quiet=True),
        Column("fingerprint", quiet=True),
    )
    rest = f'<p class="note">And {figure(more)} more kinds.</p>' if more else ""
    hint = (
        '<p class="note">One in full: '
        f"<code>leadlog errors {text(groups[0].fingerprint[:8])}</code></p>"
    )
    return section(
        "errors",
        "Errors",
        figure(len(groups) + more),
        table("Errors", columns, rows, kind="cards errors") + rest + hint,
    )


def _error_name(one: ErrorGroup) -> str:
    """Return the class of an error as HTML, with its module and operation below."""
    module, _, name = (one.exception or one.error_type or "unknown").rpartition(".")
    below = ", ".join(text(part) for part in (module, one.operation) if part)
    return f"<bdi>{text(name)}</bdi>" + (f"<small>{below}</small>" if below else "")


def _quality(quality: QualityFigures) -> str:
    if not quality.total:
        return section("quality", "Data quality", "", nothing("No lead was scored in this period."))
    issues = table(
        "Issues",
        (Column("issue"), Column("leads", number=True), Column("share", number=True)),
        (
            (f"<code>{text(one.code)}</code>", shown_figure(one.leads), percent(one.share))
            for one in quality.issues
        ),
    )
    sources = table(
        "By source",
        (
            Column("source"),
            Column("leads", number=True),
            Column("mean score", number=True),
            Column("below 0.5", number=True),
        ),
        (
            (
                '<span class="none">not known</span>'
                if one.name is None
                else f"<bdi>{text(one.name)}</bdi>",
                shown_figure(one.leads),
                _score(one.mean),
                percent(one.low),
            )
            for one in quality.sources
        ),
    )
    return section(
        "quality",
        "Data quality",
        f"mean score {_score(quality.mean)} of {figure(quality.total)}",
        '<div class="columns"><div><h3>Scores by day</h3>'
        + _heatmap(quality)
        + "</div><div><h3>Issues</h3>"
        + (issues if quality.issues else nothing("No score was lowered by an issue."))
        + f"</div><div><h3>By source</h3>{sources}</div></div>",
    )


def _score(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def _heatmap(quality: QualityFigures) -> str:
    """Return the heatmap as an HTML table: a row per day, a column per tenth of the score."""
    tenths = [
        [sum(cells[at : at + 2]) for at in range(0, len(cells), 2)] for cells in quality.cells
    ]
    size = -(-len(tenths) // _MOST_ROWS)
    rows = [
        (quality.days[at], [sum(column) for column in zip(*tenths[at : at + size], strict=True)])
        for at in range(0, len(tenths), size)
    ]
    most = max(n for _, row in rows for n in row)
    head = "".join(f'<th scope="col">{place / 10:g}</th>' for place in range(10))
    body = "".join(
        f'<tr><th scope="row">{_day(day)}</th>'
        + "".join(f'<td class="s{_shade(n, most)}">{figure(n) if n else ""}</td>' for n in row)
        + "</tr>"
        for day, row in rows
        if any(row)
    )
    return (
        '<div class="scroll" role="region" aria-label="Scores by day" tabindex="0">'
        f'<table class="heat"><thead><tr><th scope="col">{"day" if size == 1 else "from"}</th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _shade(n: float, most: float) -> int:
    return 0 if n <= 0 else max(1, round((n / most) ** 0.5 * _SHADES))


def _day(day: str) -> str:
    return moment(parse(f"{day}T00:00:00Z")).partition(",")[0].rpartition(" ")[0]


_COUNTS: Final = {
    "leads_synced": "synced",
    "leads_created": "created",
    "leads_updated": "updated",
    "leads_deleted": "deleted",
    "leads_failed": "failed",
    "conflicts_resolved": "conflicts",
    "records_migrated": "migrated",
    "records_skipped": "skipped",
    "records_failed": "rejected",
    "duplicates_found": "duplicates",
}


def _runs(runs: Runs) -> str:
    if not runs.runs:
        return section("runs", "Syncs and migrations", "", nothing("None ran in this period."))
    columns = (
        Column("run"),
        Column("result"),
        Column("ended"),
        Column("took", number=True),
        Column("what it did"),
        Column("what went wrong"),
    )
    more = runs.total - len(runs.runs[:_MOST_RUNS])
    rest = f'<p class="note">And {figure(more)} more.</p>' if more else ""
    return section(
        "runs",
        "Syncs and migrations",
        figure(runs.total),
        table("Syncs and migrations", columns, map(_run, runs.runs[:_MOST_RUNS]), kind="cards runs")
        + rest,
    )


def _run(one: RunFigures) -> tuple[str, ...]:
    results = {
        True: "done",
        False: '<span class="worse">■ failed</span>',
        None: f'<span class="none">{UNKNOWN}</span>',
    }
    did = [
        f"{figure(one.figures[name])} {word}"
        for name, word in _COUNTS.items()
        if one.figures.get(name)
    ]
    if one.waited_ms:
        did.append(f"{duration(one.waited_ms)} waited")
    wrong = "\n".join(text for text in (one.error, *one.listed) if text)
    return (
        f"{text(one.kind)} <bdi>{text(one.type or '')}</bdi>",
        results[one.success],
        time_of(parse(one.at)),
        shown_figure(one.ms, "ms"),
        text(", ".join(did)) or f'<span class="none">{UNKNOWN}</span>',
        folded(wrong) if wrong else "",
    )


def _foot(report: PeriodReport) -> str:
    return (
        "</main><footer><p>Made "
        f"{moment(report.made_us)} UTC by leadlog {text(report.version)} with "
        f"<code>{text(report.command)}</code>. Percentiles are at most 1 % off; ≈ marks estimates "
        f"from sampled events; {UNKNOWN} is not known. No rows of the log are in this file.</p>"
        "</footer>"
    )

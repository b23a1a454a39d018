"""A summary as one HTML file: no script, no font and no picture from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from leadlog.cli.reading.summary import HEADLINES, change, percentile, timed
from leadlog.cli.terminal import safe

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #4a7fc1; --bad: #c0504d; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } .scroll { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; }
.note { opacity: .75; }
.bars { display: grid; grid-template-columns: 7rem 1fr 6rem; gap: .3rem .8rem; }
.bars i { background: var(--bar); height: 1.1rem; align-self: center; border-radius: 2px; }
.days { display: flex; align-items: flex-end; gap: 3px; height: 7rem; }
.days i { flex: 1; background: var(--bar); min-height: 1px; border-radius: 2px 2px 0 0; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        report: as `leadlog summary --json` prints it.
    """
    info, earlier = report["summary_info"], report["previous"]
    days = info["first_day"]
    if info["last_day"] != days:
        days += f" to {info['last_day']}"
    operations = report["operation_summary"]["operations"]
    headlines = [
        (
            label,
            report[part][key],
            earlier[part][key],
            change(report[part][key], earlier[part][key]),
        )
        for label, part, key in HEADLINES
    ]
    rows = [(name, *timed(one)) for name, one in operations.items()]
    causes = [
        (one["count"], one["error_type"], one["error_message"], one["last_seen"])
        for one in report["error_summary"]["most_common_errors"]
    ]
    slowest = [
        (one["duration_ms"], one["operation"], one["timestamp"], one["operation_id"])
        for one in report["performance_summary"]["slowest_operations"]
    ]
    lost = "" if info["lines_skipped"] is None else f" {info['lines_skipped']:,} damaged lines,"
    counts = (
        f'<p class="note">{info["events_read"]:,} events,{lost} '
        f"{info['sampled_events']:,} sampled events; times in UTC</p>"
    )
    near = any("≈" in percentile(one, "p50") for one in operations.values())
    parts = [
        f"<h1>Lead log, {escape(days)}</h1>",
        counts,
        _by_day(report["days"]),
        f"<h2>Beside {escape(earlier['first_day'])}</h2>",
        _table(("", "now", "before", "change"), headlines, numbers=(1, 2, 3)),
        "<h2>Operations</h2>",
        _table(
            ("operation", "total", "failed", "n", "mean ms", "p50 ms", "p95 ms", "p99 ms"),
            rows,
            numbers=range(1, 8),
        ),
        '<p class="note">≈: from bucket tables, at most 1 % off.</p>' if near else "",
        "<h2>Tiers</h2>",
        _bars(report["operation_summary"]["performance_tiers"]),
        "<h2>Data quality</h2>",
        _bars(report["operation_summary"]["data_quality"]),
        "<h2>Most common errors</h2>",
        _table(("count", "type", "message", "last seen"), causes, numbers=(0,)),
        "<h2>Slowest operations</h2>",
        _table(("ms", "operation", "ended", "operation_id"), slowest, numbers=(0,)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Lead log, {escape(days)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[int]) -> str:
    listed = list(rows)
    if not listed:
        return '<p class="note">None.</p>'

    def row(cells: Sequence[Any], tag: str) -> str:
        inside = "".join(
            f"<{tag}{' class=number' if number in numbers else ''}>{_cell(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(row(cells, "td") for cells in listed)
    return f'<div class="scroll"><table>{row(header, "th")}{body}</table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return escape(safe(str(value)))


def _bars(counts: Mapping[str, int]) -> str:
    most = max(1, *counts.values())
    rows = "".join(
        f'<span>{escape(name)}</span><i style="width:{100 * count / most:.1f}%"></i>'
        f"<span>{count:,}</span>"
        for name, count in counts.items()
    )
    return f'<div class="bars">{rows}</div>'


def _by_day(days: Sequence[Mapping[str, Any]]) -> str:
    if len(days) < 2:
        return ""
    most = max(1, *(day["operations"] for day in days))
    bars = "".join(
        f'<i style="height:{100 * day["operations"] / most:.1f}%" '
        f'title="{escape(day["date"])}: {day["operations"]:,}"></i>'
        for day in days
    )
    return f'<h2>Operations by day</h2><div class="days">{bars}</div>'

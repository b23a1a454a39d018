"""The training report as one self-contained HTML page, without scripts, fonts or network."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

__all__ = ["page"]

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;
border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
.yes{color:#166534}.no{color:#991b1b}svg{background:#fafafa;border:1px solid #ddd}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}svg{background:#fff}}
"""
_NAMES: Final = {
    "model": "model",
    "constant": "constant",
    "operation": "by operation",
    "last": "last run",
}
_SIDE: Final = 260


def page(report: Mapping[str, Any]) -> bytes:
    """Return `report.html` for a report of `leadlog.training.learning`."""
    target = report["target"]
    body = [f"<h1>leadlog: {escape(target['name'])}</h1>", f"<p>{escape(target['text'])}</p>"]
    if report["published"]:
        body.append(
            '<p class="yes"><strong>There is a model</strong>: it clearly beats all three '
            "baselines.</p>"
        )
    else:
        reasons = "".join(f"<li>{escape(one)}</li>" for one in report["reasons"])
        body.append(f'<p class="no"><strong>No model</strong>:</p><ul>{reasons}</ul>')
    for name, title in (
        ("pr_auc", "PR-AUC (higher is better)"),
        ("brier", "Brier score (lower is better)"),
        ("log_error", "Mean absolute error of the logarithm (lower is better)"),
    ):
        if name in report["metrics"]:
            body.append(_metric(report["metrics"], name, title))
    if "coverage" in report["metrics"]:
        body.append(_coverage(report["metrics"]))
    if "reliability" in report:
        body.append(_reliability(report))
        body.append(_cost(report["cost"]))
    if "importance" in report:
        rows = [(escape(name), f"{share:.1%}") for name, share in report["importance"].items()]
        body.append("<h2>Feature importance</h2>" + _table(("feature", "share of the gain"), rows))
    body.append(_card(report))
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>leadlog: {escape(target['name'])}</title><style>{_STYLE}</style>"
        f"{''.join(body)}</html>\n"
    )
    return text.encode()


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{one}</th>" for one in header)
    lines = "".join("<tr>" + "".join(f"<td>{one}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _metric(metrics: Mapping[str, Any], name: str, title: str) -> str:
    gains = metrics[f"{name}_gain"]
    rows = []
    for key, one in metrics[name].items():
        gain = gains.get(key)
        said = "" if gain is None else _with_interval(gain)
        interval = f"[{one['low']:.4f}, {one['high']:.4f}]"
        rows.append((_NAMES[key], f"{one['value']:.4f}", interval, said))
    header = ("", "value", "95 % interval", "gain of the model")
    return f"<h2>{escape(title)}</h2>{_table(header, rows)}"


def _with_interval(one: Mapping[str, float]) -> str:
    return f"{one['value']:.4f} [{one['low']:.4f}, {one['high']:.4f}]"


def _coverage(metrics: Mapping[str, Any]) -> str:
    rows = [
        ("fixed width", f"{metrics['coverage']:.1%}"),
        ("adapted after each run", f"{metrics['coverage_adaptive']:.1%}"),
    ]
    return "<h2>Durations within the 90 % interval</h2>" + _table(("", "share"), rows)


def _frame(inner: str, across: str, up: str) -> str:
    return (
        f'<svg viewBox="-40 -10 {_SIDE + 60} {_SIDE + 50}" width="{_SIDE + 60}" role="img">'
        f'<path d="M0 0V{_SIDE}H{_SIDE}" fill="none" stroke="#666"/>{inner}'
        f'<text x="{_SIDE / 2}" y="{_SIDE + 30}" text-anchor="middle" '
        f'font-size="12">{across}</text>'
        f'<text transform="translate(-22 {_SIDE / 2}) rotate(-90)" text-anchor="middle" '
        f'font-size="12">{up}</text></svg>'
    )


def _reliability(report: Mapping[str, Any]) -> str:
    points = report["reliability"]
    most = max([one[key] for one in points for key in ("score", "rate")] + [0.01])
    dots = "".join(
        f'<circle cx="{_SIDE * one["score"] / most:.1f}" '
        f'cy="{_SIDE - _SIDE * one["rate"] / most:.1f}" r="4" fill="#1d4ed8"/>'
        for one in points
    )
    line = f'<path d="M0 {_SIDE}L{_SIDE} 0" stroke="#999" stroke-dasharray="4"/>'
    rows = [(f"{one['score']:.4f}", f"{one['rate']:.4f}") for one in points]
    error = report["metrics"]["calibration_error"]
    return (
        f"<h2>Reliability</h2><p>Both axes reach up to {most:.3f}; on the line, predictions equal "
        f"the outcomes. The mean distance is {error:.4f}.</p>"
        f"{_frame(line + dots, 'predicted', 'observed')}{_table(('predicted', 'observed'), rows)}"
    )


def _cost(points: Sequence[Mapping[str, float]]) -> str:
    most = max([one[key] for one in points for key in ("model", "without")] + [1e-6])

    def path(key: str, colour: str) -> str:
        places = " ".join(
            f"{_SIDE * one['alarm']:.1f},{_SIDE - _SIDE * one[key] / most:.1f}" for one in points
        )
        return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'

    rows = [(f"{one['alarm']:g}", f"{one['model']:.4f}", f"{one['without']:.4f}") for one in points]
    lines = path("model", "#1d4ed8") + path("without", "#999")
    return (
        "<h2>Cost</h2><p>Of a run, where a miss costs 1: by acting on the model (blue), and by "
        "never or always acting (grey).</p>"
        + _frame(lines, "what an alarm costs", "cost of a run")
        + _table(("an alarm costs", "with the model", "without"), rows)
    )


def _card(report: Mapping[str, Any]) -> str:
    bounds, rows = report["bounds"], report["rows"]
    facts = [
        ("data set", f"<code>{escape(report['dataset'][:16])}</code>"),
        ("label version", str(report["target"]["version"])),
        ("from", escape(bounds["first"])),
        ("to", escape(bounds["last"])),
        ("rows to train, calibrate, test", ", ".join(str(one) for one in rows.values())),
        ("trees", str(report.get("trees_grown", "-"))),
    ]
    return (
        "<h2>Card</h2>"
        + _table(("", ""), facts)
        + "<p>For operations of this installation; it says nothing about persons, and must not be "
        "used to judge them. It is stale once a person is erased from the log, a label changes, or "
        "<code>leadlog health</code> finds a drift.</p>"
    )

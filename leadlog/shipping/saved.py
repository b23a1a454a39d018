"""Dashboards of receivers: saved objects of Kibana and OpenSearch Dashboards, and a Splunk app.

The saved objects are those that Kibana 7.10, OpenSearch Dashboards and everything newer imports.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import orjson

from leadlog.shipping.elasticsearch import index_template
from leadlog_processors.fields import CATEGORIES

__all__ = ["receiver_files", "saved_objects"]

_OPERATIONS: Final = 'event.dataset: "leadlog.database_operation"'
_ERRORS: Final = 'event.dataset: "leadlog.error_log"'
_COUNT: Final = {"type": "count", "schema": "metric", "params": {}}
_OVER_TIME: Final = {
    "type": "date_histogram",
    "schema": "segment",
    "params": {"field": "@timestamp", "interval": "auto", "min_doc_count": 1},
}


def _terms(field: str, schema: str, size: int) -> dict[str, Any]:
    params = {"field": field, "size": size, "order": "desc", "orderBy": "1"}
    return {"type": "terms", "schema": schema, "params": params}


def _percentiles(*percents: int) -> dict[str, Any]:
    params = {"field": "event.duration", "percents": list(percents)}
    return {"type": "percentiles", "schema": "metric", "params": params}


_VISUALIZATIONS: Final[dict[str, tuple[str, str, str, tuple[dict[str, Any], ...]]]] = {
    "outcomes": (
        "Operations by outcome",
        "histogram",
        _OPERATIONS,
        (_COUNT, _OVER_TIME, _terms("event.outcome", "group", 5)),
    ),
    "durations": (
        "Duration, 95th and 99th percentile (ns)",
        "line",
        _OPERATIONS,
        (_percentiles(95, 99), _OVER_TIME),
    ),
    "operations": (
        "Operations, the most frequent first",
        "table",
        _OPERATIONS,
        (
            _COUNT,
            _terms("leadlog.entity", "bucket", 20),
            _terms("event.action", "bucket", 20),
            _percentiles(95),
        ),
    ),
    "errors": (
        "Errors by class",
        "table",
        _ERRORS,
        (_COUNT, _terms("error.type", "bucket", 50)),
    ),
    "levels": ("Events by level", "pie", "", (_COUNT, _terms("log.level", "segment", 5))),
    "sessions": (
        "Sessions with most errors",
        "table",
        _ERRORS,
        (_COUNT, _terms("labels.session_id", "bucket", 20)),
    ),
}
"""Name to title, type, KQL query and aggregations."""


def saved_objects(index: str) -> bytes:
    """Return an index pattern, visualizations and a dashboard, one JSON object a line.

    Args:
        index: Prefix of the index names.
    """
    pattern = f"{index}-pattern"
    objects: list[dict[str, Any]] = [
        {
            "id": pattern,
            "type": "index-pattern",
            "attributes": {"title": f"{index}-*", "timeFieldName": "@timestamp"},
            "references": [],
            "migrationVersion": {"index-pattern": "7.6.0"},
        }
    ]
    for name, (title, kind, query, aggregations) in _VISUALIZATIONS.items():
        aggs = [{"id": str(at + 1), "enabled": True, **a} for at, a in enumerate(aggregations)]
        state = {"title": f"leadlog: {title}", "type": kind, "params": {"type": kind}, "aggs": aggs}
        search = {
            "query": {"query": query, "language": "kuery"},
            "filter": [],
            "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
        }
        objects.append(
            {
                "id": f"{index}-{name}",
                "type": "visualization",
                "attributes": {
                    "title": f"leadlog: {title}",
                    "description": "",
                    "version": 1,
                    "visState": _text(state),
                    "uiStateJSON": "{}",
                    "kibanaSavedObjectMeta": {"searchSourceJSON": _text(search)},
                },
                "references": [
                    {
                        "name": "kibanaSavedObjectMeta.searchSourceJSON.index",
                        "type": "index-pattern",
                        "id": pattern,
                    }
                ],
                "migrationVersion": {"visualization": "7.10.0"},
            }
        )
    objects.append(_dashboard(index))
    return b"".join(orjson.dumps(one) + b"\n" for one in objects)


def _dashboard(index: str) -> dict[str, Any]:
    panels = [
        {
            "version": "7.10.0",
            "panelIndex": name,
            "gridData": {"x": at % 2 * 24, "y": at // 2 * 15, "w": 24, "h": 15, "i": name},
            "embeddableConfig": {},
            "panelRefName": f"panel_{at}",
        }
        for at, name in enumerate(_VISUALIZATIONS)
    ]
    search = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {
        "id": f"{index}-dashboard",
        "type": "dashboard",
        "attributes": {
            "title": "leadlog",
            "description": "What the application did with its data.",
            "panelsJSON": _text(panels),
            "optionsJSON": _text({"useMargins": True, "hidePanelTitles": False}),
            "version": 1,
            "timeRestore": True,
            "timeFrom": "now-24h",
            "timeTo": "now",
            "kibanaSavedObjectMeta": {"searchSourceJSON": _text(search)},
        },
        "references": [
            {"name": f"panel_{at}", "type": "visualization", "id": f"{index}-{name}"}
            for at, name in enumerate(_VISUALIZATIONS)
        ],
        "migrationVersion": {"dashboard": "7.9.3"},
    }


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def receiver_files(index: str) -> dict[str, bytes]:
    """Return the contents of all files for setting up receivers, by path.

    Args:
        index: Prefix of the index names.
    """
    found = {"kibana/leadlog.ndjson": saved_objects(index)}
    for flavour in ("elasticsearch", "opensearch"):
        for log_type in CATEGORIES:
            template = orjson.dumps(
                index_template(log_type, index, flavour), option=orjson.OPT_INDENT_2
            )
            found[f"{flavour}/{index}-{log_type}.json"] = template + b"\n"
    found.update(_packaged(files("leadlog.shipping").joinpath("files"), ""))
    return found


def _packaged(folder: Traversable, path: str) -> dict[str, bytes]:
    found = {}
    for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{path}/{one.name}".lstrip("/")
        found.update(_packaged(one, name) if one.is_dir() else {name: one.read_bytes()})
    return found

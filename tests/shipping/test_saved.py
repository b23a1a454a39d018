"""The files of `leadlog ship files` for Kibana, OpenSearch Dashboards and Splunk."""

import configparser
import json
import re
import traceback
from xml.etree import ElementTree

import pytest

from leadlog.shipping import Shipper, configured
from leadlog.shipping.shipper import sender_of
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import LOG_TYPES, append, asking, record

pytestmark = pytest.mark.handmade_lines

OPERATION = {"operation_type": "add_lead", "entity": "Lead", "success": False}


@pytest.fixture
def written(tmp_path, leadlog):
    """Return the folder that the command writes."""
    folder = tmp_path / "receivers"
    done = leadlog("ship", "files", str(folder), "--json")
    assert done.exit_code == 0, done.output
    assert all((folder / name).is_file() for name in json.loads(done.stdout)["files"])
    return folder


def events():
    """Write an operation and an error, with everything that a dashboard shows."""
    operation = record(
        "database_operations", AT, operation_details=OPERATION | {"execution_time_ms": 2.5}
    )
    error = record(
        "error_logs", AT, error_details={"exception_class": "ValueError", "error_message": "no"}
    )
    return operation, error


def test_each_panel_of_the_dashboard_shows_what_is_in_the_index(written, directory, opensearch):
    """Every reference exists, and every aggregation has a field of a suitable type."""
    for category, event in zip(("database_operations", "error_logs"), events(), strict=True):
        append(directory / category / f"{DAY}.jsonl", event)
    table = {"type": "opensearch", "url": opensearch.url, "personal_data": "plain"}
    shipper = Shipper(directory, configured({"elk": table})["elk"])
    assert shipper.once(3.0).sent == 2
    shipper.close()
    lines = (written / "kibana" / "leadlog.ndjson").read_text().splitlines()
    objects = {one["id"]: one for one in map(json.loads, lines)}
    for one in objects.values():
        assert {reference["id"] for reference in one["references"]} <= set(objects)
    call = asking(opensearch.url)
    call("POST", "/_refresh")
    (dashboard,) = (one for one in objects.values() if one["type"] == "dashboard")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    names = {reference["name"] for reference in dashboard["references"]}
    assert {panel["panelRefName"] for panel in panels} == names
    shown = [objects[reference["id"]]["attributes"] for reference in dashboard["references"]]
    for attributes in shown:
        search = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
        field, _, value = search["query"]["query"].partition(": ")
        query = {"term": {field: value.strip('"')}} if field else {"match_all": {}}
        for one in json.loads(attributes["visState"])["aggs"]:
            params = one["params"]
            asked = {"field": params.get("field")}
            if one["type"] == "count":
                continue
            if one["type"] == "date_histogram":
                asked["fixed_interval"] = "1h"
            found = call(
                "POST",
                "/leadlog-*/_search",
                {"size": 0, "query": query, "aggs": {"a": {one["type"]: asked}}},
            )["aggregations"]["a"]
            assert found.get("buckets") or any(found.get("values", {}).values()), (one, found)


def test_each_search_of_the_splunk_dashboard_names_fields_of_the_events(written, monkeypatch):
    """The XML is a form, and its searches group by fields that are sent to HEC."""
    monkeypatch.setenv("TOKEN", "t")
    table = {"type": "splunk", "url": "http://127.0.0.1:9", "personal_data": "plain"}
    sender = sender_of(configured({"there": table | {"token_env": "TOKEN"}})["there"])
    fields, types = {"_time"}, set()
    for category, event in zip(("database_operations", "error_logs"), events(), strict=True):
        body = json.loads(sender.encode(event["event_id"], category, event, None))
        types.add(body["sourcetype"])
        for name, value in body["event"].items():
            fields.add(name)
            if type(value) is dict:
                fields |= {f"{name}.{key}" for key in value}
    sender.close()
    root = ElementTree.parse(written / "splunk/default/data/ui/views/leadlog.xml").getroot()
    assert root.tag == "form"
    searches = [one.text for one in root.iter("query")]
    assert len(searches) == len(list(root.iter("panel")))
    for search in searches:
        (named,) = re.findall(r'sourcetype="([^"]+)"', search)
        assert named in types | {"leadlog:*"}
        used = re.findall(r"(?:p\d\d|latest)\(([\w.]+)\)| by ([\w. ]+?)(?: \||$)", search)
        assert used
        assert {name for pair in used for one in pair for name in one.split()} <= fields


def test_splunk_s_settings_name_fields_and_find_the_frames_of_a_traceback(written):
    """The app is visible, and a transform named in props.conf parses a real traceback."""
    settings = {}
    for name in ("props", "transforms"):
        settings[name] = configparser.RawConfigParser(delimiters=("=",))
        settings[name].optionxform = str
        settings[name].read(written / f"splunk/default/{name}.conf")
    props = settings["props"]["source::leadlog"]
    assert int(props["TRUNCATE"]) > 16 * 1024
    transform = settings["transforms"][props["REPORT-leadlog_frames"]]
    try:
        int("no")
    except ValueError:
        text = traceback.format_exc()
    expression = re.sub(r"\(\?<(\w)", r"(?P<\1", transform["REGEX"])
    assert re.findall(expression, text)[0][0] == __file__
    section, _, key = transform["SOURCE_KEY"].partition(".")
    assert key in record("error_logs", AT)[section]
    app = configparser.RawConfigParser(delimiters=("=",))
    app.read(written / "splunk/default/app.conf")
    assert (app["ui"]["is_visible"], app["ui"]["label"]) == ("true", "leadlog")
    assert re.fullmatch(r"\d+\.\d+\.\d+", app["launcher"]["version"])
    meta = (written / "splunk/metadata/default.meta").read_text().splitlines()
    assert "export = system" in meta[meta.index("[]") :]
    assert len(list((written / "opensearch").iterdir())) == len(LOG_TYPES)
